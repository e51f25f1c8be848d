"""Derive the electrical activity of the heart from the causes.

This is the only link between an ECG and the ventricles. The directions of the effects are those
of textbooks. Muscle mass increases the QRS voltage and turns it to the back, and it weakens and
turns the T wave (strain). Fat and a large chest lower all voltages. Mass and volume lengthen the
QRS complex. A large right ventricle turns the frontal axis to the right. QT follows the length of
systole, and therefore the heart rate. A weak ventricle has a flat T wave with a wide QRS-T angle.
Atrial remodelling lengthens PR and the P wave, and it increases the left atrial part of the P wave.

How much an ECG tells about the timing of one heart is a setting (`simulation.timing`). A share of
the spread of the QRS width and of the onset of the T wave, which otherwise no phenotype explains,
comes from the delay between R-peak and ejection. The spread itself is the same for every share.
"""

from dataclasses import dataclass, fields

import numpy as np

from ptacl.cohort.simulation.causes import Array, Causes
from ptacl.cohort.simulation.nuisance import EcgNuisance

TIMING = {"none": 0.0, "default": 0.25, "strong": 0.75}
"""Share of the variance of QRS width and T onset that comes from the delay of ejection."""

_DELAY_MS = (83.0, 16.0)  # mean and SD of the delay of ejection over the population
_T_ONSET_MS = 10.0


@dataclass(frozen=True)
class Electrical:
    """Electrical causes.

    All fields have the same shape: () for one person, (n,) for a population.
    """

    rate_bpm: Array
    pr_ms: Array
    p_ms: Array
    qrs_ms: Array
    qt_ms: Array
    voltage_log: Array  # of the main QRS vector, mV
    axis_deg: Array  # frontal, 0 to the left arm, 90 to the feet
    azimuth_deg: Array  # of the main QRS vector, positive to the back
    septal_log: Array  # initial vector relative to the main one
    right_log: Array  # right ventricular vector relative to the main one
    basal_log: Array  # terminal vector relative to the main one
    t_log: Array  # T relative to QRS
    t_angle_deg: Array  # between QRS and T, in the horizontal plane
    t_peak: Array  # position of the T peak as a fraction of QT
    p_left_log: Array  # left relative to right atrial part of the P wave
    t_onset_ms: Array  # displacement of the T onset, positive if late

    def as_matrix(self) -> Array:
        """Return the causes of a population as an array (n, 16)."""
        return np.stack([getattr(self, f.name) for f in fields(self)], axis=-1)


def timing(activity: Electrical) -> dict[str, float]:
    """Return the heart rate and QT interval in the ECG of one person."""
    return {"ecg_rate_bpm": float(activity.rate_bpm), "ecg_qt_ms": float(activity.qt_ms)}


def draw(
    causes: Causes, rng: np.random.Generator, *, nuisance: EcgNuisance, share: float
) -> Electrical:
    """Draw the electrical causes of each person, with the spread that no phenotype explains.

    `share` is the share of this spread, for the QRS width and the T onset, that comes from the
    delay of ejection (see `TIMING`).
    """
    shape = np.shape(causes.male)
    mean_ms, sd_ms = _DELAY_MS
    late = (causes.ejection_delay_ms - mean_ms) / sd_ms

    def spread(size: float, *, share: float = 0.0) -> Array:
        unexplained = rng.standard_normal(shape)
        return np.asarray(
            nuisance.physiology * size * (np.sqrt(share) * late + np.sqrt(1 - share) * unexplained)
        )

    mass = np.log(causes.mass_g / 90)
    volume = np.log(causes.edv_ml / 147)
    residual = np.log(causes.esv_ml / 60)
    right = np.log(causes.rv_edv_ml / causes.edv_ml / 1.08)
    right_size = np.log(causes.rv_edv_ml / 158)
    weak = (0.59 - causes.ef) / 0.06
    body = np.log(causes.bsa / 1.86)
    fat = (causes.bmi - 26.5) / 4
    rate = causes.heart_rate_bpm * np.exp(nuisance.heart_rate_log * rng.standard_normal(shape))
    # systole at the rate of the ECG
    systole = causes.systole_ms - 2.05 * (rate - causes.heart_rate_bpm)
    return Electrical(
        rate_bpm=rate,
        pr_ms=158 + 0.35 * (causes.age - 64) + 8 * causes.atrial + spread(13.9),
        p_ms=106 + 5 * causes.atrial + 3 * residual + spread(3.3),
        qrs_ms=np.clip(
            92 + 18 * mass + 14 * volume + 3 * causes.male + spread(6, share=share), 70, 150
        ),
        qt_ms=systole + 14 + spread(8),
        voltage_log=np.log(1.1) + 0.75 * mass - 0.7 * body - 0.05 * fat + spread(0.16),
        axis_deg=np.clip(
            40 + 210 * right - 7 * fat - 0.35 * (causes.age - 64) + spread(12), -45, 100
        ),
        azimuth_deg=np.clip(20 + 26 * mass + 14 * volume + spread(8), -15, 60),
        septal_log=np.log(0.33) - 0.35 * mass + spread(0.14),
        right_log=np.log(0.34) + 0.9 * right_size - 0.6 * mass + spread(0.18),
        basal_log=np.log(0.34) + 0.5 * volume + spread(0.16),
        t_log=np.log(0.25) + 0.12 * causes.male - 0.40 * mass - 0.17 * weak + spread(0.19),
        t_angle_deg=np.clip(48 + 20 * mass + 11 * weak + spread(16), 5, 150),
        t_peak=np.clip(0.765 + 0.006 * weak + spread(0.014), 0.70, 0.83),
        p_left_log=0.12 * causes.atrial + 0.2 * residual + spread(0.134),
        t_onset_ms=spread(_T_ONSET_MS, share=share),
    )
