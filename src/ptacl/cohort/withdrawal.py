"""Participants who withdrew: their lists, and what is stored of them."""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

EXAMPLE = "alignment_example.png"
MAPS = "ptacl-map-"  # begins the names of maps, and of nothing else


def read_lists(paths: Sequence[Path | str]) -> set[str]:
    """Ids from lists of one id a line without a header; blank lines, quotes and CRLF are fine. ValueError names file and line."""
    ids = set()
    for path in paths:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            text = line.strip().strip("\"'").strip()
            if text and not (text.isascii() and text.isdecimal() and len(text) == 7):
                raise ValueError(f"{path}, line {number}: not a 7-digit id; a withdrawal list has one id a line and no header")
            ids |= {text} - {""}
    return ids


def purge_shards(stores: Sequence[Path], *, shards: int, withdrawn: Collection[str]) -> int:
    """Delete `k/`, `k.json`, `k.png` of shards that are no more or may hold a withdrawn participant; returns how many shards.

    A shard without `k.json` is unfinished and would be made again anyway: with a withdrawal it counts as holding one.
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
    """Delete the embeddings, also those of runs that are configured no more, in which a withdrawn participant has a row.

    With any of them goes the alignment figure of one participant beside the folder, which does not say whose it is.
    """
    for path in sorted(folder.glob("*.npz")) if folder and withdrawn else []:
        with np.load(path) as content:
            held = {str(visit).partition("_")[0] for visit in content["visits"]}
        if held & set(withdrawn):
            path.unlink()
            path.parents[1].joinpath(EXAMPLE).unlink(missing_ok=True)


def purge_maps(folder: str, *, purged: int) -> None:
    """Delete the maps of stores (:mod:`ptacl.learning.maps`) where shards were purged: they do not say whom they hold."""
    if folder and purged:
        for path in Path(os.path.expandvars(folder)).glob(f"{MAPS}*"):
            path.unlink(missing_ok=True)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
