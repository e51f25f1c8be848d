"""Bad cines as NIfTI."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from phantom import IMAGE, T, Z, write_nifti

from ptacl.exclusions import Reason

MIDDLE = Z // 2

Write = Callable[[Path], Path]
Verdict = set[Reason]


def nifti(change: Callable[[np.ndarray], np.ndarray]) -> Write:
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


def setting(where: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: np.ndarray) -> np.ndarray:
        out = image.astype(np.float32)
        out[where] = value
        return out

    return change


def niftis() -> Iterator[tuple[str, Write, Verdict]]:
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
    yield "text", lambda folder: written(folder / "sa.nii.gz", b"not an image"), unreadable
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
    yield "complex voxels", nifti(lambda image: image.astype(np.complex64)), unreadable
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
            yield f"{value} in the {name}", nifti(setting(place, value)), reasons
    for kept in (1, 2, T - 1):
        yield f"{kept} frames", nifti(lambda image, n=kept: image[:n]), {Reason.WRONG_FRAMES}
    yield (
        "a frame too many",
        nifti(lambda image: np.concatenate([image, image[:1]])),
        {Reason.WRONG_FRAMES},
    )
    for kept in (1, 3, 5):
        yield f"{kept} slices", nifti(lambda image, n=kept: image[:, :n]), {Reason.TOO_FEW_SLICES}
    yield "a small image", nifti(lambda image: image[:, :, :15]), {Reason.TOO_SMALL}
    for value in (0, 7, -300):
        yield (
            f"all {value}",
            nifti(lambda image, v=value: np.full_like(image, v)),
            {Reason.CONSTANT_IMAGE},
        )
    yield "all frames the same", nifti(lambda image: np.repeat(image[:1], T, 0)), {Reason.STILL}
    yield (
        "two images in turn, each held",
        nifti(lambda image: image[np.repeat([0, 4], T // 2)]),
        {Reason.STILL},
    )
    for dark in (1, T // 2, T - 1):
        yield (
            f"{dark} black frames",
            nifti(lambda image, n=dark: _blackened(image, n)),
            {Reason.CONSTANT_IMAGE, Reason.STILL},
        )


def _blackened(image: np.ndarray, frames: int) -> np.ndarray:
    image[-frames:] = 0
    return image


def written(path: Path, content: bytes) -> Path:
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
