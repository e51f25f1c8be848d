"""Sizes of all effects that obscure the heart.

There is one class per modality, and one for the phenotype table. Edit these numbers to make the
simulated cohort harder or easier. None of them depends on a phenotype. A spread is a standard
deviation, or that of a logarithm if the name ends in `_log`, unless the comment gives a range.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class EcgNuisance:
    """Effects between the electrical activity of the heart and the twelve leads of the file."""

    # person: the same heart recorded through another chest
    # scale of the spread of the electrical causes that no phenotype explains (electrical.py)
    physiology: float = 1.0
    torso_gain_log: float = 0.25  # conductivity and distance: one gain for all leads
    lead_gain_log: float = 0.24  # one gain for each lead
    chest_shift: float = 0.40  # misplaced chest electrodes: fraction of the neighbouring lead
    limb_mixing: float = 0.15  # limb electrodes placed on the trunk: mixing of leads I and II
    rotation_degrees: float = 14.0  # position of the heart in the chest, about each axis
    morphology: float = 0.22  # direction of the small QRS parts, independent of phenotypes
    notch: float = 0.14  # notch in the QRS complex, as a fraction of its voltage
    # beat to beat
    respiration_gain: float = 0.06  # amplitude modulation by breathing
    respiration_degrees: float = 3.0  # rotation of the axis by breathing
    beat_gain: float = 0.035  # amplitude of one beat
    beat_shape: float = 0.05  # amplitude of one wave of one beat
    heart_rate_log: float = 0.04  # the ECG is not recorded at the same time as the cine
    sinus_arrhythmia: float = 0.025  # RR modulation by breathing
    rr_noise: float = 0.012  # RR interval of one beat
    # recording
    wander_mv: float = 0.07  # baseline wander of an electrode, below 0.6 Hz
    drift_mv: float = 0.12  # slow drift over the record
    muscle_mv: float = 0.011  # muscle noise of an electrode, 20 to 150 Hz, times log-normal factors
    muscle_log: float = 0.4
    mains_mv: float = 0.010  # 50 Hz hum of an electrode, times a log-normal factor of the record
    mains_log: float = 0.7
    interval_ms: float = 4.0  # error of the intervals that the device measures
    axis_degrees: float = 4.0  # error of the axes that the device measures
    blank: float = 0.04  # fraction of device measurements that are empty


@dataclass(frozen=True)
class CineNuisance:
    """Effects between the ventricles and the grey values of the file."""

    # geometry
    length_log: float = 0.045  # long axis at a given volume: round or slender hearts
    rv_length: float = 0.05  # fraction of the length of the LV that the RV reaches
    profile: float = 0.25  # exponent of the tapering towards the apex
    shape: float = 0.06  # second and third harmonic of the LV outline
    rv_angle_degrees: float = 7.0  # half angle that the RV wraps around the LV
    centre_mm: float = 8.0  # distance of the LV from the image centre (a range, each way)
    rotation_degrees: float = 16.0  # direction of the septum in the image plane
    plane_degrees: float = 8.0  # orientation of the stack in the body
    breath_hold_mm: float = 1.5  # in-plane shift of one slice relative to its neighbours
    # surroundings, as fractions of the brightness of blood
    fat: tuple[float, float] = (0.50, 1.20)  # range of fat brightness
    fat_thickness_mm: tuple[float, float] = (4.0, 34.0)  # chest wall; increases with BMI
    epicardial_fat_mm: tuple[float, float] = (0.5, 9.0)  # rim around the heart
    liver: tuple[float, float] = (0.12, 0.60)
    lung: tuple[float, float] = (0.03, 0.18)
    gap_mm: tuple[float, float] = (4.0, 26.0)  # from the heart to the liver, and to the chest wall
    texture: float = 0.15  # smooth variation of the surroundings
    # signal
    muscle: tuple[float, float] = (0.28, 0.50)  # range of myocardium relative to blood
    rv_blood: tuple[float, float] = (0.82, 1.08)  # RV blood relative to LV blood
    papillary: tuple[float, float] = (0.25, 0.85)  # darkness of papillary muscles and trabeculae
    inflow: float = 0.10  # brightening of blood over the cycle
    shading: float = 0.28  # coil: brightness gradient across the field of view
    edge_px: tuple[float, float] = (1.0, 2.0)  # blur of the borders
    gain_log: float = 0.25  # brightness of the whole image, in counts
    noise: tuple[float, float] = (0.014, 0.034)  # Rician noise, as a fraction of blood
    bright_spots: int = 3  # maximum number of small bright vessels in the surroundings
    spot_brightness: tuple[float, float] = (0.6, 2.2)  # can set the upper end of the greys


@dataclass(frozen=True)
class MeasurementNoise:
    """Error of the phenotype table: repeatability of the segmentation, relative to each value."""

    lv_volume: float = 0.030
    rv_volume: float = 0.040
    mass: float = 0.035


ECG = EcgNuisance()
CINE = CineNuisance()
TABLE = MeasurementNoise()
