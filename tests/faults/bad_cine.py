"""Bad cines by kind: what writes one into a folder, and the reasons that it must be excluded for;
good ones that look odd.
"""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from phantom import MYOCARDIUM, decoys, dicom, encode, heart, locked, series, write_nifti, write_zip
from pydicom.dataset import Dataset

from ptacl.exclusions import Reason

IMAGE, LABELS = heart()
T, Z = IMAGE.shape[:2]
MIDDLE = Z // 2

Write = Callable[[Path], Path]
Verdict = set[Reason]


def cases() -> Iterator[tuple[str, Write, Verdict]]:
    """Name, writer and allowed reasons of each bad cine."""
    yield from _niftis()
    yield from _zips()


def _nifti(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    return lambda folder: write_nifti(folder / "sa.nii.gz", change(IMAGE.copy()))


def _bytes(change: Callable[[bytes], bytes]) -> Write:
    """An edit of the bytes of a NIfTI file before compression."""

    def write(folder: Path) -> Path:
        path = write_nifti(folder / "sa.nii.gz", IMAGE)
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes())), compresslevel=1))
        return path

    return write


def _packed(change: Callable[[bytes], bytes]) -> Write:
    """An edit of the bytes of a compressed NIfTI file."""

    def write(folder: Path) -> Path:
        path = write_nifti(folder / "sa.nii.gz", IMAGE)
        path.write_bytes(change(path.read_bytes()))
        return path

    return write


def _put(at: int, dtype: str, *numbers: float) -> Callable[[bytes], bytes]:
    content = np.array(numbers, dtype).tobytes()
    return lambda raw: raw[:at] + content + raw[at + len(content) :]


def _set(where: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: np.ndarray) -> np.ndarray:
        out = image.astype(np.float32)
        out[where] = value
        return out

    return change


def _niftis() -> Iterator[tuple[str, Write, Verdict]]:
    unreadable = {Reason.UNREADABLE}
    for tenth in range(10):
        yield (
            f"NIfTI ends after {10 * tenth} %",
            _packed(lambda raw, k=tenth: raw[: k * len(raw) // 10]),
            unreadable,
        )
        yield (
            f"voxels end after {10 * tenth} %",
            _bytes(lambda raw, k=tenth: raw[: k * len(raw) // 10]),
            unreadable,
        )
    yield "one byte less", _packed(lambda raw: raw[:-1]), unreadable
    yield (
        "a flipped byte",
        _packed(lambda raw: raw[:4000] + bytes([raw[4000] ^ 255]) + raw[4001:]),
        unreadable,
    )
    yield "checksum wrong", _packed(lambda raw: raw[:-8] + bytes(4) + raw[-4:]), unreadable
    yield "text", lambda folder: _written(folder / "sa.nii.gz", b"not an image"), unreadable
    yield "padded", _bytes(lambda raw: raw + bytes(10**6)), unreadable
    yield (
        "a header of 8 dimensions",
        _bytes(_put(40, "<i2", 8)),
        unreadable | {Reason.NO_SHORT_AXIS},
    )
    yield "no dimension", _bytes(_put(40, "<i2", 0)), unreadable | {Reason.NO_SHORT_AXIS}
    yield "negative size", _bytes(_put(42, "<i2", -4)), unreadable | {Reason.NO_SHORT_AXIS}
    yield "a size of 32,000", _bytes(_put(42, "<i2", 32_000, 32_000)), unreadable
    yield "unknown type", _bytes(_put(70, "<i2", 999)), unreadable
    yield "complex voxels", _nifti(lambda image: image.astype(np.complex64)), unreadable
    yield "a plane", lambda folder: _plane(folder / "sa.nii.gz"), {Reason.NO_SHORT_AXIS}
    for mm in (0.0, np.nan, np.inf, 1e-6, 1e6):
        yield (
            f"voxels of {mm} mm",
            _bytes(lambda raw, x=mm: _put(80, "<f4", x)(_put(280, "<f4", x)(raw))),
            {Reason.WRONG_UNIT},
        )
    for mm in (0.01, 90.0):
        yield (
            f"slices {mm} mm apart",
            lambda folder, x=mm: _spaced(folder / "sa.nii.gz", (4, 4, x)),
            {Reason.WRONG_UNIT},
        )
        yield (
            f"pixels of {mm} mm",
            lambda folder, x=mm: _spaced(folder / "sa.nii.gz", (x, x, 9)),
            {Reason.WRONG_UNIT},
        )
    for value in (np.nan, np.inf, -np.inf):
        for name, place in {
            "corner": (0, 0, 0, 0),
            "heart": (3, MIDDLE, 22, 30),
            "frame": 4,
        }.items():
            reasons = {Reason.NOT_FINITE, Reason.CONSTANT_IMAGE}
            yield f"{value} in the {name}", _nifti(_set(place, value)), reasons
    for kept in (1, 2, T - 1):
        yield f"{kept} frames", _nifti(lambda image, n=kept: image[:n]), {Reason.WRONG_FRAMES}
    yield (
        "a frame too many",
        _nifti(lambda image: np.concatenate([image, image[:1]])),
        {Reason.WRONG_FRAMES},
    )
    for kept in (1, 3, 5):
        yield f"{kept} slices", _nifti(lambda image, n=kept: image[:, :n]), {Reason.TOO_FEW_SLICES}
    yield "a small image", _nifti(lambda image: image[:, :, :15]), {Reason.TOO_SMALL}
    for value in (0, 7, -300):
        yield (
            f"all {value}",
            _nifti(lambda image, v=value: np.full_like(image, v)),
            {Reason.CONSTANT_IMAGE},
        )
    yield "all frames the same", _nifti(lambda image: np.repeat(image[:1], T, 0)), {Reason.STILL}
    yield (
        "two images in turn, each held",
        _nifti(lambda image: image[np.repeat([0, 4], T // 2)]),
        {Reason.STILL},
    )
    for dark in (1, T // 2, T - 1):
        yield (
            f"{dark} black frames",
            _nifti(lambda image, n=dark: _blackened(image, n)),
            {Reason.CONSTANT_IMAGE, Reason.STILL},
        )


def _blackened(image: np.ndarray, frames: int) -> np.ndarray:
    image[-frames:] = 0
    return image


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _plane(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(IMAGE[0, 0].T, np.eye(4)), path)
    return path


def _spaced(path: Path, spacing_mm: tuple[float, float, float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(IMAGE.T, np.diag([*spacing_mm, 1])), path)
    return path


def _zip(change: Callable[[dict[str, Any]], Any]) -> Write:
    """A zip of the cine whose files are changed in place, or replaced where `change` returns
    others.
    """

    def write(folder: Path) -> Path:
        files: dict[str, Any] = dict(series(IMAGE))
        return write_zip(folder / "9000001_20209_2_0.zip", change(files) or files)

    return write


def _archive(change: Callable[[bytes], bytes]) -> Write:
    def write(folder: Path) -> Path:
        path = write_zip(folder / "9000001_20209_2_0.zip", series(IMAGE))
        path.write_bytes(change(path.read_bytes()))
        return path

    return write


def _tags(names: Callable[[str], bool], **tags: Any) -> Callable[[dict[str, Any]], None]:
    def change(files: dict[str, Dataset]) -> None:
        for name, data in files.items():
            if names(name):
                for keyword, value in tags.items():
                    if value is None:
                        delattr(data, keyword)
                    else:
                        setattr(data, keyword, value)

    return change


def _all(name: str) -> bool:
    return True


def _middle(name: str) -> bool:
    return name == f"{MIDDLE:02d}_04.dcm"


def _zips() -> Iterator[tuple[str, Write, Verdict]]:
    unreadable, frames, uneven = {Reason.UNREADABLE}, {Reason.WRONG_FRAMES}, {Reason.UNEVEN_SLICES}
    for tenth in range(10):
        yield (
            f"zip ends after {10 * tenth} %",
            _archive(lambda raw, k=tenth: raw[: k * len(raw) // 10]),
            unreadable,
        )
    yield "locked", _archive(locked), unreadable
    yield "an empty zip", lambda folder: _written(folder / "a.zip", _empty_zip()), unreadable
    yield "a zip of text", _zip(lambda files: {"readme.dcm": b"hello"}), unreadable
    yield "no short axis", _zip(lambda files: decoys(IMAGE[0, 0])), {Reason.NO_SHORT_AXIS}
    for keyword in (
        "PixelData",
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "Rows",
        "SeriesInstanceUID",
    ):
        yield f"no {keyword} in a file", _zip(_tags(_middle, **{keyword: None})), frames
        yield f"no {keyword} in any", _zip(_tags(_all, **{keyword: None})), unreadable
    image = IMAGE[4, MIDDLE].tobytes()
    for name, tags in {
        "pixels missing": {"PixelData": image[:-20]},
        "pixels left over": {"PixelData": image + image},
        "no pixel": {"PixelData": b""},
        "colour": {"SamplesPerPixel": 3},
        "two planes": {"NumberOfFrames": 2},
        "an image of 60,000 x 60,000": {"Rows": 60_000, "Columns": 60_000},
        "no rows": {"Rows": 0},
    }.items():
        yield f"{name} in a file", _zip(_tags(_middle, **tags)), frames | uneven
    for mm in ([0, 0], [0.001, 0.001], [80, 80]):
        yield f"DICOM pixels of {mm[0]} mm", _zip(_tags(_all, PixelSpacing=mm)), {Reason.WRONG_UNIT}
    yield "pixels of another size in a file", _zip(_tags(_middle, PixelSpacing=[1, 1])), uneven
    yield (
        "a slice turned",
        _zip(_tags(_middle, ImageOrientationPatient=[0.9, 0.435889894, 0, -0.435889894, 0.9, 0])),
        uneven,
    )
    yield (
        "another person in a file",
        _zip(_tags(_middle, PatientID="9000002")),
        {Reason.SEVERAL_PEOPLE},
    )
    yield (
        "two people",
        _zip(_tags(lambda name: name < "03", PatientID="9000002")),
        {Reason.SEVERAL_PEOPLE},
    )
    yield "a phase twice with other pixels", _zip(_another), {Reason.CONFLICTING_IMAGES}
    for missing in range(1, 4):

        def gone(files, n=missing):
            middle = f"{MIDDLE:02d}"
            return {k: v for k, v in files.items() if k[:2] != middle or int(k[3:5]) >= n}

        yield f"{missing} frames of the middle slice gone", _zip(gone), frames
    yield (
        "a slice gone",
        _zip(lambda files: {k: v for k, v in files.items() if k[:2] != "02"}),
        uneven,
    )
    for kept in (1, 3, 5):
        yield (
            f"{kept} slices in a zip",
            _zip(lambda files, n=kept: {k: v for k, v in files.items() if int(k[:2]) < n}),
            {Reason.TOO_FEW_SLICES},
        )
    yield (
        "all slices in one place",
        _zip(_tags(_all, ImagePositionPatient=[0, 0, 0])),
        {Reason.TOO_FEW_SLICES, Reason.CONFLICTING_IMAGES},
    )
    yield (
        "all frames black",
        _zip(_tags(_all, PixelData=bytes(len(image)))),
        {Reason.CONSTANT_IMAGE},
    )
    yield "all frames alike", _zip(_alike), {Reason.STILL, Reason.CONSTANT_IMAGE}
    yield (
        "inflates a thousandfold",
        _zip(lambda files: {k: encode(v) + bytes(5 * 2**20) for k, v in list(files.items())[:6]}),
        unreadable,
    )


def _empty_zip() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()


def _another(files: dict[str, Any]) -> None:
    data = files[f"{MIDDLE:02d}_04.dcm"]
    other = dicom(IMAGE[0, 0])
    for keyword in (
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "InstanceNumber",
        "TriggerTime",
        "ImagePositionPatient",
    ):
        setattr(other, keyword, data.get(keyword))
    files["again.dcm"] = other


def _alike(files: dict[str, Any]) -> None:
    for name, data in files.items():
        data.PixelData = files[f"{name[:2]}_00.dcm"].PixelData


def harmless() -> Iterator[tuple[str, Write]]:
    """Odd cines that must be used."""
    yield "as it is", _nifti(lambda image: image)
    yield "a hot voxel", _nifti(_set((3, MIDDLE, 22, 30), 30_000))
    yield "not finite in no voxel, as floats", _nifti(lambda image: image.astype(np.float64))
    yield "one frame held twice", _nifti(lambda image: image[[0, 1, 2, 3, 3, 5, 6, 7]])
    yield (
        "uncompressed in a folder of its own",
        lambda folder: write_nifti(folder / "own" / "sa.nii.gz", IMAGE).parent,
    )
    yield "as a zip", _zip(lambda files: None)
    yield "with decoys", _zip(lambda files: files | decoys(IMAGE[0, 0]))
    yield "with broken decoys", _zip(lambda files: files | {"x.dcm": b"noise" * 400, "y.dcm": b""})
    yield (
        "a frame of the first slice gone",
        _zip(lambda files: {k: v for k, v in files.items() if k != "00_03.dcm"}),
    )
    yield (
        "files twice",
        _zip(lambda files: files | {f"copy_{k}": v for k, v in list(files.items())[:9]}),
    )


def bad_labels() -> Iterator[tuple[str, np.ndarray]]:
    """Segmentations that must be refused while the cine is used."""
    yield "another shape", LABELS[:, 1:]
    yield "turned", np.ascontiguousarray(LABELS.swapaxes(2, 3))
    yield "the cine itself", np.clip(IMAGE // 3, 0, 255).astype(np.uint8)
    yield "no known label", np.where(LABELS == 0, 0, LABELS + 40).astype(np.uint8)
    yield "upside down", LABELS[:, :, ::-1]
    yield "mirrored", LABELS[..., ::-1]
    yield "not finite", np.where(LABELS == MYOCARDIUM, np.nan, LABELS).astype(np.float32)
    for frames in (1, T // 2, T - 2):
        yield (
            f"in {frames} frames",
            LABELS * (np.arange(T) < frames)[:, None, None, None].astype(np.uint8),
        )
    for rows, columns in ((5, 0), (-5, 0), (0, 6), (0, -6), (8, 8)):
        yield (
            f"moved by {rows} rows and {columns} columns",
            np.roll(LABELS, (rows, columns), (2, 3)),
        )
    for shift in (T // 2 - 1, T // 2, T // 2 + 1):
        yield f"{shift} frames late", np.roll(LABELS, shift, 0)
