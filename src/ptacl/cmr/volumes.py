"""Compute ventricular volumes, function and mass from a segmentation of every frame.

The definitions are those of UK Biobank's fields 24100 to 24109. End-diastole is frame 0.
End-systole is the frame of the smallest left ventricular cavity, also for the right ventricle. Mass
is that of the myocardium at end-diastole.
"""

from collections.abc import Mapping

import numpy as np

from ptacl import config

_ML_PER_MM3 = 1e-3


def pixels(labels: np.ndarray, value: int) -> np.ndarray:
    """Count the pixels of each frame (first axis) that have a label, (T,).

    The loop is ten times as fast as a count along axes, which sums numbers.
    """
    return np.array([np.count_nonzero(frame == value) for frame in labels], dtype=np.int64)


def volume_curves(
    labels_TZRC: np.ndarray, *, spacing_mm: tuple[float, float, float], labels: config.Labels
) -> dict[str, np.ndarray]:
    """Compute the volume in mL of each label over time, (T,) by name: lv, myocardium, rv.

    A label that does not occur is left out.
    """
    voxel_ml = float(np.prod(spacing_mm)) * _ML_PER_MM3
    counts = {name: pixels(labels_TZRC, value) for name, value in labels.model_dump().items()}
    return {name: count * voxel_ml for name, count in counts.items() if count.any()}


def measure(
    curves: Mapping[str, np.ndarray], *, frame_ms: float | None, density_g_per_ml: float
) -> dict[str, float]:
    """Compute phenotypes by name from volume curves: mL, percent, L/min and g.

    curves : output of :func:`volume_curves`. LVCO needs the time between frames, because the frames
    make up one beat. Phenotypes that cannot be computed are left out.
    """
    found: dict[str, float] = {}
    if "lv" not in curves:
        return found
    systole = int(np.argmin(curves["lv"]))
    for name, curve in (("LV", curves["lv"]), ("RV", curves.get("rv"))):
        if curve is None or not curve[0]:
            continue
        diastolic_ml, systolic_ml = float(curve[0]), float(curve[systole])
        stroke_ml = diastolic_ml - systolic_ml
        found |= {f"{name}EDV": diastolic_ml, f"{name}ESV": systolic_ml, f"{name}SV": stroke_ml}
        found[f"{name}EF"] = 100 * stroke_ml / diastolic_ml
    if "LVSV" in found and frame_ms:
        found["LVCO"] = found["LVSV"] * 60 / (frame_ms * len(curves["lv"]))
    if "myocardium" in curves and curves["myocardium"][0]:
        found["LVM"] = float(curves["myocardium"][0]) * density_g_per_ml
    return found
