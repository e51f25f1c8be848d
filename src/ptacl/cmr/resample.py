"""Bring the pixels of a cine to one size in millimetres, so that a crop shows the same part of
every heart, and a sequence to one number of frames.
"""

from dataclasses import replace

import numpy as np

from ptacl.cmr.cine import Cine

_SAME = 0.01  # relative difference of pixel sizes that is left as it is


def resampled(cine: Cine, *, pixel_mm: float) -> Cine:
    """Return the cine with square pixels of this size; unchanged if it has them within 1 %.

    The interpolation is linear. When pixels become larger, each is a mean over about its own size,
    with weights that fall linearly from its centre.
    """
    row_mm, column_mm, slice_mm = cine.spacing_mm
    if max(abs(row_mm / pixel_mm - 1), abs(column_mm / pixel_mm - 1)) <= _SAME:
        return cine
    num_rows, num_columns = cine.shape[2:]
    along_rows = _weights(num_rows, ratio=pixel_mm / row_mm)
    along_columns = _weights(num_columns, ratio=pixel_mm / column_mm).T
    return replace(
        cine,
        slices=tuple(
            along_rows @ frames.astype(np.float32) @ along_columns for frames in cine.slices
        ),
        spacing_mm=(pixel_mm, pixel_mm, slice_mm),
    )


def resampled_labels(labels_TZRC: np.ndarray, *, original: Cine, pixel_mm: float) -> np.ndarray:
    """Return the labels of a cine with the pixels of the resampled one, each of the nearest pixel.

    `original` is the cine before :func:`resampled`.
    """
    row_mm, column_mm, _ = original.spacing_mm
    rows, columns = (
        np.clip(np.rint(_centres(old, ratio=pixel_mm / mm)), 0, old - 1).astype(np.int64)
        for old, mm in zip(labels_TZRC.shape[2:], (row_mm, column_mm), strict=True)
    )
    return labels_TZRC[:, :, rows[:, None], columns]


def interpolated(sequence_TRC: np.ndarray, *, frames: int) -> np.ndarray:
    """Interpolate a sequence (T, R, C) uint8 over one cardiac cycle to (frames, R, C) uint8.

    The cycle is closed: the first frame follows the last. Frame k of the result is at k / frames of
    the cycle, so frame 0 is unchanged. The interpolation is linear between neighbouring frames.
    """
    old = len(sequence_TRC)
    before, share = np.divmod(np.arange(frames) * old / frames, 1)
    first = before.astype(np.int64)
    weight = share[:, None, None].astype(np.float32)
    mixed = sequence_TRC[first] * (1 - weight) + sequence_TRC[(first + 1) % old] * weight
    return np.asarray(np.rint(mixed), np.uint8)


def _centres(old: int, *, ratio: float) -> np.ndarray:
    """Return the centres of the new pixels in old pixels; both images have the same centre.

    `ratio` is the size of a new pixel in old ones.
    """
    new = max(round(old / ratio), 1)
    return (np.arange(new) - (new - 1) / 2) * ratio + (old - 1) / 2


def _weights(old: int, *, ratio: float) -> np.ndarray:
    """Return the weights (new, old) of the old pixels in each new one, float32."""
    distance = np.abs(_centres(old, ratio=ratio)[:, None] - np.arange(old))
    weights = np.clip(1 - distance / max(ratio, 1.0), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
