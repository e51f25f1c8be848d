"""Read the lists of withdrawn participants, and delete stored data that can hold them."""

import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ptacl import files, raw

EXAMPLE = "alignment_example.png"


def read_lists(paths: Sequence[Path | str]) -> set[str]:
    """Read ids from lists that have one id per line and no header.

    Blank lines, quotes and CRLF line ends are accepted. For any other line, ValueError names the
    file and the line.
    """
    ids = set()
    for path in paths:
        with raw.open_file(path) as file:
            lines = file.read().decode("utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            text = line.strip().strip("\"'").strip()
            if text and not (text.isascii() and text.isdecimal() and len(text) == 7):
                raise ValueError(
                    f"{path}, line {number}: not a 7-digit id; a withdrawal list has one "
                    "id per line and no header"
                )
            ids |= {text} - {""}
    return ids


def purge_shards(stores: Sequence[Path], *, shards: int, withdrawn: Collection[str]) -> int:
    """Delete shards that can hold a withdrawn participant or that no longer exist, and count them.

    The files of shard k are `k/`, `k.json` and `k.png`. A shard without `k.json` is unfinished
    and would be prepared again anyway, so it is deleted if there is any withdrawal.
    """
    count = 0
    for store in stores:
        stored: dict[int, list[Path]] = {}
        for path in sorted(store.iterdir()) if store.is_dir() else []:
            if (stem := path.name.partition(".")[0]).isdecimal():
                stored.setdefault(int(stem), []).append(path)
        for k, paths in stored.items():
            if k >= shards or (withdrawn and _may_hold(store / f"{k}.json", withdrawn)):
                count += 1
                for path in paths:
                    _delete(path)
    return count


def _may_hold(prepared: Path, withdrawn: Collection[str]) -> bool:
    if not prepared.is_file():
        return True
    content = json.loads(prepared.read_text())
    visits = [*content["visits"], *(e["visit"] for e in content["excluded"])]
    return any(visit.partition("_")[0] in withdrawn for visit in visits)


def purge_embeddings(folder: Path | None, *, withdrawn: Collection[str]) -> None:
    """Delete every embedding file in which a withdrawn participant has a row.

    This includes files of runs that are no longer configured. If any is deleted, the alignment
    figure next to the folder is deleted too: it shows one participant and does not say which.
    """
    for path in sorted(folder.glob("*.npz")) if folder and withdrawn else []:
        with np.load(path) as content:
            held = {str(visit).partition("_")[0] for visit in content["visits"]}
        if held & set(withdrawn):
            path.unlink()
            path.parents[1].joinpath(EXAMPLE).unlink(missing_ok=True)


def purge_outcomes(path: Path, *, withdrawn: Collection[str]) -> None:
    """Delete the table of diseases if a withdrawn participant has a row.

    Its rule writes it again, unless no disease is listed any more.
    """
    if withdrawn and path.is_file():
        with path.open() as file:
            held = {line.partition(",")[0].partition("_")[0] for line in file}
        if held & set(withdrawn):
            path.unlink()


def purge_maps(folder: str, *, purged: int) -> None:
    """Delete the maps of stores (:mod:`ptacl.learning.maps`) if any shard was purged.

    A map does not say which participants it holds.
    """
    maps = files.map_folder(folder)
    if maps is not None and purged:
        for path in maps.glob(f"{files.MAP_PREFIX}*"):
            path.unlink(missing_ok=True)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
