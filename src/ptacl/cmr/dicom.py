"""Short-axis cines as DICOM: the zip of UK Biobank field 20209, or a folder of files.

A zip holds one series a slice (CINE_segmented_SAX_b1 is the base), beside series that are no cine: inline contours, long axes,
a manifest. What a file is, is read from the file: its series description, position and trigger time. Its name, the manifest and
its dates are not used. A damaged file costs one frame, which is counted, and not the participant.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_partial
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ptacl.cmr import stack
from ptacl.cmr.cine import Cine, no_faults
from ptacl.cmr.stack import Frame
from ptacl.exclusions import Excluded, Reason

_SHORT_AXIS = re.compile(r"cine_?(?:segmented_)?sax(?:_b(\d*))?", re.IGNORECASE)
_HEAD_BYTES = 4096  # the series description lies near the front of a file
_LARGEST_BYTES = 2**26
_RAW = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_DESCRIPTION = 0x0008103E
_KEYWORDS = [
    *("SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "AcquisitionTime", "InstanceNumber", "TriggerTime"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
    *("CardiacNumberOfImages", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelData"),
]
_TAGS: list[Any] = [tag_for_keyword(keyword) for keyword in _KEYWORDS]

Open = Callable[[], IO[bytes] | io.FileIO]


def read_zip(path: Path) -> Cine:
    """A cine from a zip, read in memory (random access over a network mount is slow); Excluded as :func:`read_folder`."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(Path(path).read_bytes()))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise Excluded(Reason.UNREADABLE, f"zip: {type(error).__name__}") from None
    with archive:
        members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
        return _read(((m.filename, partial(archive.open, m)) for m in members), format="dicom-zip")


def read_folder(path: Path) -> Cine:
    """A cine from a folder of DICOM files; Excluded(UNREADABLE, NO_SHORT_AXIS, UNEVEN_SLICES)."""
    try:
        files = sorted(p for p in Path(path).iterdir() if p.is_file())
    except OSError as error:
        raise Excluded(Reason.UNREADABLE, f"folder: {type(error).__name__}") from None
    return _read(((f.name, partial(io.FileIO, f)) for f in files), format="dicom-folder")


def _read(files: Iterable[tuple[str, Open]], *, format: str) -> Cine:
    counts, frames = no_faults(), []
    with pydicom.config.disable_value_validation():  # ids and dates of real files break the standard, and are not used
        for name, opener in files:
            try:
                with opener() as file:
                    found = _frame(file)
            except Exception:  # whatever zip, zlib and pydicom raise on damaged bytes
                counts["unreadable"] += name.lower().endswith(".dcm")
                continue
            if found:
                frames.append(found)
            else:
                counts["decoys"] += 1
    if not frames:
        reason = Reason.NO_SHORT_AXIS if counts["decoys"] else Reason.UNREADABLE
        raise Excluded(reason, f"{counts['decoys']} files of other series, {counts['unreadable']} that cannot be decoded")
    return stack.build(frames, counts=counts, format=format)


def _frame(file: IO[bytes] | io.FileIO) -> Frame | None:
    """One image, or None for a file of another series, of which no more than the front is read."""
    head = file.read(_HEAD_BYTES)
    description = _description(head)
    if description is not None and not _SHORT_AXIS.fullmatch(description):
        return None
    dataset = pydicom.dcmread(io.BytesIO(head + file.read(_LARGEST_BYTES)), specific_tags=_TAGS)
    if "SeriesDescription" not in dataset and "PixelData" not in dataset:
        raise EOFError("the file ends before it says what it is")
    match = _SHORT_AXIS.fullmatch(str(dataset.get("SeriesDescription", "")).strip())
    if not match:
        return None
    spacing = [float(mm) for mm in dataset.PixelSpacing]
    slice_mm = dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness")
    trigger = dataset.get("TriggerTime")
    return Frame(
        series=int(match[1]) if match[1] else None,
        uid=str(dataset.SeriesInstanceUID),
        acquired=(int(dataset.get("SeriesNumber") or 0), str(dataset.get("AcquisitionTime") or "")),
        instance=int(dataset.get("InstanceNumber") or 0),
        trigger_ms=None if trigger is None else float(trigger),
        position_mm=np.array(dataset.ImagePositionPatient, float),
        axes=np.array(dataset.ImageOrientationPatient, float).reshape(2, 3),
        spacing_mm=(spacing[0], spacing[1]),
        slice_mm=float(slice_mm) if slice_mm else None,
        expected=int(dataset.get("CardiacNumberOfImages") or 0),
        pixels=_pixels(dataset),
    )


def _description(head: bytes) -> str | None:
    """The series description from the front of a file, None where it is not there."""
    try:
        dataset = read_partial(io.BytesIO(head), stop_when=lambda tag, vr, length: tag > _DESCRIPTION, specific_tags=_TAGS[:1])
        return str(dataset.SeriesDescription).strip()
    except Exception:  # a front that ends within a tag, or a compressed one
        return None


def _pixels(dataset: pydicom.Dataset) -> np.ndarray:
    """The image (R, C) in the units of the file; ValueError where it is not one plane of numbers."""
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise ValueError("not one plane of grey values")
    if dataset.file_meta.TransferSyntaxUID in _RAW and dataset.BitsAllocated in (8, 16):
        kind = ("u", "i")[dataset.PixelRepresentation]
        size = dataset.Rows * dataset.Columns
        image = np.frombuffer(dataset.PixelData, f"<{kind}{dataset.BitsAllocated // 8}", size).reshape(dataset.Rows, -1)
    else:
        image = dataset.pixel_array
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    return image if (slope, intercept) == (1, 0) else image.astype(np.float32) * np.float32(slope) + np.float32(intercept)
