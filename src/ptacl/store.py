"""Write and read stores: named arrays over visits.

Units, dimensions and the visit index are stored as attributes. This is the only module that uses
Zarr.

A store is a folder `store.zarr` in its declared directory, into which Snakemake also puts a
timestamp file. A store is either complete or absent, because :class:`Writer` writes to another
name and renames the folder at the end.
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
    """Description of one array of a store.

    Parameters
    ----------
    dims : tuple of str
        Names of the dimensions of one visit, without the visit axis.
    shape : tuple of int
        Sizes of these dimensions.
    dtype : str
        NumPy data type.
    unit : str
        Unit of the values, such as `mV`.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    unit: str


class Writer:
    """Write a store visit by visit, as a context manager.

    At most 64 visits are held in memory. The store appears when the context ends without an
    exception.

    Parameters
    ----------
    directory : Path
        Declared directory. The store is `directory/store.zarr`.
    arrays : mapping of str to Array
        Arrays of the store by name. One visit is one chunk.
    attributes : mapping of str to object
        Attributes of the whole store that can be written as JSON, such as lead names or settings.
    """

    def __init__(
        self, directory: Path, *, arrays: Mapping[str, Array], attributes: Mapping[str, Any]
    ) -> None:
        self._final = Path(directory) / "store.zarr"
        self._partial = Path(directory) / "store.zarr.partial"
        self._arrays, self._attributes = dict(arrays), dict(attributes)
        self._pending: dict[str, list[np.ndarray]] = {name: [] for name in arrays}
        self._visits: list[str] = []
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of all appended values, as hexadecimal digits.

        Manifests have to hold it, because no rule of the workflow looks into a store.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
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
        """Append one visit.

        Parameters
        ----------
        visit : str
            Key of the visit.
        values : ndarray
            One keyword argument per array, in the shape and unit that its :class:`Array` declares.
            It is converted to the declared data type.

        Raises
        ------
        AssertionError
            If the names of the values are not those of the arrays, or if a shape differs.
        """
        assert values.keys() == self._arrays.keys(), (
            f"arrays {sorted(values)} are not {sorted(self._arrays)}"
        )
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        self._flush()
        self._group.attrs.update(self._attributes | {"visits": self._visits})
        shutil.rmtree(self._final, ignore_errors=True)
        self._partial.rename(self._final)


@dataclass(frozen=True)
class Store:
    """An opened store, as :func:`read` returns it.

    Parameters
    ----------
    visits : list of str
        Keys of the visits, in the order of the rows of every array.
    attributes : dict of str to object
        Attributes of the whole store.
    group : zarr.Group
        The Zarr group that holds the arrays.
    """

    visits: list[str]
    attributes: dict[str, Any]
    group: zarr.Group

    def read(self, name: str, rows: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Read rows of one array.

        Parameters
        ----------
        name : str
            Name of the array.
        rows : sequence of int or slice
            Rows to read; all rows by default.

        Returns
        -------
        ndarray of shape (n_rows, ...)
            The rows in the requested order, in the unit of the array.
        """
        array = self.group[name]
        assert isinstance(array, zarr.Array)
        if isinstance(rows, slice):
            return np.asarray(array[rows])
        out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
        for i, row in enumerate(rows):
            out[i] = array[row]
        return out

    def unit(self, name: str) -> str:
        """Return the unit of an array.

        Parameters
        ----------
        name : str
            Name of the array.

        Returns
        -------
        str
            The unit.
        """
        return str(self.group[name].attrs["unit"])


def read(directory: Path) -> Store:
    """Open the store in `directory`.

    Parameters
    ----------
    directory : Path
        Declared directory of the store, as given to :class:`Writer`.

    Returns
    -------
    Store
        The opened store.

    Raises
    ------
    FileNotFoundError
        If the store does not exist. The message names the folder and the remedy.
    """
    path = Path(directory) / "store.zarr"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is missing: run the preparation of this shard again")
    group = zarr.open_group(path, mode="r")
    attributes: dict[str, Any] = dict(group.attrs)
    visits = [str(v) for v in attributes.pop("visits")]
    return Store(visits=visits, attributes=attributes, group=group)
