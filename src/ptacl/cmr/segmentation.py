"""Check whether a segmentation fits its cine; otherwise the cine is used without it.

Blood is bright and muscle dark in a cine, and when the ventricle contracts, muscle replaces blood.
A segmentation that is flipped, displaced or shifted in time disagrees with both. The limits come
from a real cine and from simulated ones. In the real cine, agreement in place is 0.99 as segmented
and at most 0.74 after a move by five pixels; agreement in time is 0.95 as segmented and -0.9 after
a shift by half a cycle.
"""

from collections.abc import Sequence

import numpy as np

from ptacl import config
from ptacl.cmr.volumes import pixels
from ptacl.exclusions import Excluded, Reason

_MIN_PIXELS = 10  # fewer of a label in a slice are specks
_MIN_KNOWN = 0.5  # share of the labelled voxels that have a known label
_MIN_FRAMES = 0.9  # share of frames that show the cavity
_MIN_PLACE = 0.8  # contrast of blood and muscle at the labels, as a share of the best within reach
_MIN_TIME = 0.3  # agreement between filling and brightness
_REACH_MM = 60.0
_SOME = 4  # number of slices and frames that are checked


def check(
    labels_TZRC: np.ndarray,
    *,
    slices: Sequence[np.ndarray],
    spacing_mm: tuple[float, float],
    labels: config.Labels,
) -> None:
    """Raise Excluded(SEGMENTATION_MISMATCH) if the labels do not fit the cine.

    Labels without any cavity are not refused, because some slices and people show none. labels_TZRC
    : (T, Z, R, C). slices : (T, R, C) each. spacing_mm : distance between rows and between columns.
    """

    def refuse(detail: str) -> Excluded:
        return Excluded(Reason.SEGMENTATION_MISMATCH, detail)

    first = labels_TZRC[:: max(len(labels_TZRC) // _SOME, 1)]  # enough to see which labels exist
    known = sum(np.count_nonzero(first == value) for value in labels.model_dump().values())
    if known < _MIN_KNOWN * np.count_nonzero(first):
        raise refuse("most labelled voxels have none of the known labels")
    cavity_TZ = np.stack(
        [pixels(labels_TZRC[:, z], labels.lv) for z in range(labels_TZRC.shape[1])], axis=1
    )
    held = np.count_nonzero(cavity_TZ.any(axis=1))
    if 0 < held < _MIN_FRAMES * len(labels_TZRC):
        raise refuse(f"the cavity is labelled in {held} of {len(labels_TZRC)} frames")
    # The slices with most cavity, because it moves there; a few are enough.
    chosen = np.sort(np.argsort(-cavity_TZ.sum(0), kind="stable")[:_SOME])
    labels_TZRC, slices = labels_TZRC[:, chosen], [slices[z] for z in chosen]
    if (
        share := _place(labels_TZRC, slices=slices, spacing_mm=spacing_mm, labels=labels)
    ) < _MIN_PLACE:
        raise refuse(
            f"it is displaced from the heart: {share:.0%} of the contrast that it has elsewhere"
        )
    if (agreement := _time(labels_TZRC, slices=slices, lv=labels.lv)) < _MIN_TIME:
        raise refuse(f"its motion does not follow the image: agreement {agreement:.2f}")


def _place(
    labels_TZRC: np.ndarray,
    *,
    slices: Sequence[np.ndarray],
    spacing_mm: tuple[float, float],
    labels: config.Labels,
) -> float:
    """Compare the contrast of blood over muscle at the labels with the best of any displacement.

    Returns the share of that best contrast; 1 if the labels lack blood or muscle.
    """
    total: np.ndarray | complex = 0j
    shape = slices[0].shape[1:]
    for t in (0, len(labels_TZRC) // 2):
        for z, frames in enumerate(slices):
            here = labels_TZRC[t, z]
            muscle, bloods = here == labels.myocardium, [here == labels.lv, here == labels.rv]
            bloods = [blood for blood in bloods if np.count_nonzero(blood) >= _MIN_PIXELS]
            if len(frames) <= t or not bloods or np.count_nonzero(muscle) < _MIN_PIXELS:
                continue
            weights = sum(blood / np.count_nonzero(blood) for blood in bloods) / len(
                bloods
            ) - muscle / np.count_nonzero(muscle)
            image = np.nan_to_num(frames[t].astype(np.float32), posinf=0, neginf=0)
            total = total + np.fft.rfft2(image / (image.std() + 1e-9)) * np.conj(
                np.fft.rfft2(weights)
            )
    if isinstance(total, complex):
        return 1.0
    contrast = np.fft.irfft2(total, shape)
    rows_mm, columns_mm = (
        np.fft.fftfreq(n, 1 / n) * mm for n, mm in zip(shape, spacing_mm, strict=True)
    )
    best = contrast[np.hypot(rows_mm[:, None], columns_mm) <= _REACH_MM].max()
    return float(contrast[0, 0] / best) if best > 0 else 0.0


def _time(labels_TZRC: np.ndarray, *, slices: Sequence[np.ndarray], lv: int) -> float:
    """Measure whether pixels that are cavity for a part of the cycle are brighter in that part.

    Returns values from 1 (all brighter) to -1 (all darker), weighted by the change; 1 if there are
    no such pixels.
    """
    gained = total = 0.0
    for z, frames in enumerate(slices):
        cavity = labels_TZRC[:, z] == lv
        filled = np.count_nonzero(cavity, axis=0)
        partly = (filled > 0) & (filled < len(cavity))
        if len(frames) != len(cavity) or not partly.any():
            continue
        pixels, inside, times = (
            np.nan_to_num(frames[:, partly].astype(np.float32)),
            cavity[:, partly],
            filled[partly],
        )
        change = (pixels * inside).sum(0) / times - (pixels * ~inside).sum(0) / (
            len(cavity) - times
        )
        gained, total = gained + float(change.sum()), total + float(np.abs(change).sum())
    return gained / total if total else 1.0
