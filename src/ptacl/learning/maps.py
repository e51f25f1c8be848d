"""Keep the recordings of a modality in files on a local disk, mapped into memory.

The stores are in Zarr, but a training reads recordings one by one in random order, and reading one
chunk takes longer than an optimiser step. So one sequential pass over the stores writes them as
plain arrays. The page cache of the system then holds these once for all processes and jobs of a
machine, and no job has to load or hash the cohort again.
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
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ptacl import config, store
from ptacl.files import MAP_PREFIX, map_folder

log = logging.getLogger(__name__)

_HEADER = 128  # bytes before the values in an .npy file
_SLAB = 128  # visits read at a time: whole slabs are several times faster than single visits


@dataclass(frozen=True)
class Place:
    """Folder of the maps and the number of bytes that they may take.

    Without a folder, recordings are read into memory.
    """

    folder: Path | None = None
    limit_bytes: float = np.inf

    @classmethod
    def of(cls, text: str) -> "Place":
        """Parse the section `maps` of the configuration, given to a stage as JSON."""
        settings = config.Maps.model_validate_json(text)
        folder = map_folder(settings.folder)
        if "$" in str(folder):
            raise argparse.ArgumentTypeError(
                f"maps.folder: {folder} names a variable that is not set on this machine"
            )
        return cls(folder, settings.max_gb * 1e9)


@dataclass(frozen=True)
class Arrays:
    """Arrays by name over the visits of all shards; `key` identifies their content."""

    visits: list[str]
    arrays: dict[str, np.ndarray]
    key: str


def read(manifests: Sequence[Path], names: Sequence[str], place: Place) -> Arrays:
    """Read the arrays of all shards as they are stored, in the order of the shards.

    They are mapped from `place`, or read into memory. An existing map is used. Otherwise one
    process writes it while others wait. A new map replaces those of earlier content of the same
    stores, which can contain people who have withdrawn since. If the limit is reached, the maps
    that were unused for longest are removed.

    Parameters
    ----------
    manifests : sequence of Path
        Manifests k.json of the shards, whose stores are in the folders of the same name.
    names : sequence of str
        Arrays to read.
    place : Place
        Where maps are kept.

    Returns
    -------
    Arrays
        The arrays, the visits and the key of the content.
    """
    shards = [store.read(Path(manifest).with_suffix("")) for manifest in manifests]
    visits = list(chain.from_iterable(shard.visits for shard in shards))
    content = [json.loads(Path(manifest).read_text())["stored"] for manifest in manifests]
    keys = {name: _key(name, content, visits) for name in names}
    key = _key(*sorted(keys.values()))
    if place.folder is not None:
        owner = _key(str(Path(manifests[0]).resolve()))[:8]
        try:
            mapped = _map(shards, keys, place.folder, owner, limit_bytes=place.limit_bytes)
        except OSError as error:
            log.warning(
                "no map can be made in %s (%s): recordings are read into memory",
                place.folder,
                error.strerror,
            )
        else:
            if mapped is not None:
                return Arrays(visits, mapped, key)
            log.info(f"no room for a map in {place.folder}: recordings are read into memory")
    arrays = {}
    for name, (shape, dtype) in _kinds(shards, names).items():
        arrays[name] = np.empty((len(visits), *shape), dtype)
    _fill(shards, arrays)
    return Arrays(visits, arrays, key)


def _map(
    shards: Sequence[store.Store],
    keys: Mapping[str, str],
    folder: Path,
    owner: str,
    *,
    limit_bytes: float,
) -> dict[str, np.ndarray] | None:
    """Return the mapped arrays, writing those that are missing; None if there is no room.

    keys : content of each array. owner : the stores to which the maps belong.
    """
    with _held(folder):
        paths = {
            name: folder / f"{MAP_PREFIX}{name}-{owner}-{key}.npy" for name, key in keys.items()
        }
        missing = {name: path for name, path in paths.items() if not path.exists()}
        # left by a killed process: only this one writes now
        obsolete = list(folder.glob(f"{MAP_PREFIX}*.partial"))
        for name in missing:
            obsolete += folder.glob(f"{MAP_PREFIX}{name}-{owner}-*.npy")
        for path in obsolete:
            path.unlink()  # a process that has mapped the file keeps it until the process ends
        needed = _bytes(shards, missing)
        if not _make_room(folder, needed, keep=set(paths.values()), limit_bytes=limit_bytes):
            return None
        _write(shards, missing)
        for path in paths.values():
            os.utime(path)
        return {name: np.load(path, mmap_mode="r") for name, path in paths.items()}


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _kinds(
    shards: Sequence[store.Store], names: Iterable[str]
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return the shape of one visit and the data type, by name."""
    kinds = {}
    for name in names:
        nothing = shards[0].read(name, slice(0, 0))
        kinds[name] = nothing.shape[1:], nothing.dtype
    return kinds


def _bytes(shards: Sequence[store.Store], names: Iterable[str]) -> int:
    count = sum(len(shard.visits) for shard in shards)
    return sum(
        _HEADER + count * int(np.prod(shape)) * dtype.itemsize
        for shape, dtype in _kinds(shards, names).values()
    )


def _make_room(folder: Path, needed: int, *, keep: set[Path], limit_bytes: float) -> bool:
    """Remove maps, the longest unused first, until `needed` bytes fit.

    Returns whether they fit.
    """
    maps = sorted(folder.glob(f"{MAP_PREFIX}*.npy"), key=lambda path: path.stat().st_mtime)
    used = sum(path.stat().st_size for path in maps)

    def fits() -> bool:
        return used + needed <= limit_bytes and needed <= shutil.disk_usage(folder).free

    for path in maps:
        if fits():
            break
        if path not in keep:
            used -= path.stat().st_size
            path.unlink()
    return fits()


def _write(shards: Sequence[store.Store], paths: Mapping[str, Path]) -> None:
    """Write the maps, each completely or not at all."""
    count = sum(len(shard.visits) for shard in shards)
    partial = {name: path.with_suffix(".partial") for name, path in paths.items()}
    try:
        out = {}
        for name, (shape, dtype) in _kinds(shards, paths).items():
            out[name] = np.lib.format.open_memmap(partial[name], "w+", dtype, (count, *shape))
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
    """Reserve the space of a file on the disk.

    A full disk raises an error here. Without this, it would later end the process without a
    message.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _fill(shards: Sequence[store.Store], out: Mapping[str, np.ndarray]) -> None:
    if not out:
        return
    row = 0
    with tqdm(
        total=sum(len(s.visits) for s in shards),
        desc="reading",
        unit="visit",
        mininterval=2,
        leave=False,
    ) as bar:
        for shard in shards:
            for start in range(0, len(shard.visits), _SLAB):
                size = len(shard.visits[start : start + _SLAB])
                for name, array in out.items():
                    array[row : row + size] = shard.read(name, slice(start, start + _SLAB))
                row += size
                bar.update(size)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Let only one process at a time write or remove maps of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
