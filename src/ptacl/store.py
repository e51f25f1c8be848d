"""The only module that knows Zarr: named arrays over visits, with units, dimensions and the visit index as attributes.

A store is a folder `store.zarr` one level below its declared directory (Snakemake puts a timestamp file into the latter).
It appears whole or not at all: a :class:`Writer` writes beside the final name and renames at the end.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import zarr

_FLUSH = 64


@dataclass(frozen=True)
class Array:
    """What an array holds: `dims` of one visit (without the visit axis), their sizes, type, unit."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    unit: str


class Writer:
    """Append visits one by one; memory is bounded by a few of them.

    Parameters
    ----------
    directory : the declared directory; the store is `directory/store.zarr`.
    arrays : one entry an array; one visit is one chunk.
    attributes : JSON-able facts about the whole store (lead names, settings).
    """

    def __init__(self, directory: Path, *, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> None:
        self._final = Path(directory) / "store.zarr"
        self._partial = Path(directory) / "store.zarr.partial"
        self._arrays, self._attributes = dict(arrays), dict(attributes)
        self._pending: dict[str, list[np.ndarray]] = {name: [] for name in arrays}
        self._visits: list[str] = []
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Hash of all that was appended: what a manifest must hold, since no rule looks into a store."""
        return self._hash.hexdigest()

    def __enter__(self) -> "Writer":
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        self._group = zarr.create_group(self._partial, zarr_format=3)
        for name, a in self._arrays.items():
            self._group.create_array(
                name,
                shape=(0, *a.shape),
                chunks=(1, *a.shape),
                dtype=a.dtype,
                compressors=None,
                dimension_names=("visit", *a.dims),
                attributes={"unit": a.unit},
            )
        return self

    def append(self, visit: str, **values: np.ndarray) -> None:
        """Add one visit, with one value for each array."""
        assert values.keys() == self._arrays.keys(), f"arrays {sorted(values)} are not {sorted(self._arrays)}"
        for name, value in values.items():
            value = np.asarray(value, dtype=self._arrays[name].dtype)
            assert value.shape == self._arrays[name].shape, f"{name} has shape {value.shape}"
            self._pending[name].append(value)
            self._hash.update(np.ascontiguousarray(value).data)
        self._visits.append(visit)
        if len(self._visits) % _FLUSH == 0:
            self._flush()

    def _flush(self) -> None:
        for name, values in self._pending.items():
            if values:
                self._member(self._group, name).append(np.stack(values))
                values.clear()

    @staticmethod
    def _member(group: zarr.Group, name: str) -> "zarr.Array[Any]":
        array = group[name]
        assert isinstance(array, zarr.Array)
        return array

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        self._flush()
        self._group.attrs.update(self._attributes | {"visits": self._visits})
        shutil.rmtree(self._final, ignore_errors=True)
        self._partial.rename(self._final)


@dataclass(frozen=True)
class Store:
    """An opened store: `visits` in order, `attributes`, and arrays read by name."""

    visits: list[str]
    attributes: dict[str, Any]
    group: zarr.Group

    def read(self, name: str, rows: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Rows of one array, in the order asked for; shape (rows, ...)."""
        array = self.group[name]
        assert isinstance(array, zarr.Array)
        if isinstance(rows, slice):
            return np.asarray(array[rows])
        out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
        for i, row in enumerate(rows):
            out[i] = array[row]
        return out

    def unit(self, name: str) -> str:
        """The unit of an array."""
        return str(self.group[name].attrs["unit"])


def read(directory: Path) -> Store:
    """Open the store below `directory`; FileNotFoundError names the folder and the remedy."""
    path = Path(directory) / "store.zarr"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is missing: run the preparation of this shard again")
    group = zarr.open_group(path, mode="r")
    attributes: dict[str, Any] = dict(group.attrs)
    visits = [str(v) for v in attributes.pop("visits")]
    return Store(visits=visits, attributes=attributes, group=group)
