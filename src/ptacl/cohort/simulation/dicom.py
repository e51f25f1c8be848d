"""Write a cine as the zip of field 20209.

It holds one DICOM file per frame and slice, a manifest, and the decoy series that are in real zips.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptacl.cohort.simulation.archive import Archive
from ptacl.cohort.simulation.cine import SimulatedCine
from ptacl.cohort.simulation.heart import FRAMES, PIXEL_MM, SPACING_MM

DECOYS = (
    ("CINE_segmented_LAX_2Ch", 4),
    ("CINE_segmented_LAX_3Ch", 4),
    ("CINE_segmented_LAX_4Ch", 4),
    ("CINE_segmented_SAX_InlineVF", 6),
    ("Inline_VF_Results_AllSlices", 1),
)

_ROOT = "1.2.826.0.1.3680043.8.498.20209"
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_THICKNESS_MM = 8.0
_INSTANCE, _TRIGGER = b"\x20\x00\x13\x00IS", b"\x18\x00\x60\x10DS"  # tag and type
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Series:
    """One series: `pixels` (n, Y, X) int16, and `description` as the scanner writes it."""

    number: int
    description: str
    pixels: np.ndarray
    origin_mm: np.ndarray


def write_zip(
    path: Path,
    cine: SimulatedCine,
    *,
    person: str,
    rng: np.random.Generator,
    short_axis: bool = True,
) -> None:
    """Write the zip; with `short_axis=False` it holds only the decoys.

    The same input gives the same bytes.
    """
    day = (int(rng.integers(2015, 2024)), int(rng.integers(1, 13)), int(rng.integers(1, 29)))
    manifest = "manifest.cvs" if rng.random() < 0.5 else "manifest.csv"
    date = (
        f"{_MONTHS[day[1] - 1]} {day[2]}, {day[0]} "
        f"{rng.integers(8, 12)}:{rng.integers(10, 60)}:00 AM"
    )
    rows = ["filename,patientid,studyid,seriesid,date,series discription"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        archive = Archive(file)
        series = [*(_short_axis(cine) if short_axis else ()), *_decoys(cine, rng)]
        for one in series:
            uid = f"{_ROOT}.{person}.{one.number}"
            for k, content in enumerate(_files(one, cine, person=person, uid=uid, day=day)):
                name = f"{_instance_uid(uid, k)}.dcm"
                archive.add(name, content)
                rows.append(f"{name},{person},{_ROOT}.{person},{uid},{date},{one.description}")
        archive.add(manifest, ("\n".join(rows) + "\n").encode())
        archive.finish()


def _short_axis(cine: SimulatedCine) -> Iterator[Series]:
    for z in range(cine.image.shape[1]):
        origin = cine.origin_mm + cine.axes[:, 2] * SPACING_MM * z
        yield Series(z + 1, f"CINE_segmented_SAX_b{z + 1}", cine.image[:, z], origin)


def _decoys(cine: SimulatedCine, rng: np.random.Generator) -> Iterator[Series]:
    middle = cine.image.shape[1] // 2
    for k, (description, files) in enumerate(DECOYS):
        frames = cine.image[rng.integers(0, FRAMES, files), middle]
        origin = cine.origin_mm + cine.axes[:, 2] * SPACING_MM * middle
        yield Series(900 + k, description, np.ascontiguousarray(frames[:, ::-1]), origin)


def _files(
    series: Series, cine: SimulatedCine, *, person: str, uid: str, day: tuple[int, int, int]
) -> Iterator[bytes]:
    """Yield DICOM files in the order of trigger time.

    Only the first file is encoded. The others are made by replacing values in it, because
    encoding each file would take ten times as long.
    """
    from pydicom.filewriter import dcmwrite

    file = io.BytesIO()
    dcmwrite(
        file, _data_set(series, cine, person=person, uid=uid, day=day), enforce_file_format=True
    )
    first = file.getvalue()
    head = first[: len(first) - series.pixels[0].nbytes]
    step = cine.rr_ms / FRAMES
    for k, pixels in enumerate(series.pixels):
        own = head.replace(_instance_uid(uid, 0).encode(), _instance_uid(uid, k).encode())
        own = own.replace(_element(_INSTANCE, "1"), _element(_INSTANCE, str(k + 1)))
        own = own.replace(_element(_TRIGGER, "0.00"), _element(_TRIGGER, f"{k * step:.2f}"))
        yield own + pixels.astype("<i2").tobytes()


def _instance_uid(uid: str, k: int) -> str:
    return f"{uid}.{1001 + k}"


def _element(tag: bytes, value: str) -> bytes:
    """Encode a number of explicit type: tag, type, length, and text of even length."""
    text = value.encode()
    text += b" " * (len(text) % 2)
    return tag + struct.pack("<H", len(text)) + text


def _data_set(
    series: Series, cine: SimulatedCine, *, person: str, uid: str, day: tuple[int, int, int]
) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _MR_IMAGE
    meta.MediaStorageSOPInstanceUID = _instance_uid(uid, 0)
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.1"
    date = f"{day[0]}{day[1]:02d}{day[2]:02d}"
    values: dict[str, object] = {
        "SOPClassUID": _MR_IMAGE,
        "SOPInstanceUID": _instance_uid(uid, 0),
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"],
        "StudyDate": date,
        "SeriesDate": date,
        "StudyTime": "100000",
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Aera",
        "MagneticFieldStrength": "1.5",
        "SeriesDescription": series.description,
        "PatientName": person,
        "PatientID": person,
        "TriggerTime": "0.00",
        "InstanceNumber": "1",
        "SliceThickness": f"{_THICKNESS_MM:g}",
        "SpacingBetweenSlices": f"{SPACING_MM:g}",
        "NominalInterval": round(cine.rr_ms),
        "HeartRate": round(60000 / cine.rr_ms),
        "CardiacNumberOfImages": FRAMES,
        "StudyInstanceUID": f"{_ROOT}.{person}",
        "SeriesInstanceUID": uid,
        "FrameOfReferenceUID": f"{_ROOT}.{person}.0",
        "SeriesNumber": series.number,
        "ImagePositionPatient": [f"{v:.6f}" for v in series.origin_mm],
        "ImageOrientationPatient": [f"{v:.8f}" for v in cine.axes[:, :2].T.reshape(-1)],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": series.pixels.shape[1],
        "Columns": series.pixels.shape[2],
        "PixelSpacing": [f"{PIXEL_MM:.4f}", f"{PIXEL_MM:.4f}"],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": series.pixels[0].astype("<i2").tobytes(),
    }
    data = Dataset()
    data.file_meta = meta
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data
