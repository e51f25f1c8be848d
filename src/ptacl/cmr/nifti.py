"""Read short-axis cines and their segmentations from NIfTI: sa.nii.gz and seg_sa.nii.gz.

Such files come from a DICOM conversion. Their axes are (column, row, slice, time) with the column
fastest, so the bytes are an array (T, Z, R, C) without a copy, and a slice is a view. The axes of
the file are kept here; :mod:`ptacl.cmr.orientation` turns them.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip_lib

from ptacl import raw
from ptacl.cmr.cine import Cine
from ptacl.cmr.orientation import Vector
from ptacl.exclusions import Excluded, Reason

_MS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001, "unknown": 1000.0}
_CYCLE_MS = (250.0, 3000.0)
_MAX_LABEL = 255
_MOST_VOXELS = 2**26  # three times a cine of UK Biobank; 0.5 GB in double precision
_HEADER_BYTES = 544  # of NIfTI-2; NIfTI-1 has 352
_GZIP = b"\x1f\x8b"


def read(path: Path) -> Cine:
    """Read a cine from a NIfTI file with axes (column, row, slice, time).

    Raises Excluded(UNREADABLE, NO_SHORT_AXIS, WRONG_UNIT).
    """
    image, content = _open(path)
    frames_TZRC = _values(image, content)
    if not _raw_header(content)["pixdim"][1:4].all():  # nibabel reads 0 as 1 mm
        raise Excluded(Reason.WRONG_UNIT, "voxel size 0 mm")
    spacing_mm = _spacing(image)
    return Cine(
        directions=_directions(image),
        slices=tuple(frames_TZRC[:, z] for z in range(frames_TZRC.shape[1])),
        spacing_mm=spacing_mm,
        positions_mm=tuple(spacing_mm[2] * z for z in range(frames_TZRC.shape[1])),
        frame_ms=_frame_ms(image, num_frames=len(frames_TZRC)),
        format="nifti",
    )


def read_labels(path: Path) -> tuple[np.ndarray, Sequence[Vector] | None]:
    """Read a segmentation as (T, Z, R, C) uint8, and the directions of its axes.

    Both are as in :func:`read`. Labels that are stored as floats are rounded.
    """
    image, content = _open(path)
    labels: np.ndarray = _values(image, content)
    if labels.dtype != np.uint8:
        if not np.isfinite(labels).all() or labels.min() < 0 or labels.max() > _MAX_LABEL:
            raise Excluded(Reason.NOT_FINITE, f"segmentation labels outside 0 to {_MAX_LABEL}")
        labels = np.asarray(np.rint(labels), np.uint8)
    return labels, _directions(image)


def _directions(image: nib.Nifti1Image) -> Sequence[Vector] | None:
    """Return the directions of columns, rows and slices in LPS; None if the header has none."""
    if not (image.header["sform_code"] > 0 or image.header["qform_code"] > 0):
        return None
    axes = np.diag([-1.0, -1.0, 1.0]) @ image.affine[:3, :3]  # from RAS
    return tuple(axes.T)


def _open(path: Path) -> tuple[nib.Nifti1Image, bytes]:
    """Return the image for its header, and the inflated bytes of the file, up to the size of a
    cine.
    """
    packed = raw.read(path, largest=8 * _MOST_VOXELS)
    try:
        head = _inflated(packed, most=_HEADER_BYTES)
        header = _kind(head).header_class.from_fileobj(io.BytesIO(head))
        voxels = math.prod(header.get_data_shape())
        if voxels > _MOST_VOXELS:
            raise Excluded(
                Reason.UNREADABLE,
                f"NIfTI: the header gives {voxels:,} voxels, more than a cine has",
            )
        size = int(header.get_data_offset()) + voxels * header.get_data_dtype().itemsize
        content = _inflated(packed, most=size + 1)
        if len(content) > size:
            raise Excluded(Reason.UNREADABLE, "NIfTI: more voxels than the header gives")
        return _kind(content).from_bytes(content), content
    except Excluded:
        raise
    except Exception as error:  # gzip and nibabel raise anything on damaged bytes
        raise Excluded(Reason.UNREADABLE, f"NIfTI: {type(error).__name__}") from None


def _kind(content: bytes) -> type[nib.Nifti1Image]:
    """Return the image class of NIfTI-1 or NIfTI-2, from the size of the header that it states."""
    sizes = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    second: bool = nib.Nifti2Header.sizeof_hdr in sizes
    found: type[nib.Nifti1Image] = nib.Nifti2Image if second else nib.Nifti1Image
    return found


def _raw_header(content: bytes) -> Any:
    """Return the header as it is stored, which nibabel changes when it makes an image."""
    kind = _kind(content).header_class
    return kind(content[: kind.sizeof_hdr], check=False)


def _inflated(raw: bytes, *, most: int) -> bytes:
    """Return the first `most` bytes of a file, inflated if it is gzip, of one member or several.

    Raises EOFError if gzip ends early.
    """
    if raw[:2] != _GZIP:
        return raw[:most] if len(raw) > most else raw
    parts: list[bytes] = []
    while raw[:2] == _GZIP and most > 0:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        parts.append(member.decompress(raw, max_length=most))
        most -= len(parts[-1])
        if most > 0 and not member.eof:
            raise EOFError("gzip")
        raw = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _values(image: nib.Nifti1Image, content: bytes) -> np.ndarray:
    """Return the voxels as (T, Z, R, C).

    They are a view of the file's bytes, or a float32 copy if the header scales them.
    """
    proxy = image.dataobj
    shape = tuple(proxy.shape) + (1,) * (4 - len(proxy.shape))
    if len(proxy.shape) < 3 or math.prod(shape[4:]) != 1 or 0 in shape:
        raise Excluded(
            Reason.NO_SHORT_AXIS,
            f"axes {'x'.join(map(str, proxy.shape))} are not column, row, slice, time",
        )
    if proxy.dtype.kind not in "iuf":
        raise Excluded(Reason.UNREADABLE, f"NIfTI: voxels of type {proxy.dtype}")
    try:
        voxels: np.ndarray = np.ndarray(
            shape[:4], proxy.dtype, buffer=content, offset=proxy.offset, order="F"
        ).T
    except (TypeError, ValueError):
        raise Excluded(Reason.UNREADABLE, "NIfTI: fewer voxels than the header gives") from None
    if (proxy.slope, proxy.inter) == (1.0, 0.0):
        return voxels
    return np.asarray(voxels * np.float32(proxy.slope) + np.float32(proxy.inter), np.float32)


def _spacing(image: nib.Nifti1Image) -> tuple[float, float, float]:
    """Return the distance between rows, columns and slices, mm.

    The distance between slices is measured along the normal if the affine agrees with the voxel
    size.
    """
    column_mm, row_mm, slice_mm = (float(zoom) for zoom in image.header.get_zooms()[:3])
    axes = image.affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if np.allclose(lengths, [column_mm, row_mm, slice_mm], rtol=0.01):
        normal = np.cross(axes[:, 0], axes[:, 1])
        slice_mm = float(abs(axes[:, 2] @ normal) / np.linalg.norm(normal))
    if not all(math.isfinite(mm) and mm > 0 for mm in (row_mm, column_mm, slice_mm)):
        raise Excluded(Reason.WRONG_UNIT, f"voxel size {row_mm} x {column_mm} x {slice_mm} mm")
    return row_mm, column_mm, slice_mm


def _frame_ms(image: nib.Nifti1Image, *, num_frames: int) -> float | None:
    """Return the time between frames.

    None if the frames would not make up one heart beat, as in a header left at its defaults.
    """
    zooms = image.header.get_zooms()
    if len(zooms) < 4:
        return None
    frame_ms = float(zooms[3]) * _MS.get(image.header.get_xyzt_units()[1], math.nan)
    return frame_ms if _CYCLE_MS[0] <= frame_ms * num_frames <= _CYCLE_MS[1] else None
