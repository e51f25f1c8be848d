"""Find the R-peaks of a denoised record, and measure how far they can be trusted.

:func:`ptacl.ecg.heartbeats.find_beats` tells from all leads which beats exist, and a detector on
one lead tells where in the beat the R-peak is. On 25 ECGs of hospital patients, the detector
sleepecg alone fails in five, doubling or halving the rhythm after an extrasystole, and the two
together in none. In noise both find "beats", but their waves do not resemble one another: see
:func:`likeness`.
"""

import warnings
from typing import Any

import numpy as np
import sleepecg

from ptacl import config
from ptacl.ecg.heartbeats import find_beats
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

_LEAST_S = 2.0  # a shorter record is not searched
_AROUND_S = 0.08  # largest distance of the R-peak from the centre of its beat
_TOLERANCE_S = 0.15
# Where the usual lead points down, the first of these that points up is used. In this order,
# R-peaks in the first upright lead of 100 annotated ECGs are closest to the marks of all leads.
_INSTEAD = ("V5", "V6", "I", "V4", "aVL", "III", "aVF")
_LEAST_R_MV = 0.2
_BEFORE_S = (0.12, 0.06)  # before the QRS complex: its level


def find(
    signal_mv: np.ndarray,
    *,
    rate_hz: int,
    device_beats_ms: tuple[float, ...],
    settings: config.RPeaks,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Find the R-peaks of a denoised record (12, T).

    Returns ascending sample indices, int64, and their quality as JSON values: num_beats,
    heart_rate_bpm (from the mean RR interval), rr_ratio (longest over shortest), irregular,
    likeness (see :func:`likeness`), lead (see :func:`upright_lead`), agreement (Dice coefficient
    with the detector on this lead), and device (numbers of beats in the device's list, of our beats
    in the same time span, and of beats in both, and the delay of the device's marks). Undefined
    values are None. Raises Excluded only if a value is not finite.
    """
    if not np.isfinite(signal_mv).all():
        raise Excluded(Reason.NOT_FINITE, "R-peak detection")
    beats = find_beats(signal_mv, rate_hz=rate_hz)
    lead = upright_lead(signal_mv, beats=beats, rate_hz=rate_hz, usual=settings.lead)
    lead_mv = signal_mv[LEADS.index(lead)]
    detected = detect(lead_mv, rate_hz=rate_hz, method=settings.method)
    peaks = place(beats, detected=detected, lead_mv=lead_mv, rate_hz=rate_hz)
    rr_s = np.diff(peaks) / rate_hz
    ratio = round(float(rr_s.max() / rr_s.min()), 3) if len(rr_s) else None
    agreed = matched(peaks, second=detected, tolerance=_TOLERANCE_S * rate_hz)
    return peaks, {
        "num_beats": len(peaks),
        "heart_rate_bpm": round(float(60 / rr_s.mean()), 2) if len(rr_s) else None,
        "rr_ratio": ratio,
        "irregular": ratio is not None and ratio > settings.max_rr_ratio,
        "likeness": round(likeness(signal_mv, r_peaks=peaks, rate_hz=rate_hz), 3),
        "lead": lead,
        "agreement": round(2 * agreed / max(len(peaks) + len(detected), 1), 3),
        "device": _against_device(
            peaks * 1000 / rate_hz, device_ms=np.sort(np.asarray(device_beats_ms, np.float64))
        ),
    }


def check(quality: dict[str, Any], *, settings: config.RPeaks) -> None:
    """Apply the quality gates.

    Raises Excluded for too few beats, a heart rate that is impossible at rest, beats that do not
    resemble one another, and beats that disagree with the device's.
    """
    if quality["num_beats"] < max(settings.min_beats, 2):
        raise Excluded(Reason.NO_R_PEAKS, f"{quality['num_beats']} beats")
    if not settings.min_rate_bpm <= quality["heart_rate_bpm"] <= settings.max_rate_bpm:
        raise Excluded(Reason.IMPLAUSIBLE_RATE, f"{quality['heart_rate_bpm']:.0f} bpm")
    device = quality["device"]
    if device and 2 * device["matched"] < settings.min_device_agreement * (
        device["num_beats"] + device["ours"]
    ):
        detail = (
            f"{device['matched']} of {device['ours']} R-peaks are among the "
            f"{device['num_beats']} beats of the device"
        )
        raise Excluded(Reason.OTHER_BEATS, detail)
    if quality["likeness"] < settings.min_likeness:
        raise Excluded(
            Reason.NO_R_PEAKS,
            (
                "the waves at the peaks do not resemble one another (likeness "
                f"{quality['likeness']:.2f})"
            ),
        )


def detect(lead_mv: np.ndarray, *, rate_hz: int, method: str) -> np.ndarray:
    """Find the R-peaks of one lead (T,) with a published detector.

    Returns ascending sample indices, int64; none for a flat or very short lead. pantompkins1985 and
    kalidas2017 mark R-peaks 35 ms late. Raises Excluded if a value is not finite, because a single
    NaN makes sleepecg find nothing.
    """
    lead_mv = np.ascontiguousarray(lead_mv, dtype=np.float64)
    if not np.isfinite(lead_mv).all():
        raise Excluded(Reason.NOT_FINITE, "R-peak detection")
    if len(lead_mv) < _LEAST_S * rate_hz or np.ptp(lead_mv) == 0:
        return np.zeros(0, np.int64)
    if method == "sleepecg":
        return np.unique(np.asarray(sleepecg.detect_heartbeats(lead_mv, rate_hz), np.int64))
    return np.unique(_neurokit(lead_mv, rate_hz=rate_hz, method=method))


def _neurokit(lead_mv: np.ndarray, *, rate_hz: int, method: str) -> np.ndarray:
    """Run a detector of NeuroKit2; these raise the errors caught here if they find nothing."""
    import neurokit2

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = neurokit2.ecg_clean(lead_mv, sampling_rate=rate_hz, method=method)
            found = neurokit2.ecg_peaks(clean, sampling_rate=rate_hz, method=method)[1][
                "ECG_R_Peaks"
            ]
    except (IndexError, TypeError, ZeroDivisionError):
        return np.zeros(0, np.int64)
    except ImportError as error:
        raise ValueError(
            f"ecg.rpeaks.method {method} needs another package: pip install {error.name or 'ts2vg'}"
        ) from None
    found = np.asarray(found, np.float64)
    return np.asarray(found[np.isfinite(found)], np.int64)


def upright_lead(signal_mv: np.ndarray, *, beats: np.ndarray, rate_hz: int, usual: str) -> str:
    """Choose the lead in which R-peaks are located: the usual one where its QRS complex points up.

    Where S is deeper than R is high, an R-peak is a small wave at the start of the complex, 30 to
    60 ms before the R-peak of other people. Then the first upright lead of a fixed order is used,
    or the usual one if there is none. signal_mv : (12, T). beats : centres.
    """
    half, first, last = (round(s * rate_hz) for s in (_AROUND_S, *_BEFORE_S))
    inside = beats[(beats >= first) & (beats < signal_mv.shape[-1] - half), None]
    if not len(inside):
        return usual
    for lead in (usual, *_INSTEAD):
        lead_mv = signal_mv[LEADS.index(lead)]
        level_mv = np.median(lead_mv[inside + np.arange(-first, -last)], axis=1, keepdims=True)
        wave_mv = np.median(lead_mv[inside + np.arange(-half, half + 1)] - level_mv, axis=0)
        r_mv, s_mv = wave_mv.max(), -wave_mv.min()
        if r_mv >= max(s_mv, _LEAST_R_MV):
            return lead
    return usual


def place(
    centres: np.ndarray, *, detected: np.ndarray, lead_mv: np.ndarray, rate_hz: int
) -> np.ndarray:
    """Locate the R-peak of each beat.

    It is the detector's peak within 80 ms of the centre of the beat, or else the largest deflection
    of the lead in that range. A detector that takes the P wave for a beat marks the true one late;
    such a mark is outside the range.
    """
    around = round(_AROUND_S * rate_hz)
    peaks = []
    for centre in centres:
        nearest = detected[np.abs(detected - centre).argmin()] if len(detected) else -np.inf
        start = max(centre - around, 0)
        deflection = np.abs(lead_mv[start : centre + around + 1])
        peaks.append(
            nearest if abs(nearest - centre) <= around else start + int(deflection.argmax())
        )
    return np.unique(np.array(peaks, np.int64))


def likeness(signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int) -> float:
    """Measure how alike the QRS complexes at the peaks are.

    This is the median over beats of the correlation with the mean of the other beats, over all
    leads (12, T), 80 ms to either side. Noise gives less than 0.25, annotated ECGs more than 0.5
    and mostly 0.99. Returns -1 if fewer than two beats are complete.
    """
    half = round(_AROUND_S * rate_hz)
    inside = r_peaks[(r_peaks >= half) & (r_peaks < signal_mv.shape[-1] - half)]
    if len(inside) < 2:
        return -1.0
    waves = np.asarray(signal_mv[:, inside[:, None] + np.arange(-half, half + 1)], np.float64)
    waves = waves.transpose(1, 0, 2).reshape(len(inside), -1)
    waves -= waves.mean(axis=1, keepdims=True)
    others = waves.sum(axis=0) - waves
    size = np.linalg.norm(waves, axis=1) * np.linalg.norm(others, axis=1)
    return float(
        np.median((waves * others).sum(axis=1) / np.maximum(size, np.finfo(np.float64).tiny))
    )


def matched(first: np.ndarray, *, second: np.ndarray, tolerance: float) -> int:
    """Count the peaks of `first` that have their own peak of `second` within `tolerance`."""
    if not len(first) or not len(second):
        return 0
    nearest = np.abs(np.subtract.outer(first, second)).argmin(axis=1)
    return len(np.unique(nearest[np.abs(first - second[nearest]) <= tolerance]))


def _against_device(peaks_ms: np.ndarray, *, device_ms: np.ndarray) -> dict[str, Any] | None:
    """Compare with the device's list: shared beats, and the median delay of its marks."""
    if not len(device_ms):
        return None
    tolerance_ms, late_ms = 1000 * _TOLERANCE_S, np.zeros(0)
    if len(peaks_ms):
        late_ms = (
            device_ms - peaks_ms[np.abs(np.subtract.outer(device_ms, peaks_ms)).argmin(axis=1)]
        )
        late_ms = late_ms[np.abs(late_ms) <= tolerance_ms]
    within = (peaks_ms >= device_ms[0] - tolerance_ms) & (peaks_ms <= device_ms[-1] + tolerance_ms)
    return {
        "num_beats": len(device_ms),
        "ours": int(np.count_nonzero(within)),
        "matched": matched(device_ms, second=peaks_ms, tolerance=tolerance_ms),
        "offset_ms": round(float(np.median(late_ms)), 1) if len(late_ms) else None,
    }
