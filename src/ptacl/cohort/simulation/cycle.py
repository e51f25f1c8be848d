"""Model ventricular filling over the cardiac cycle, from R-peak to R-peak."""

import numpy as np

from ptacl.cohort.simulation.causes import Array


def filling(
    time_ms: Array, *, delay_ms: float, systole_ms: float, rr_ms: float, early: float
) -> Array:
    """Return the fraction of the stroke volume that is in the ventricle, in the shape of `time_ms`.

    It is 1 at the R-peak and 0 at the end of systole. The phases are isovolumic contraction,
    ejection, isovolumic relaxation, early filling (the fraction `early` of the stroke volume),
    diastasis, and atrial contraction. Diastole takes the rest of the cycle, and its phases scale
    with its length.
    """
    diastole = rr_ms - systole_ms
    ejected = _step((time_ms - delay_ms) / (systole_ms - delay_ms))
    since = (time_ms - systole_ms) / diastole
    relaxation = min(0.12, 55 / diastole)
    atrial = 1 - early - 0.08
    filled = (
        early * _step((since - relaxation) / 0.34)
        + 0.08 * np.clip((since - relaxation) / (0.96 - relaxation), 0, 1)
        + atrial * _step((since - 0.70) / 0.27)
    )
    return np.asarray(1 - ejected + filled)


def early_share(age: float) -> float:
    """Return the fraction of the stroke volume that enters early, which decreases with age."""
    return float(np.clip(0.70 - 0.0055 * (age - 45), 0.35, 0.75))


def _step(x: Array) -> Array:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
