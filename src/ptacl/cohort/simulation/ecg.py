"""Generate a 12-lead resting ECG from electrical causes.

A heart dipole that varies over each beat is recorded by electrodes on the chest of one person.
The dipole has the axes x to the left, y to the feet and z to the back. The lead vectors are those
of Dower (1968, Eur J Cardiol). The other limb leads are computed from integer counts of I and II,
so Einthoven's law holds as in a real file.
"""

from dataclasses import dataclass

import numpy as np

from ptacl.cohort.simulation.causes import Array
from ptacl.cohort.simulation.electrical import Electrical
from ptacl.cohort.simulation.nuisance import EcgNuisance

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATE_HZ = 500
NUM_SAMPLES = 5000
MV_PER_COUNT = 0.005
MEDIAN_SAMPLES = 600
MEDIAN_PEAK = 230  # sample of the R-peak in the median beat

_LEAD_FIELD = np.array(  # I, II, V1 to V6 by x, y, z
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)


@dataclass(frozen=True)
class Recording:
    """A recorded strip.

    `counts` is (12, 5000) int64 and `median` is (12, 600) int64. `peaks` are the R-peaks within
    the strip, in samples.
    """

    counts: np.ndarray
    median: np.ndarray
    peaks: np.ndarray


@dataclass(frozen=True)
class _Waves:
    """The P waves that make up one beat.

    `delay_ms` is relative to the R-peak, `rise_ms` and `fall_ms` are the widths before and after
    the maximum, and the dipole is (P, 3) in mV.
    """

    delay_ms: Array
    rise_ms: Array
    fall_ms: Array
    dipole_mv: Array


def record(electrical: Electrical, rng: np.random.Generator, *, nuisance: EcgNuisance) -> Recording:
    """Record the ten seconds that the device stores, from a random phase of the cycle on."""
    time_s = np.arange(NUM_SAMPLES) / RATE_HZ
    breathing_hz, phase = rng.uniform(0.17, 0.33), rng.uniform(0, 2 * np.pi)
    breathing = np.sin(2 * np.pi * breathing_hz * time_s + phase)
    beats_s = _beat_times(
        electrical, rng, breathing_hz=breathing_hz, phase=phase, nuisance=nuisance
    )
    dipole = _dipole(
        _waves(electrical, rng, nuisance), time_s, beats_s=beats_s, rng=rng, nuisance=nuisance
    )
    field = _lead_field(rng, nuisance)
    turned = field @ _turn(
        np.zeros(3) + np.deg2rad(nuisance.respiration_degrees) * rng.standard_normal(3)
    )
    gain = 1 + nuisance.respiration_gain * breathing
    leads = gain * (field @ dipole + breathing * ((turned - field) @ dipole))
    leads = leads + _noise(time_s, rng, breathing=breathing, nuisance=nuisance)
    counts = _twelve(np.rint(leads / MV_PER_COUNT).astype(np.int64))
    peaks = np.rint(beats_s * RATE_HZ).astype(np.int64)
    peaks = peaks[(peaks >= 0) & (peaks < NUM_SAMPLES)]
    return Recording(counts=counts, median=_median(counts, peaks), peaks=peaks)


def _beat_times(
    electrical: Electrical,
    rng: np.random.Generator,
    *,
    breathing_hz: float,
    phase: float,
    nuisance: EcgNuisance,
) -> Array:
    """Draw R-peaks in seconds, from before the start of the strip to after its end."""
    rr = 60 / float(electrical.rate_bpm)
    moment, beats = -2 * rr - rng.uniform(0, rr), []
    while moment < NUM_SAMPLES / RATE_HZ + 2:
        beats.append(moment)
        swing = nuisance.sinus_arrhythmia * np.sin(2 * np.pi * breathing_hz * moment + phase)
        moment += rr * (1 + swing + nuisance.rr_noise * rng.standard_normal())
    return np.array(beats)


def _waves(e: Electrical, rng: np.random.Generator, nuisance: EcgNuisance) -> _Waves:
    voltage, qrs, qt = np.exp(float(e.voltage_log)), float(e.qrs_ms), float(e.qt_ms)
    axis, back = float(e.axis_deg), float(e.azimuth_deg)
    septal, right, basal = (
        voltage * np.exp(float(log)) for log in (e.septal_log, e.right_log, e.basal_log)
    )
    onset = 0.44 * qrs  # from the QRS onset to the R-peak
    t_peak = float(e.t_peak) * qt - onset
    left = 0.10 * np.exp(0.5 * float(e.p_left_log))
    atria = 0.10 * np.exp(-0.5 * float(e.p_left_log))
    p_centre = -onset - float(e.pr_ms) + 0.5 * float(e.p_ms)
    p_part = 0.16 * float(e.p_ms)
    t_back = back - float(e.t_angle_deg)
    t_rise = 0.155 * qt - 0.5 * float(e.t_onset_ms)  # the T wave begins two widths before its peak
    rows = [  # delay, rise, fall, size, frontal axis, azimuth
        (p_centre - 0.8 * p_part, 1.1 * p_part, 1.1 * p_part, atria, 62, -30),
        (p_centre + 0.9 * p_part, 1.1 * p_part, 1.1 * p_part, left, 48, 40),
        (-0.27 * qrs, 0.075 * qrs, 0.075 * qrs, septal, 195, -45),
        (-0.09 * qrs, 0.085 * qrs, 0.085 * qrs, right, 110, -70),
        (0.0, 0.105 * qrs, 0.11 * qrs, voltage, axis, back),
        (0.26 * qrs, 0.09 * qrs, 0.10 * qrs, basal, axis - 95, 55),
        (
            rng.uniform(-0.2, 0.3) * qrs,
            7,
            7,
            nuisance.notch * voltage * rng.standard_normal(),
            *rng.uniform(-90, 90, 2),
        ),
        (t_peak, t_rise, 0.085 * qt, voltage * np.exp(float(e.t_log)), 0.6 * axis + 15, t_back),
    ]
    table = np.array(rows, dtype=np.float64)
    table[2:6, 4:] += (
        np.rad2deg(nuisance.morphology)
        * rng.standard_normal((4, 2))
        * np.array([[1.0], [1.0], [0.25], [1.0]])
    )
    frontal, azimuth = np.deg2rad(table[:, 4]), np.deg2rad(table[:, 5])
    direction = np.stack(
        [np.cos(frontal) * np.cos(azimuth), np.sin(frontal) * np.cos(azimuth), np.sin(azimuth)],
        axis=1,
    )
    return _Waves(table[:, 0], table[:, 1], table[:, 2], table[:, 3:4] * direction)


def _dipole(
    waves: _Waves, time_s: Array, *, beats_s: Array, rng: np.random.Generator, nuisance: EcgNuisance
) -> Array:
    """Return the dipole, (3, 5000) in mV; each wave of each beat has its own small deviation."""
    parts = len(waves.delay_ms)
    intervals = np.diff(beats_s, prepend=2 * beats_s[0] - beats_s[1])
    stretch = 1 + 0.25 * (intervals / np.median(intervals) - 1)  # QT follows the previous RR
    size = (1 + nuisance.beat_gain * rng.standard_normal((len(beats_s), 1))) * (
        1 + nuisance.beat_shape * rng.standard_normal((len(beats_s), parts))
    )
    out = np.zeros((3, len(time_s)))
    for beat, factor, amplitude in zip(beats_s, stretch, size, strict=True):
        first, last = np.searchsorted(time_s, (beat - 0.45, beat + 0.75))
        after_ms = (time_s[first:last] - beat)[:, None] * 1000
        delay = np.where(waves.delay_ms > 150, waves.delay_ms * factor, waves.delay_ms)
        offset = after_ms - delay
        shape = np.exp(
            -0.5 * np.square(offset / np.where(offset < 0, waves.rise_ms, waves.fall_ms))
        )
        out[:, first:last] += ((shape * amplitude) @ waves.dipole_mv).T
    return out


def _lead_field(rng: np.random.Generator, nuisance: EcgNuisance) -> Array:
    """Draw the lead vectors of one person, (8, 3).

    They vary with the position of the heart, the placement of the electrodes, and the gains of
    the torso and of each lead.
    """
    field = _LEAD_FIELD @ _turn(np.deg2rad(nuisance.rotation_degrees) * rng.standard_normal(3))
    chest = field[2:].copy()
    shift = (
        nuisance.chest_shift * rng.standard_normal(6) + nuisance.chest_shift * rng.standard_normal()
    )
    neighbour = np.where(shift[:, None] > 0, np.roll(chest, -1, axis=0), np.roll(chest, 1, axis=0))
    neighbour[0] = chest[1] if shift[0] > 0 else chest[0] * 0.7
    neighbour[5] = chest[5] * 0.7 if shift[5] > 0 else chest[4]
    share = np.minimum(np.abs(shift), 0.85)[:, None]
    field[2:] = (1 - share) * chest + share * neighbour
    limb = np.eye(2) + nuisance.limb_mixing * rng.standard_normal((2, 2))
    field[:2] = limb @ field[:2]
    gains = (
        nuisance.torso_gain_log * rng.standard_normal()
        + nuisance.lead_gain_log * rng.standard_normal(8)
    )
    return np.asarray(field * np.exp(gains)[:, None])


def _turn(angles: Array) -> Array:
    """Return the rotation about x, y and z by three angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def _noise(
    time_s: Array, rng: np.random.Generator, *, breathing: Array, nuisance: EcgNuisance
) -> Array:
    """Draw the noise of leads I, II and V1 to V6, (8, 5000) in mV.

    It is computed from the noise of nine electrodes: right arm, left arm, leg, V1 to V6.
    """
    electrodes = 9
    wave_hz = rng.uniform(0.04, 0.6, (electrodes, 3))
    waves = _sines(wave_hz, rng.random((electrodes, 3))).sum(1)
    wander = (
        nuisance.wander_mv
        * rng.lognormal(0, 0.5)
        / 2
        * (waves + rng.standard_normal((electrodes, 1)) * breathing)
    )
    drift = (
        nuisance.drift_mv
        * rng.standard_normal((electrodes, 2))
        @ np.stack([np.ones_like(time_s), time_s / 10 - 0.5])
    )
    white = rng.standard_normal((electrodes, len(time_s) + 2))
    muscle = 0.9 * (
        white[:, 1:-1] - 0.35 * (white[:, 2:] + white[:, :-2])
    )  # little power below 20 Hz
    bursts = 1 + 0.6 * _sines(rng.uniform(0.05, 0.4, electrodes), rng.random(electrodes))
    size = (
        nuisance.muscle_mv
        * rng.lognormal(0, nuisance.muscle_log, (electrodes, 1))
        * rng.lognormal(0, nuisance.muscle_log)
    )
    hum = _sines(np.full(electrodes, 50.0), rng.random(electrodes)) * rng.lognormal(
        0, 0.5, (electrodes, 1)
    )
    mains = nuisance.mains_mv * rng.lognormal(0, nuisance.mains_log) * hum
    at = wander + drift + size * bursts * muscle + mains
    central = at[:3].mean(0)
    return np.concatenate([at[1:2] - at[:1], at[2:3] - at[:1], at[3:] - central])


def _sines(hz: Array, phase: Array) -> Array:
    """Return sin(2 pi (hz t + phase)), (..., 5000), for frequencies of any shape.

    Products of 50 by 100 phasors replace 5000 sines, which is far fewer evaluations.
    """
    coarse, fine = np.arange(0, NUM_SAMPLES, 100) / RATE_HZ, np.arange(100) / RATE_HZ
    start = np.exp(2j * np.pi * (hz[..., None] * coarse + phase[..., None]))[..., None]
    step = np.exp(2j * np.pi * hz[..., None] * fine)[..., None, :]
    sines = start.real * step.imag + start.imag * step.real
    return np.asarray(sines.reshape(*hz.shape, NUM_SAMPLES))


def _twelve(eight: np.ndarray) -> np.ndarray:
    """Return the counts of the 12 leads from I, II and V1 to V6.

    III is exactly II - I; the augmented leads are rounded to whole counts.
    """
    one, two = eight[0], eight[1]
    augmented = [np.rint(-(one + two) / 2), np.rint(one - two / 2), np.rint(two - one / 2)]
    return np.concatenate([[one, two, two - one], np.asarray(augmented, dtype=np.int64), eight[2:]])


def _median(counts: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return the median beat, (12, 600), without its offset.

    The limb leads are computed as in the strip, so Einthoven's law holds again.
    """
    whole = peaks[
        (peaks >= MEDIAN_PEAK) & (peaks <= counts.shape[1] - (MEDIAN_SAMPLES - MEDIAN_PEAK))
    ]
    beats = np.stack([counts[:, p - MEDIAN_PEAK : p - MEDIAN_PEAK + MEDIAN_SAMPLES] for p in whole])
    beats = beats - np.median(beats[..., :40], axis=-1, keepdims=True)
    middle = np.rint(np.median(beats, axis=0)).astype(np.int64)
    return _twelve(middle[[0, 1, 6, 7, 8, 9, 10, 11]])
