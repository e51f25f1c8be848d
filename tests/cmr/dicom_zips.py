"""Zips of a small cine in DICOM, and what reading them gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantom import heart, series, write_zip
from pydicom.dataset import Dataset

from ptacl.cmr.dicom.series import read_zip
from ptacl.exclusions import Excluded, Reason

IMAGE, _ = heart(slices=11, frames=4, shape=(20, 24), centre=(10, 12))
T, Z = IMAGE.shape[:2]


def stacked(path: Path) -> np.ndarray:
    return np.stack(read_zip(path).slices, axis=1)


def zipped(folder: Path, files: dict[str, Any], **kwargs: Any) -> Path:
    return write_zip(folder / "9000001_20209_2_0.zip", files, **kwargs)


def reason_of(read: Callable[[], object]) -> Reason:
    with pytest.raises(Excluded) as error:
        read()
    return error.value.reason


def spoiled(name: str, **tags: Any) -> dict[str, Dataset]:
    """The cine with other tags in one file; None takes a tag away."""
    files = series(IMAGE)
    for keyword, value in tags.items():
        if value is None:
            delattr(files[name], keyword)
        else:
            setattr(files[name], keyword, value)
    return files


def refusal(read: Callable[[], object]) -> tuple[Reason, str]:
    with pytest.raises(Excluded) as error:
        read()
    return error.value.reason, error.value.detail
