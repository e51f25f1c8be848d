"""Locate the heart: the middle slice, the centre of the crop, and the crop itself.

With a segmentation, both follow it. Without one, the middle slice is that of the stack, and the
centre is where the image moves most: the amplitude of the first temporal harmonic, relative to
brightness, summed over slices within about the radius of a left ventricle. That point is between
the ventricles, like the centroid of a segmentation of both.
"""

import math
from collections.abc import Sequence

import numpy as np

# Standard deviation of the window: a left ventricle with its wall has a radius of 25 to 40 mm.
_HEART_MM = 30.0
_MIN_PIXELS = 10  # fewer of a label in a slice are specks, as in the checks of ukbb_cardiac
_STILL = 1e-5  # lower mean relative amplitudes of a slice are rounding errors

_USUAL = 99.9  # percentile: in a sound cine, the brightest 0.1 % are not far brighter than the rest

Centre = tuple[float, float]


def middle_slice(labels_TZRC: np.ndarray, *, lv: int) -> int | None:
    """Return the middle of the slices that show left ventricular cavity in frame 0.

    None if no slice shows it; Z // 2 if all do.
    """
    held = np.flatnonzero(np.count_nonzero(labels_TZRC[0] == lv, axis=(1, 2)) >= _MIN_PIXELS)
    return int(held[0] + held[-1] + 1) // 2 if len(held) else None


def label_centre(labels_TRC: np.ndarray, *, values: Sequence[int]) -> Centre | None:
    """Return the centroid (row, column) of the pixels with one of these labels in a slice.

    A pixel counts if it has the label in any frame. None if there are fewer than 10 such pixels.
    """
    rows, columns = np.nonzero(np.isin(labels_TRC, values).any(axis=0))
    return (float(rows.mean()), float(columns.mean())) if len(rows) >= _MIN_PIXELS else None


def motion_centre(
    slices: Sequence[np.ndarray], *, spacing_mm: tuple[float, float]
) -> Centre | None:
    """Return the centre (row, column) of motion in slices (T, R, C); None if nothing moves.

    Amplitudes are relative, and their root is taken, so that the extent of motion counts and not a
    single bright edge of moving fat. Each slice has the same weight. spacing_mm : distance between
    rows and between columns.
    """
    motion = np.zeros(slices[0].shape[1:])
    for frames in slices:
        amplitude = _relative_harmonic(frames)
        if (level := amplitude.mean()) > _STILL:
            motion += amplitude / level
    if not motion.any():
        return None
    row, column = np.unravel_index(
        np.argmax(_smooth(np.sqrt(motion), spacing_mm=spacing_mm)), motion.shape
    )
    return float(row), float(column)


def _relative_harmonic(frames_TRC: np.ndarray) -> np.ndarray:
    """Compute the relative amplitude (R, C) of the first temporal harmonic; NaN counts as 0.

    It is divided by the mean of the pixel plus the mean of the tissue, which are the pixels
    brighter than the mean of the slice. The mean of the tissue does not depend on the amount of air
    around the body.
    """
    num_frames = len(frames_TRC)
    phase = 2 * np.pi * np.arange(num_frames) / num_frames
    basis = np.stack([np.cos(phase) * (num_frames > 1), np.sin(phase), np.ones(num_frames)]).astype(
        np.float32
    )
    # In this order, a slice of a volume is copied once.
    pixels = frames_TRC.astype(np.float32).reshape(num_frames, -1)
    if frames_TRC.dtype.kind == "f":
        np.nan_to_num(pixels, copy=False, posinf=0, neginf=0)
    cosine, sine, total = basis @ pixels
    brightness = np.abs(total)
    tissue = brightness[brightness >= brightness.mean()].mean()
    relative: np.ndarray = np.hypot(cosine, sine) / (
        brightness + tissue + np.finfo(np.float32).tiny
    )
    return relative.reshape(frames_TRC.shape[1:])


def _smooth(image: np.ndarray, *, spacing_mm: tuple[float, float]) -> np.ndarray:
    """Convolve with a Gaussian of _HEART_MM; outside the image is 0."""
    shape = tuple(2 * n for n in image.shape)
    transform = np.fft.rfft2(image, shape)
    transform *= np.exp(
        -2 * np.square(np.pi * np.fft.fftfreq(shape[0]) * _HEART_MM / spacing_mm[0])
    )[:, None]
    transform *= np.exp(
        -2 * np.square(np.pi * np.fft.rfftfreq(shape[1]) * _HEART_MM / spacing_mm[1])
    )
    return np.fft.irfft2(transform, shape)[: image.shape[0], : image.shape[1]]


def crop(
    frames_TRC: np.ndarray,
    *,
    centre: Centre,
    size: int,
    clip_percentiles: tuple[float, float],
    hot_ratio: float,
) -> tuple[np.ndarray | None, int]:
    """Cut square crops (T, size, size) uint8 from a slice, and count its hot pixels.

    The whole sequence shares one window and one intensity range, because a range per frame would
    flicker. The range between the percentiles of the pixels inside the crop becomes 0 to 255. If it
    is more than `hot_ratio` times that of 99.9 % of the pixels, the few pixels above are faults
    that would leave the rest of the image dark; the range then ends at that percentile, and they
    are counted. Pixels outside the image are 0. The crop is None if it has no contrast.
    """
    rows, columns = (
        _window(c, size=size, length=n) for c, n in zip(centre, frames_TRC.shape[1:], strict=True)
    )
    inside = frames_TRC[:, rows[0], columns[0]].astype(np.float32)
    if not inside.size:
        return None, 0
    low, high, usual = np.percentile(inside, [*clip_percentiles, _USUAL])
    hot = 0
    if usual > low and high - low > hot_ratio * (usual - low):
        high, hot = usual, int(np.count_nonzero(inside > usual))
    if not high > low:
        return None, 0
    out = np.zeros((len(inside), size, size), np.uint8)
    out[:, rows[1], columns[1]] = np.rint(np.clip((inside - low) / (high - low), 0, 1) * 255)
    return out, hot


def first_pixel(centre: float, *, size: int) -> int:
    """Return the first pixel of a window, row or column; it can be outside the image."""
    return math.floor(centre - size / 2) + 1


def _window(centre: float, *, size: int, length: int) -> tuple[slice, slice]:
    """Return the part of an axis under a window, and its place in the window."""
    start = first_pixel(centre, size=size)
    first, last = max(start, 0), max(min(start + size, length), 0)
    return slice(first, last), slice(first - start, last - start)
