"""Embed many files: in several processes, and after an interruption only what is missing.

The files are divided into parts. Each finished part is a small table in a folder next to the
output, whose name depends on the model and on the names, sizes and times of its files. A call
that is repeated computes the parts that are missing, joins all of them, and removes the folder.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from ptacl.files import whole
from ptacl.inference import Modality, Model

_PART = 64  # files
# What a folder is searched for. Tables of an ECG need a name.json next to them.
_ENDINGS = {
    "ecg": (".xml", ".dcm", ".dicom", ".scp", ".edf", ".hea", ".mwf", ".mfer", ".csv", ".npy"),
    "cmr": (".zip", ".nii", ".nii.gz"),
}


def listed(path: Path) -> list[Path]:
    """Read a list of files, one path per line, absolute or relative to the folder of the list."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    if not any(lines):
        raise ValueError(f"{path}: the list is empty: give one path per line")
    return [path.parent / line for line in lines if line]


def found(paths: Iterable[Path], *, modality: Modality) -> list[Path]:
    """Return the files, with each folder replaced by the files of this modality in it.

    A folder of DICOM slices is itself a cine. Raises ValueError for a folder without any file of
    the modality.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if _is(file, modality))
        if not inside and modality == "ecg":
            endings = ", ".join(_ENDINGS[modality])
            raise ValueError(f"{path}: no file in this folder ends in one of {endings}")
        files += inside or [path]
    return files


def _is(path: Path, modality: Modality) -> bool:
    name = path.name.lower()
    if not name.endswith(_ENDINGS[modality]) or not path.is_file():
        return False
    if name.endswith((".csv", ".npy")):
        return path.with_suffix(".json").is_file()
    return not name.startswith("seg_")


@dataclass(frozen=True)
class _Part:
    """Some of the files, and the table that holds their embeddings."""

    files: tuple[Path, ...]
    table: Path


def embed(
    model: Model,
    files: Sequence[Path],
    *,
    modality: Modality,
    out: Path,
    processes: int = 1,
) -> pd.DataFrame:
    """Embed files, and write the table of :meth:`ptacl.Model.embed`.

    Parameters
    ----------
    model : Model
        The model, whose device the processes use.
    files : sequence of Path
        ECGs or cines.
    modality : str
        `ecg` or `cmr`.
    out : Path
        Table to write, .csv or .parquet. Parts are kept in a folder next to it until all are done.
    processes : int
        Number of processes, each with one thread if there are several.

    Returns
    -------
    DataFrame
        The table, one row per file in the given order.
    """
    at = out.with_name(f"{out.name}.parts")
    at.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(files), _PART):
        some = tuple(files[start : start + _PART])
        parts.append(
            _Part(some, at / f"{_key(some, modality=modality, digest=model.digest)}.parquet")
        )
    waiting = [part for part in parts if not part.table.is_file()]
    done = sum(len(part.files) for part in parts) - sum(len(part.files) for part in waiting)
    with tqdm(total=len(files), initial=done, desc=modality.upper(), unit="file") as bar:
        if processes == 1:
            for part in waiting:
                _write(model, part, modality=modality)
                bar.update(len(part.files))
        else:
            _in_processes(model, waiting, modality=modality, processes=processes, bar=bar)
    table = pd.concat([pd.read_parquet(part.table) for part in parts], ignore_index=True)
    with whole(out) as place:
        if out.suffix == ".parquet":
            table.to_parquet(place, index=False)
        else:
            table.to_csv(place, index=False)
    shutil.rmtree(at)
    return table


def _key(files: Sequence[Path], *, modality: Modality, digest: str) -> str:
    facts = [[str(file), *_state(file)] for file in files]
    text = json.dumps([digest, modality, facts])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of a file, 0 if it does not exist: its row will have the reason."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


@cache
def _model(folder: Path, device: str) -> Model:
    return Model.load(folder, device=device)


def _in_processes(
    model: Model, parts: Sequence[_Part], *, modality: Modality, processes: int, bar: Any
) -> None:
    """Embed the parts in several processes, each with one thread."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        write = partial(_load_and_write, model.folder, str(model.device), modality=modality)
        running = {pool.submit(write, part): part for part in parts}
        try:
            for finished in as_completed(running):
                finished.result()
                bar.update(len(running[finished].files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _load_and_write(folder: Path, device: str, part: _Part, *, modality: Modality) -> None:
    """Embed the files of one part in a process that loads the model once."""
    torch.set_num_threads(1)
    _write(_model(folder, device), part, modality=modality)


def _write(model: Model, part: _Part, *, modality: Modality) -> None:
    table = model.embed(part.files, modality=modality).reset_index()
    with whole(part.table) as place:
        table.to_parquet(place, index=False)
