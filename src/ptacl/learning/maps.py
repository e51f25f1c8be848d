"""The recordings of a modality in files on a local disk, mapped into memory.

Zarr keeps the recordings, but a training reads them one by one in random order, and each read of a chunk costs more time than a
step has. So one sequential pass over the stores makes plain arrays of them. The system's page cache holds these once for all
processes and jobs of a machine; nobody loads or hashes a cohort again.
"""

import argparse
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ptacl import config, store

log = logging.getLogger(__name__)

PREFIX = "ptacl-map-"  # of every file here: a folder may hold other files, which are never touched
_HEADER = 128  # bytes of an .npy file before its values
_SLAB = 128  # visits read at a time: whole slabs are several times faster than single visits


@dataclass(frozen=True)
class Place:
    """Where maps lie and how many bytes they may take; without a folder recordings are read into memory."""

    folder: Path | None = None
    limit_bytes: float = np.inf

    @classmethod
    def of(cls, text: str) -> "Place":
        """From the section `maps` of the configuration as JSON, an argument of a stage."""
        settings = config.Maps.model_validate_json(text)
        folder = os.path.expandvars(settings.folder)
        if "$" in folder:
            raise argparse.ArgumentTypeError(f"maps.folder: {folder} names a variable that is not set on this machine")
        return cls(Path(folder) if folder else None, settings.max_gb * 1e9)


@dataclass(frozen=True)
class Arrays:
    """Arrays by name over the visits of all shards; `key` stands for their content."""

    visits: list[str]
    arrays: dict[str, np.ndarray]
    key: str


def read(manifests: Sequence[Path], names: Sequence[str], place: Place) -> Arrays:
    """Arrays of all shards as they are stored, in the order of the shards, mapped from `place` or in memory.

    A map that exists already is used. Otherwise one process makes it while others wait. A new map replaces those made from
    earlier content of the same stores, which may hold people who have withdrawn since. Where the limit is reached, the maps
    unused for longest are removed.

    Parameters
    ----------
    manifests : k.json of the shards, whose stores are in the folder of the same name.
    names : arrays to read.
    place : where maps are kept.
    """
    shards = [store.read(Path(manifest).with_suffix("")) for manifest in manifests]
    visits = [visit for shard in shards for visit in shard.visits]
    content = [json.loads(Path(manifest).read_text())["stored"] for manifest in manifests]
    keys = {name: _key(name, content, visits) for name in names}
    key = _key(*sorted(keys.values()))
    if place.folder is not None:
        try:
            with _held(place.folder):
                owner = _key(str(Path(manifests[0]).resolve()))[:8]
                paths = {name: place.folder / f"{PREFIX}{name}-{owner}-{key}.npy" for name, key in keys.items()}
                missing = {name: path for name, path in paths.items() if not path.exists()}
                dead = list(place.folder.glob(f"{PREFIX}*.partial"))  # of a process that was killed: only we make maps now
                for path in [*dead, *(old for name in missing for old in place.folder.glob(f"{PREFIX}{name}-{owner}-*.npy"))]:
                    path.unlink()  # a process that has it mapped keeps it until it ends
                if _make_room(place, _bytes(shards, missing), keep=set(paths.values())):
                    _write(shards, missing)
                    for path in paths.values():
                        os.utime(path)
                    return Arrays(visits, {name: np.load(path, mmap_mode="r") for name, path in paths.items()}, key)
                log.info(f"no room for a map in {place.folder}: recordings are read into memory")
        except OSError as error:
            log.warning("no map can be made in %s (%s): recordings are read into memory", place.folder, error.strerror)
    out = {name: np.empty((len(visits), *shape), dtype) for name, (shape, dtype) in _kinds(shards, names).items()}
    _fill(shards, out)
    return Arrays(visits, out, key)


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _kinds(shards: Sequence[store.Store], names: Iterable[str]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape of one visit and type by name."""
    return {name: (a.shape[1:], a.dtype) for name in names for a in [shards[0].read(name, slice(0, 0))]}


def _bytes(shards: Sequence[store.Store], names: Iterable[str]) -> int:
    count = sum(len(shard.visits) for shard in shards)
    return sum(_HEADER + count * int(np.prod(shape)) * dtype.itemsize for shape, dtype in _kinds(shards, names).values())


def _make_room(place: Place, needed: int, *, keep: set[Path]) -> bool:
    """Remove maps, the longest unused first, until `needed` bytes fit; whether they do."""
    assert place.folder is not None
    others = sorted((p for p in place.folder.glob(f"{PREFIX}*.npy") if p not in keep), key=lambda p: p.stat().st_mtime)
    used = sum(p.stat().st_size for p in place.folder.glob(f"{PREFIX}*.npy"))
    while others and (used + needed > place.limit_bytes or shutil.disk_usage(place.folder).free < needed):
        used -= others[0].stat().st_size
        others.pop(0).unlink()
    return used + needed <= place.limit_bytes and shutil.disk_usage(place.folder).free >= needed


def _write(shards: Sequence[store.Store], paths: Mapping[str, Path]) -> None:
    """Make the maps, each whole or not at all."""
    count = sum(len(shard.visits) for shard in shards)
    partial = {name: path.with_suffix(".partial") for name, path in paths.items()}
    try:
        out = {
            name: np.lib.format.open_memmap(partial[name], "w+", dtype, (count, *shape))
            for name, (shape, dtype) in _kinds(shards, paths).items()
        }
        for path in partial.values():
            _reserve(path)
        _fill(shards, out)
        for name, array in out.items():
            array.flush()
            os.replace(partial[name], paths[name])
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def _reserve(path: Path) -> None:
    """Take the room of a file on the disk now: a full disk is an error here, and later the end of the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _fill(shards: Sequence[store.Store], out: Mapping[str, np.ndarray]) -> None:
    if not out:
        return
    row = 0
    with tqdm(total=sum(len(s.visits) for s in shards), desc="reading", unit="visit", mininterval=2, leave=False) as bar:
        for shard in shards:
            for start in range(0, len(shard.visits), _SLAB):
                size = len(shard.visits[start : start + _SLAB])
                for name, array in out.items():
                    array[row : row + size] = shard.read(name, slice(start, start + _SLAB))
                row += size
                bar.update(size)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Only one process at a time makes or removes maps of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
