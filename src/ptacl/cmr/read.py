"""Read a short-axis cine of any supported format, and the segmentation that belongs to it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptacl import raw
from ptacl.cmr import nifti, orientation
from ptacl.cmr.cine import Cine
from ptacl.cmr.dicom import series
from ptacl.exclusions import Excluded, Reason

_CINE, _SEGMENTATION = "sa.nii.gz", "seg_sa.nii.gz"


def read(path: Path, *, series_names: Sequence[str] = ()) -> Cine:
    """Read a cine from a zip or folder of DICOM files, a NIfTI file, or a folder with sa.nii.gz.

    It is turned to one view if the file tells its directions (:mod:`ptacl.cmr.orientation`).
    `series_names` are patterns of the series that count in DICOM (`cmr.series`).

    Raises Excluded(UNREADABLE) for other files, and the exclusions of the readers.
    """
    path = Path(path)
    match format_of(path):
        case "dicom-zip":
            return series.read_zip(path, patterns=series_names).turned()
        case "dicom-folder":
            return series.read_folder(path, patterns=series_names).turned()
        case _:
            return nifti.read(path / _CINE if raw.is_folder(path) else path).turned()


def format_of(path: Path) -> str:
    """Return dicom-zip, dicom-folder or nifti, from the content and not from the name.

    Raises Excluded(UNREADABLE) if the path is neither a folder nor a regular file, and
    Excluded(MISSING_FILE) if it does not exist.
    """
    path = Path(path)
    if raw.is_folder(path):
        return "nifti" if raw.is_file(path / _CINE) else "dicom-folder"
    try:
        with raw.open_file(path) as file:
            return "dicom-zip" if file.read(2) == b"PK" else "nifti"
    except OSError as error:
        raise raw.excluded(error) from None


def read_labels(path: Path, *, cine: Cine) -> np.ndarray:
    """Read the segmentation of a cine as (T, Z, R, C) uint8, in the view of the cine.

    A segmentation that does not tell its directions is turned like its cine. Raises
    Excluded(SEGMENTATION_MISMATCH) if its shape differs from that of the cine.
    """
    try:
        labels_TZRC, directions = nifti.read_labels(path)
    except Excluded as error:
        detail = f"segmentation: {error.detail}" if error.detail else "segmentation"
        raise Excluded(error.reason, detail) from None
    if cine.turn is not None:
        own = orientation.find(directions) if directions is not None else None
        labels_TZRC = (own or cine.turn).stack(labels_TZRC)
    if labels_TZRC.shape != cine.shape:
        detail = (
            f"{'x'.join(map(str, labels_TZRC.shape))} for a cine of "
            f"{'x'.join(map(str, cine.shape))}"
        )
        raise Excluded(Reason.SEGMENTATION_MISMATCH, detail)
    return labels_TZRC


def find_labels(path: Path) -> Path | None:
    """Find the segmentation next to a cine.

    Its name is seg_NAME, or seg_sa.nii.gz if that can belong to no other cine.
    """
    path = Path(path)
    if raw.is_folder(path):
        candidates = [path / _SEGMENTATION]
    elif path.name.lower().endswith((".nii", ".nii.gz")):
        candidates = [path.with_name(f"seg_{path.name}")]
    else:
        candidates = [path.with_name(f"seg_{path.stem}.nii.gz")]
        endings = [Path(name).suffix.lower() for name in _names(path.parent)]
        if endings.count(path.suffix.lower()) == 1:
            candidates.append(path.with_name(_SEGMENTATION))
    return next((candidate for candidate in candidates if raw.is_file(candidate)), None)


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in raw.entries(folder)]
    except OSError:
        return []
