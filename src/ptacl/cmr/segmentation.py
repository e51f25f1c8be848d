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
    by_slice = [pixels(labels_TZRC[:, z], labels.lv) for z in range(labels_TZRC.shape[1])]
    cavity_TZ = np.stack(by_slice, axis=1)
    held = np.count_nonzero(cavity_TZ.any(axis=1))
    if 0 < held < _MIN_FRAMES * len(labels_TZRC):
        raise refuse(f"the cavity is labelled in {held} of {len(labels_TZRC)} frames")
    # The slices with most cavity, because it moves there; a few are enough.
    chosen = np.sort(np.argsort(-cavity_TZ.sum(0), kind="stable")[:_SOME])
    labels_TZRC, slices = labels_TZRC[:, chosen], [slices[z] for z in chosen]
    share = _place(labels_TZRC, slices=slices, spacing_mm=spacing_mm, labels=labels)
    if share < _MIN_PLACE:
        raise refuse(
            f"it is displaced from the heart: {share:.0%} of the contrast that it has elsewhere"
        )
    agreement = _time(labels_TZRC, slices=slices, lv=labels.lv)
    if agreement < _MIN_TIME:
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
    spectra = []
    for t in (0, len(labels_TZRC) // 2):
        for z, frames in enumerate(slices):
            weights = _blood_over_muscle(labels_TZRC[t, z], labels)
            if weights is not None and t < len(frames):
                image = np.nan_to_num(frames[t].astype(np.float32), posinf=0, neginf=0)
                spectrum = np.fft.rfft2(image / (image.std() + 1e-9))
                spectra.append(spectrum * np.conj(np.fft.rfft2(weights)))
    if not spectra:
        return 1.0
    shape = slices[0].shape[1:]
    contrast = np.fft.irfft2(sum(spectra), shape)  # for every displacement
    rows_mm = np.fft.fftfreq(shape[0], 1 / shape[0]) * spacing_mm[0]
    columns_mm = np.fft.fftfreq(shape[1], 1 / shape[1]) * spacing_mm[1]
    best = contrast[np.hypot(rows_mm[:, None], columns_mm) <= _REACH_MM].max()
    return float(contrast[0, 0] / best) if best > 0 else 0.0


def _blood_over_muscle(labels_RC: np.ndarray, labels: config.Labels) -> np.ndarray | None:
    """Return weights whose product with an image is the mean of blood minus the mean of muscle.

    Both ventricles weigh the same. None if the labels lack blood or muscle.
    """
    muscle = labels_RC == labels.myocardium
    if np.count_nonzero(muscle) < _MIN_PIXELS:
        return None
    means = []
    for value in (labels.lv, labels.rv):
        blood = labels_RC == value
        if np.count_nonzero(blood) >= _MIN_PIXELS:
            means.append(blood / np.count_nonzero(blood))
    if not means:
        return None
    weights: np.ndarray = sum(means) / len(means) - muscle / np.count_nonzero(muscle)
    return weights


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
        values = np.nan_to_num(frames[:, partly].astype(np.float32))
        inside, times = cavity[:, partly], filled[partly]
        bright = (values * inside).sum(0) / times
        dark = (values * ~inside).sum(0) / (len(cavity) - times)
        gained += float((bright - dark).sum())
        total += float(np.abs(bright - dark).sum())
    return gained / total if total else 1.0
