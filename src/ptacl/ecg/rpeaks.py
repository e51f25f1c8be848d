"""R-peaks of a denoised record, and how far they can be trusted.

Two questions, two answers. Which beats there are is told by the energy of all leads: a threshold over the whole record and a
median over leads, so that neither an early couplet, nor an artefact in some leads, nor a pause upsets it. Where in the beat the
R-peak lies is told by a detector on one lead. On 100 annotated ten-second ECGs (LUDB) both find every beat; on 25 of hospital
patients the detector alone, sleepecg, goes wrong in five, doubling or halving the rhythm after an extrasystole, and the energy
in none. In noise both find "beats", but the waves at these do not resemble one another: :func:`likeness`.
"""

import warnings
from typing import Any

import numpy as np
import sleepecg
from scipy import signal

from ptacl import config
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

# the other leads follow from I and II
_INDEPENDENT = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
_BLOCK_S = 2.0  # holds a beat at 30 bpm
_LAG_S = 0.024  # a second difference over it passes 5 to 35 Hz, most at 21: QRS, wide ones too, and little of T and mains
_WINDOW_S = 0.1  # a QRS complex
_THRESHOLD = 0.4  # of the usual energy of a beat; 0.3 to 0.5 find the same beats in all but one of the annotated ECGs
_PROMINENCE = 0.2  # between beats the energy falls, in mains hum it does not
_LEAST_MV = 0.005  # root mean square of a beat below which a lead shows nothing: a count of the device
_REFRACTORY_S = 0.25
_AROUND_S = 0.08  # from the centre of a beat to its R-peak
_TOLERANCE_S = 0.15
_NETWORK = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (3, 4)),
)  # of eight rows, without the last comparators, which the middle two do not need


def find(
    signal_mv: np.ndarray, *, rate_hz: int, device_beats_ms: tuple[float, ...], settings: config.RPeaks
) -> tuple[np.ndarray, dict[str, Any]]:
    """R-peaks of a denoised record (12, T), ascending samples int64, and what they say and what speaks for them (JSON values).

    num_beats, heart_rate_bpm (from the mean RR interval), rr_ratio (longest over shortest), irregular; likeness as below;
    agreement: Dice coefficient with the detector on its one lead; device: number of beats in the device's list, of ours
    in the time that it spans, of those in both, how late its marks are. None where undefined. Raises Excluded where a value is
    not finite, and for nothing else.
    """
    if not np.isfinite(signal_mv).all():
        raise Excluded(Reason.NOT_FINITE, "R-peak detection")
    lead_mv = signal_mv[LEADS.index(settings.lead)]
    detected = detect(lead_mv, rate_hz=rate_hz, method=settings.method)
    peaks = place(beats(signal_mv, rate_hz=rate_hz), detected=detected, lead_mv=lead_mv, rate_hz=rate_hz)
    rr_s = np.diff(peaks) / rate_hz
    ratio = round(float(rr_s.max() / rr_s.min()), 3) if len(rr_s) else None
    agreed = matched(peaks, second=detected, tolerance=_TOLERANCE_S * rate_hz)
    return peaks, {
        "num_beats": len(peaks),
        "heart_rate_bpm": round(float(60 / rr_s.mean()), 2) if len(rr_s) else None,
        "rr_ratio": ratio,
        "irregular": ratio is not None and ratio > settings.max_rr_ratio,
        "likeness": round(likeness(signal_mv, r_peaks=peaks, rate_hz=rate_hz), 3),
        "agreement": round(2 * agreed / max(len(peaks) + len(detected), 1), 3),
        "device": _against_device(peaks * 1000 / rate_hz, device_ms=np.sort(np.asarray(device_beats_ms, np.float64))),
    }


def check(quality: dict[str, Any], *, settings: config.RPeaks) -> None:
    """The gates: raises Excluded for too few beats, a rate that nobody has at rest, beats unlike one another or the device's."""
    if quality["num_beats"] < max(settings.min_beats, 2):
        raise Excluded(Reason.NO_R_PEAKS, f"{quality['num_beats']} beats")
    if not settings.min_rate_bpm <= quality["heart_rate_bpm"] <= settings.max_rate_bpm:
        raise Excluded(Reason.IMPLAUSIBLE_RATE, f"{quality['heart_rate_bpm']:.0f} bpm")
    device = quality["device"]
    if device and 2 * device["matched"] < settings.min_device_agreement * (device["num_beats"] + device["ours"]):
        detail = f"{device['matched']} of {device['ours']} are among the {device['num_beats']} of the device"
        raise Excluded(Reason.OTHER_BEATS, detail)
    if quality["likeness"] < settings.min_likeness:
        raise Excluded(Reason.NO_R_PEAKS, f"the waves at the peaks are unlike ({quality['likeness']:.2f})")


def detect(lead_mv: np.ndarray, *, rate_hz: int, method: str) -> np.ndarray:
    """R-peaks of one lead (T,) by a published detector, ascending samples int64; none for a flat or very short lead.

    Raises Excluded where a value is not finite: one NaN silences sleepecg altogether. pantompkins1985 and kalidas2017 lie 35 ms
    late.
    """
    lead_mv = np.ascontiguousarray(lead_mv, dtype=np.float64)
    if not np.isfinite(lead_mv).all():
        raise Excluded(Reason.NOT_FINITE, "R-peak detection")
    if len(lead_mv) < _BLOCK_S * rate_hz or np.ptp(lead_mv) == 0:
        return np.zeros(0, np.int64)
    if method == "sleepecg":
        return np.unique(np.asarray(sleepecg.detect_heartbeats(lead_mv, rate_hz), np.int64))
    return np.unique(_neurokit(lead_mv, rate_hz=rate_hz, method=method))


def _neurokit(lead_mv: np.ndarray, *, rate_hz: int, method: str) -> np.ndarray:
    """The detectors of NeuroKit2, which raise these errors where they find nothing."""
    import neurokit2

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = neurokit2.ecg_clean(lead_mv, sampling_rate=rate_hz, method=method)
            found = neurokit2.ecg_peaks(clean, sampling_rate=rate_hz, method=method)[1]["ECG_R_Peaks"]
    except (IndexError, TypeError, ZeroDivisionError):
        return np.zeros(0, np.int64)
    except ImportError as error:
        raise ValueError(f"ecg.rpeaks.method {method} needs a package: pip install {error.name or 'ts2vg'}") from None
    found = np.asarray(found, np.float64)
    return np.asarray(found[np.isfinite(found)], np.int64)


def beats(signal_mv: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """Centres of the beats of a record (12, T), ascending samples: peaks of the energy that most leads share.

    The energy of a lead is the root mean square of its second difference over a QRS, in units of what its beats usually have
    (median over blocks of the maximum). The median over leads ignores what fewer than half of them have: pacing spikes, steps,
    a loose electrode.
    """
    lag, half, block = round(_LAG_S * rate_hz), round(_WINDOW_S * rate_hz / 2), round(_BLOCK_S * rate_hz)
    blocks = signal_mv.shape[-1] // block
    if not blocks:
        return np.zeros(0, np.int64)
    leads_mv = np.asarray(signal_mv[_INDEPENDENT], np.float64)
    bend = leads_mv[:, 2 * lag :] + leads_mv[:, : -2 * lag]
    bend -= 2 * leads_mv[:, lag:-lag]
    total = np.cumsum(np.square(bend, out=bend), axis=-1)
    energy = np.zeros_like(leads_mv)
    energy[:, lag + half : -lag - half] = (total[:, 2 * half :] - total[:, : -2 * half]) / (2 * half)
    np.sqrt(energy, out=energy)
    usual = np.median(energy[:, : blocks * block].reshape(len(energy), blocks, block).max(axis=-1), axis=-1, keepdims=True)
    energy /= np.maximum(usual, _LEAST_MV)
    shared = _median_of_eight(energy)
    distance = round(_REFRACTORY_S * rate_hz)
    return np.asarray(signal.find_peaks(shared, height=_THRESHOLD, prominence=_PROMINENCE, distance=distance)[0], np.int64)


def _median_of_eight(rows: np.ndarray) -> np.ndarray:
    """Median over the rows of (8, T), in a tenth of the time of a sort: Batcher's network, as far as its middle two."""
    row = list(rows)
    for i, j in _NETWORK:
        row[i], row[j] = np.minimum(row[i], row[j]), np.maximum(row[i], row[j])
    return np.asarray((row[3] + row[4]) / 2)


def place(centres: np.ndarray, *, detected: np.ndarray, lead_mv: np.ndarray, rate_hz: int) -> np.ndarray:
    """The R-peak of each beat: the detector's peak within 80 ms of its centre, or else the largest deflection of the lead there.

    A detector that takes the P wave for a beat marks the true one late; such a mark lies further off.
    """
    around = round(_AROUND_S * rate_hz)
    peaks = []
    for centre in centres:
        nearest = detected[np.abs(detected - centre).argmin()] if len(detected) else -np.inf
        start = max(centre - around, 0)
        deflection = np.abs(lead_mv[start : centre + around + 1])
        peaks.append(nearest if abs(nearest - centre) <= around else start + int(deflection.argmax()))
    return np.unique(np.array(peaks, np.int64))


def likeness(signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int) -> float:
    """How alike the QRS complexes at the peaks are: the median over beats of the correlation with the mean of the other beats.

    All leads (12, T) enter, 80 ms to either side. Noise gives less than 0.25, annotated ECGs more than 0.5 and mostly 0.99; -1
    where fewer than two beats lie inside.
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
    return float(np.median((waves * others).sum(axis=1) / np.maximum(size, np.finfo(np.float64).tiny)))


def matched(first: np.ndarray, *, second: np.ndarray, tolerance: float) -> int:
    """How many peaks of `first` have a peak of `second` of their own within `tolerance`."""
    if not len(first) or not len(second):
        return 0
    nearest = np.abs(np.subtract.outer(first, second)).argmin(axis=1)
    return len(np.unique(nearest[np.abs(first - second[nearest]) <= tolerance]))


def _against_device(peaks_ms: np.ndarray, *, device_ms: np.ndarray) -> dict[str, Any] | None:
    """How many beats of the device's list are ours, and by how much its marks follow ours in the median."""
    if not len(device_ms):
        return None
    tolerance_ms, late_ms = 1000 * _TOLERANCE_S, np.zeros(0)
    if len(peaks_ms):
        late_ms = device_ms - peaks_ms[np.abs(np.subtract.outer(device_ms, peaks_ms)).argmin(axis=1)]
        late_ms = late_ms[np.abs(late_ms) <= tolerance_ms]
    within = (peaks_ms >= device_ms[0] - tolerance_ms) & (peaks_ms <= device_ms[-1] + tolerance_ms)
    return {
        "num_beats": len(device_ms),
        "ours": int(np.count_nonzero(within)),
        "matched": matched(device_ms, second=peaks_ms, tolerance=tolerance_ms),
        "offset_ms": round(float(np.median(late_ms)), 1) if len(late_ms) else None,
    }
