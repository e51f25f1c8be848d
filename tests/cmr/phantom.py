"""A small beating heart, written as real files: DICOM zips and NIfTI."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from ptacl.cmr.orientation import DOWN, RIGHT, TO_BASE

LV, MYOCARDIUM, RV = 1, 2, 3
PIXEL_MM, SLICE_MM, FRAME_MS = 4.0, 9.0, 100.0
SHORT_AXIS = np.diag([-1, -1, 1]) @ np.stack([RIGHT, DOWN, -TO_BASE], axis=1)  # in RAS


def heart(
    *,
    frames: int = 8,
    slices: int = 7,
    shape: tuple[int, int] = (48, 56),
    centre: tuple[float, float] = (22, 30),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Image int16 and labels uint8, both (T, Z, R, C): LV, its wall and RV beat, a chest does not;
    pixels of PIXEL_MM.
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros((frames, slices, *shape), np.uint8)
    for t in range(frames):
        radius = 6 - 2 * np.sin(np.pi * t / frames) ** 2
        lv = np.hypot(row - centre[0], column - centre[1] - 4)
        rv = np.hypot(row - centre[0], column - centre[1] + 5)
        labels[t, :, rv < radius] = RV
        labels[t, :, lv < 8] = MYOCARDIUM
        labels[t, :, lv < radius] = LV
    image = np.choose(labels, [20, 300, 90, 280]) + rng.normal(0, 4, labels.shape)
    image[:, :, :4] += 400
    image[:, :, :, 1] += 500 * np.linspace(0, 1, shape[0])
    return image.astype(np.int16), labels


def rotation(seed: int) -> np.ndarray:
    """A random rotation, (3, 3)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def write_nifti(
    path: Path,
    values_TZRC: np.ndarray,
    *,
    axes: np.ndarray | None = None,
    frame_s: float = FRAME_MS / 1e3,
) -> Path:
    """Write with the axes (column, row, slice, time); `axes` (3, 3) are the directions of column,
    row, slice in RAS, by default those of the view.
    """
    affine = np.eye(4)
    affine[:3, :3] = (SHORT_AXIS if axes is None else axes) * [PIXEL_MM, PIXEL_MM, SLICE_MM]
    image = nib.Nifti1Image(values_TZRC.T, affine)
    image.header.set_xyzt_units("mm", "sec")
    if values_TZRC.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], frame_s))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def dicom(pixels: np.ndarray, **values: Any) -> Dataset:
    """One frame with the tags of a real cine; `values` replace or add tags."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        MRImageStorage,
        "1.2.3",
    )
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags = {
        "PatientID": "9000001",
        "StudyDate": "20120000",  # not a date: real files have such
        "SeriesDescription": "CINE_segmented_SAX_b1",
        "SeriesInstanceUID": "1.2.3.1",
        "SeriesNumber": 1,
        "AcquisitionTime": "100000",
        "InstanceNumber": 1,
        "TriggerTime": 0,
        "ImagePositionPatient": [0, 0, 0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [PIXEL_MM, PIXEL_MM],
        "SpacingBetweenSlices": 5.2,  # wrong on purpose: the positions are right
        "SliceLocation": 1,
        "SliceThickness": 8,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": pixels.astype("<i2").tobytes(),
    }
    for keyword, value in (tags | values).items():
        if value is not None:
            setattr(data, keyword, value)
    return data


def series(
    image_TZRC: np.ndarray, *, axes: np.ndarray | None = None, **values: Any
) -> dict[str, Dataset]:
    """A cine as UK Biobank's zips hold it, by file name: one series a slice, b1 first; `axes` as in
    :func:`write_nifti`.
    """
    axes = np.eye(3) if axes is None else axes
    files = {}
    for z in range(image_TZRC.shape[1]):
        for t, pixels in enumerate(image_TZRC[:, z]):
            tags = {
                "SeriesDescription": f"CINE_segmented_SAX_b{z + 1}",
                "SeriesInstanceUID": f"1.2.3.{z + 1}",
                "SeriesNumber": z + 1,
                "InstanceNumber": t + 1,
                "TriggerTime": t * FRAME_MS,
                "ImagePositionPatient": [f"{v:.6f}" for v in axes[:, 2] * SLICE_MM * z + 7],
                "ImageOrientationPatient": [f"{v:.8f}" for v in axes[:, :2].T.reshape(-1)],
            }
            files[f"{z:02d}_{t:02d}.dcm"] = dicom(pixels, **(tags | values))
    return files


def decoys(pixels: np.ndarray) -> dict[str, Dataset]:
    """Files of the series that a real zip holds next to the cine."""
    names = (
        "CINE_segmented_SAX_InlineVF",
        "Inline_VF_Results_AllSlices",
        "CINE_segmented_LAX_4Ch",
        "cine_segmented_lax_2ch",
    )
    return {f"decoy_{i}.dcm": dicom(pixels, SeriesDescription=name) for i, name in enumerate(names)}


def encode(data: Dataset) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def write_zip(
    path: Path, files: Mapping[str, Dataset | bytes], *, names: Iterable[str] | None = None
) -> Path:
    """Write files to a zip, in the order of `names`, with a manifest whose dates hold commas."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "manifest.cvs",
            "filename,date,series discription\na.dcm,Aug 30, 2015,CINE_segmented_SAX_b1\n",
        )
        for name in names or files:
            content = files[name]
            archive.writestr(name, content if isinstance(content, bytes) else encode(content))
    return path


def locked(archive: bytes) -> bytes:
    """A zip whose files claim to be encrypted."""
    out = bytearray(archive)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = out.find(signature)
        while start >= 0:
            out[start + at] |= 1
            start = out.find(signature, start + 4)
    return bytes(out)


IMAGE, LABELS = heart()
T, Z = IMAGE.shape[:2]  # frames and slices
