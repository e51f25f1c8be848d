"""Whether a segmentation can be that of its cine: otherwise it is refused, and the cine is used without.

Blood is bright and muscle dark in a cine, and where the ventricle contracts, muscle comes in the place of blood. A segmentation
that is flipped, displaced or shifted in time disagrees with both. Limits come from a real cine (0.99 and 0.95 as segmented,
0.74 and below in place when moved by five pixels; -0.9 in time when moved by half a cycle) and from simulated ones.
"""

from collections.abc import Sequence

import numpy as np

from ptacl import config
from ptacl.cmr.volumes import pixels
from ptacl.exclusions import Excluded, Reason

_MIN_PIXELS = 10  # of a label in a slice: fewer are specks
_MIN_KNOWN = 0.5  # share of what is labelled that has a known label
_MIN_FRAMES = 0.9  # share of frames that show the cavity
_MIN_PLACE = 0.8  # contrast of blood and muscle where the labels are, of the best within reach
_MIN_TIME = 0.3  # agreement of filling and brightness
_REACH_MM = 60.0
_SOME = 4  # slices and frames that are looked at


def check(
    labels_TZRC: np.ndarray, *, slices: Sequence[np.ndarray], spacing_mm: tuple[float, float], labels: config.Labels
) -> None:
    """Raise Excluded(SEGMENTATION_MISMATCH) with what is wrong; labels (T, Z, R, C), slices (T, R, C), mm of rows and columns.

    Labels that show no cavity at all are not refused: there are slices and people without.
    """

    def refuse(detail: str) -> Excluded:
        return Excluded(Reason.SEGMENTATION_MISMATCH, detail)

    first = labels_TZRC[:: max(len(labels_TZRC) // _SOME, 1)]  # a few frames tell which labels there are
    known = sum(np.count_nonzero(first == value) for value in labels.model_dump().values())
    if known < _MIN_KNOWN * np.count_nonzero(first):
        raise refuse("most of what is labelled has none of the known labels")
    cavity_TZ = np.stack([pixels(labels_TZRC[:, z], labels.lv) for z in range(labels_TZRC.shape[1])], axis=1)
    held = np.count_nonzero(cavity_TZ.any(axis=1))
    if 0 < held < _MIN_FRAMES * len(labels_TZRC):
        raise refuse(f"the cavity is labelled in {held} of {len(labels_TZRC)} frames")
    # the slices with most cavity: it moves there, and a few are enough
    chosen = np.sort(np.argsort(-cavity_TZ.sum(0), kind="stable")[:_SOME])
    labels_TZRC, slices = labels_TZRC[:, chosen], [slices[z] for z in chosen]
    if (share := _place(labels_TZRC, slices=slices, spacing_mm=spacing_mm, labels=labels)) < _MIN_PLACE:
        raise refuse(f"it lies beside the heart: {share:.0%} of the contrast that it has elsewhere")
    if (agreement := _time(labels_TZRC, slices=slices, lv=labels.lv)) < _MIN_TIME:
        raise refuse(f"its motion is not that of the image: agreement {agreement:.2f}")


def _place(
    labels_TZRC: np.ndarray, *, slices: Sequence[np.ndarray], spacing_mm: tuple[float, float], labels: config.Labels
) -> float:
    """Contrast of blood over muscle under the labels, as a share of the best that they have when moved; 1 without both."""
    total: np.ndarray | complex = 0j
    shape = slices[0].shape[1:]
    for t in (0, len(labels_TZRC) // 2):
        for z, frames in enumerate(slices):
            here = labels_TZRC[t, z]
            muscle, bloods = here == labels.myocardium, [here == labels.lv, here == labels.rv]
            bloods = [blood for blood in bloods if np.count_nonzero(blood) >= _MIN_PIXELS]
            if len(frames) <= t or not bloods or np.count_nonzero(muscle) < _MIN_PIXELS:
                continue
            weights = sum(blood / np.count_nonzero(blood) for blood in bloods) / len(bloods) - muscle / np.count_nonzero(muscle)
            image = np.nan_to_num(frames[t].astype(np.float32), posinf=0, neginf=0)
            total = total + np.fft.rfft2(image / (image.std() + 1e-9)) * np.conj(np.fft.rfft2(weights))
    if isinstance(total, complex):
        return 1.0
    contrast = np.fft.irfft2(total, shape)
    rows_mm, columns_mm = (np.fft.fftfreq(n, 1 / n) * mm for n, mm in zip(shape, spacing_mm, strict=True))
    best = contrast[np.hypot(rows_mm[:, None], columns_mm) <= _REACH_MM].max()
    return float(contrast[0, 0] / best) if best > 0 else 0.0


def _time(labels_TZRC: np.ndarray, *, slices: Sequence[np.ndarray], lv: int) -> float:
    """Of pixels that are cavity for a part of the cycle: brighter as cavity less darker, from 1 to -1; 1 without any."""
    gained = total = 0.0
    for z, frames in enumerate(slices):
        cavity = labels_TZRC[:, z] == lv
        filled = np.count_nonzero(cavity, axis=0)
        partly = (filled > 0) & (filled < len(cavity))
        if len(frames) != len(cavity) or not partly.any():
            continue
        pixels, inside, times = np.nan_to_num(frames[:, partly].astype(np.float32)), cavity[:, partly], filled[partly]
        change = (pixels * inside).sum(0) / times - (pixels * ~inside).sum(0) / (len(cavity) - times)
        gained, total = gained + float(change.sum()), total + float(np.abs(change).sum())
    return gained / total if total else 1.0
