"""Read the images of single DICOM files."""

import io
import re
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import pydicom
from pydicom.filereader import read_partial
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ptacl.cmr.dicom import candidates, elements
from ptacl.cmr.dicom.candidates import Plane
from ptacl.cmr.dicom.stack import Frame

_SHORT_AXIS = re.compile(r"cine_?(?:segmented_)?sax(?:_b(\d*))?", re.IGNORECASE)
_HEAD_BYTES = 4096  # the series description is near the front of a file
_LARGEST_FILE_BYTES, _MOST_PIXELS_A_FRAME = 2**24, 2**22
_LARGEST_ENHANCED_BYTES = 2**28  # an enhanced file holds all frames of a stack
_RAW = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_NEEDED = (
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "PixelData",
)
_DESCRIPTION = 0x0008103E
_TAGS: list[Any] = list(elements.TAGS.values())

Open = Callable[[], IO[bytes]]


class Undecodable(ValueError):
    """A file without a usable image; the text is a cause for the exclusions table."""


def named(opener: Open) -> list[Frame]:
    """Read the image of a file whose series has a short-axis name of UK Biobank.

    The list is empty for a file of another series, of which only the front is read.
    """
    with opener() as file:
        found = _frame(file)
    return [found] if found else []


def planes(opener: Open) -> list[Plane]:
    """Read the header of a file of any series; the pixels are read when they are needed."""
    with opener() as file:
        head = file.read(_HEAD_BYTES)
        _refuse_deflated(head)
        content = head + file.read(_LARGEST_ENHANCED_BYTES)
    if len(content) > _LARGEST_ENHANCED_BYTES:
        raise Undecodable(f"larger than {_LARGEST_ENHANCED_BYTES // 2**20} MiB")
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    return candidates.planes(header, Pixels(opener).frame)


class Pixels:
    """The pixels of a file, decoded when the first frame is needed."""

    def __init__(self, opener: Open) -> None:
        self._opener = opener
        self._images: np.ndarray | None = None

    def frame(self, index: int) -> np.ndarray:
        """Return the image (R, C) of a frame."""
        if self._images is None:
            with self._opener() as file:
                dataset = pydicom.dcmread(io.BytesIO(file.read()))
            enhanced = "PerFrameFunctionalGroupsSequence" in dataset
            if enhanced and dataset.get("SamplesPerPixel", 1) != 1:
                raise Undecodable("not planes of grey values")
            images = np.asarray(dataset.pixel_array if enhanced else _pixels(dataset))
            self._images = images.reshape(-1, *images.shape[-2:])
        found: np.ndarray = self._images[index]
        return found


def _frame(file: IO[bytes]) -> Frame | None:
    """Read one image; None for a file of another series, of which only the front is read."""
    head = file.read(_HEAD_BYTES)
    description = _description(head)
    if description is not None and not _SHORT_AXIS.fullmatch(description):
        return None
    _refuse_deflated(head)
    content = head + file.read(_LARGEST_FILE_BYTES)
    if len(content) > _LARGEST_FILE_BYTES:
        raise Undecodable(f"larger than {_LARGEST_FILE_BYTES // 2**20} MiB")
    dataset = elements.read(content) or pydicom.dcmread(io.BytesIO(content), specific_tags=_TAGS)
    if "SeriesDescription" not in dataset and "PixelData" not in dataset:
        raise EOFError("the file ends before its series description and pixels")
    match = _SHORT_AXIS.fullmatch(str(dataset.get("SeriesDescription", "")).strip())
    if not match:
        return None
    if missing := [keyword for keyword in _NEEDED if keyword not in dataset]:
        raise Undecodable(f"no {missing[0]}")
    spacing = [float(mm) for mm in dataset.PixelSpacing]
    slice_mm = dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness")
    trigger = dataset.get("TriggerTime")
    return Frame(
        person=str(dataset.get("PatientID") or ""),
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


def _refuse_deflated(head: bytes) -> None:
    """Refuse a syntax that pydicom would inflate without a limit."""
    if DeflatedExplicitVRLittleEndian.encode() in head:
        raise Undecodable("transfer syntax Deflated Explicit VR Little Endian")


def _description(head: bytes) -> str | None:
    """Read the series description from the front of a file; None if it is not there."""
    if quick := elements.read(head, until=_DESCRIPTION):
        return str(quick.get("SeriesDescription", "")) or None
    try:
        dataset = read_partial(
            io.BytesIO(head),
            stop_when=lambda tag, vr, length: tag > _DESCRIPTION,
            specific_tags=_TAGS[:1],
        )
        return str(dataset.SeriesDescription).strip()
    except Exception:  # the front ends within a tag, or is compressed
        return None


def _pixels(dataset: pydicom.Dataset | elements.Elements) -> np.ndarray:
    """Decode the image (R, C) in the units of the file, with high values bright.

    Raises ValueError if it is not a single plane of numbers.
    """
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise Undecodable("not one plane of grey values")
    if (size := dataset.Rows * dataset.Columns) > _MOST_PIXELS_A_FRAME:
        raise Undecodable(f"an image of {dataset.Rows} x {dataset.Columns} pixels")
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _RAW and dataset.BitsAllocated in (8, 16):
        kind, width = ("u", "i")[dataset.PixelRepresentation], dataset.BitsAllocated // 8
        if not size * width <= len(dataset.PixelData) <= size * width + 1:  # odd lengths are padded
            raise Undecodable("more or fewer pixels than the header gives")
        image = np.frombuffer(dataset.PixelData, f"<{kind}{width}", size).reshape(dataset.Rows, -1)
    else:
        try:
            image = dataset.pixel_array
        except Exception:
            raise Undecodable(f"transfer syntax {syntax.name or 'unknown'}") from None
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":  # its lowest value is white
        image = (-1 if image.dtype.kind == "i" else 2 ** int(dataset.BitsStored) - 1) - image
    slope, intercept = (
        float(dataset.get("RescaleSlope") or 1),
        float(dataset.get("RescaleIntercept") or 0),
    )
    return (
        image
        if (slope, intercept) == (1, 0)
        else image.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    )
