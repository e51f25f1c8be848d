"""Read short-axis cines from DICOM: the zip of UK Biobank field 20209, or a folder of files.

A zip holds one series per slice (CINE_segmented_SAX_b1 is the base), and also files that do not
belong to the cine: inline contours, long axes, a manifest. Each file is identified by its content:
its series description, position and trigger time. Its name, the manifest and its dates are not
used. A damaged file costs one frame, which is counted, and does not exclude the participant.
"""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
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

from ptacl.cmr.cine import Cine, no_faults
from ptacl.cmr.dicom import elements, stack
from ptacl.cmr.dicom.stack import Frame
from ptacl.exclusions import Excluded, Reason

_SHORT_AXIS = re.compile(r"cine_?(?:segmented_)?sax(?:_b(\d*))?", re.IGNORECASE)
_HEAD_BYTES = 4096  # the series description is near the front of a file
# A zip of UK Biobank has some 600 files of 90 KB in 40 MB. Anything far larger is refused before it
# is inflated.
_LARGEST_BYTES, _MOST_FILES, _LARGEST_FILE_BYTES = 2**29, 20_000, 2**24
_MOST_PIXELS, _MOST_PIXELS_A_FRAME = 2**27, 2**22
# Limit on the compression of larger files; an image hardly shrinks by more than a factor of 10.
_RATIO, _RATIO_FROM_BYTES = 200, 2**20
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


class _Undecodable(ValueError):
    """A file without a usable image; the text is a cause for the exclusions table."""


def read_zip(path: Path) -> Cine:
    """Read a cine from a zip; raises Excluded like :func:`read_folder`.

    The zip is first read into memory, because random access over a network mount is slow.
    """
    try:
        if Path(path).stat().st_size > _LARGEST_BYTES:
            raise Excluded(Reason.UNREADABLE, f"zip: larger than {_LARGEST_BYTES // 2**20} MiB")
        data = Path(path).read_bytes()
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Excluded:
        raise
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise Excluded(Reason.UNREADABLE, f"zip: {type(error).__name__}") from None
    with archive:
        members = sorted(
            (m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename
        )
        if len(members) > _MOST_FILES:
            raise Excluded(Reason.UNREADABLE, f"zip: {len(members):,} files")
        return _read(
            ((m.filename, partial(_open, archive, m)) for m in members), format="dicom-zip"
        )


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file of a zip, unless it is encrypted or would inflate beyond the size of an image."""
    if member.flag_bits & 1:
        raise _Undecodable("encrypted")
    if member.file_size > max(_RATIO_FROM_BYTES, _RATIO * member.compress_size):
        raise _Undecodable("inflates beyond the size of an image")
    return archive.open(member)


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def read_folder(path: Path) -> Cine:
    """Read a cine from a folder of DICOM files.

    Raises Excluded(UNREADABLE, NO_SHORT_AXIS), and the exclusions of
    :func:`ptacl.cmr.dicom.stack.build`.
    """
    try:
        files = sorted(p for p in Path(path).iterdir() if p.is_file())
    except OSError as error:
        raise Excluded(Reason.UNREADABLE, f"folder: {type(error).__name__}") from None
    return _read(((f.name, partial(_open_file, f)) for f in files), format="dicom-folder")


def _read(files: Iterable[tuple[str, Open]], *, format: str) -> Cine:
    counts, frames, pixels = no_faults(), [], 0
    causes: Counter[str] = Counter()
    # Ids and dates of real files break the standard, and they are not used.
    with pydicom.config.disable_value_validation():
        for name, opener in files:
            try:
                with opener() as file:
                    found = _frame(file)
            except Exception as error:  # zip, zlib and pydicom raise anything on damaged bytes
                if name.lower().endswith(".dcm"):
                    causes[
                        str(error) if isinstance(error, _Undecodable) else type(error).__name__
                    ] += 1
                continue
            if found:
                frames.append(found)
                pixels += found.pixels.size
                if pixels > _MOST_PIXELS:
                    raise Excluded(
                        Reason.UNREADABLE, f"more than {_MOST_PIXELS:,} short-axis pixels"
                    )
            else:
                counts["decoys"] += 1
    counts["unreadable"] = causes.total()
    if not frames:
        reason = Reason.NO_SHORT_AXIS if counts["decoys"] else Reason.UNREADABLE
        why = (
            f" ({', '.join(f'{cause}: {n}' for cause, n in causes.most_common(3))})"
            if causes
            else ""
        )
        raise Excluded(
            reason,
            (
                f"{counts['decoys']} files of other series, {counts['unreadable']} files that "
                f"cannot be decoded{why}"
            ),
        )
    return stack.build(frames, counts=counts, causes=dict(causes), format=format)


def _frame(file: IO[bytes]) -> Frame | None:
    """Read one image; None for a file of another series, of which only the front is read."""
    head = file.read(_HEAD_BYTES)
    description = _description(head)
    if description is not None and not _SHORT_AXIS.fullmatch(description):
        return None
    if DeflatedExplicitVRLittleEndian.encode() in head:  # pydicom would inflate it without a limit
        raise _Undecodable("transfer syntax Deflated Explicit VR Little Endian")
    content = head + file.read(_LARGEST_FILE_BYTES)
    if len(content) > _LARGEST_FILE_BYTES:
        raise _Undecodable(f"larger than {_LARGEST_FILE_BYTES // 2**20} MiB")
    dataset = elements.read(content) or pydicom.dcmread(io.BytesIO(content), specific_tags=_TAGS)
    if "SeriesDescription" not in dataset and "PixelData" not in dataset:
        raise EOFError("the file ends before its series description and pixels")
    match = _SHORT_AXIS.fullmatch(str(dataset.get("SeriesDescription", "")).strip())
    if not match:
        return None
    if missing := [keyword for keyword in _NEEDED if keyword not in dataset]:
        raise _Undecodable(f"no {missing[0]}")
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
        raise _Undecodable("not one plane of grey values")
    if (size := dataset.Rows * dataset.Columns) > _MOST_PIXELS_A_FRAME:
        raise _Undecodable(f"an image of {dataset.Rows} x {dataset.Columns} pixels")
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _RAW and dataset.BitsAllocated in (8, 16):
        kind, width = ("u", "i")[dataset.PixelRepresentation], dataset.BitsAllocated // 8
        if not size * width <= len(dataset.PixelData) <= size * width + 1:  # odd lengths are padded
            raise _Undecodable("more or fewer pixels than the header gives")
        image = np.frombuffer(dataset.PixelData, f"<{kind}{width}", size).reshape(dataset.Rows, -1)
    else:
        try:
            image = dataset.pixel_array
        except Exception:
            raise _Undecodable(f"transfer syntax {syntax.name or 'unknown'}") from None
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
