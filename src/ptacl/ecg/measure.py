"""Standard ECG measurements: the device's intervals and axes, our own intervals, and voltages of
the mean beat.
"""

import warnings
from collections.abc import Mapping

import numpy as np

from ptacl.ecg.read import LEADS

_BEFORE_S, _AFTER_S = 0.05, 0.06  # the QRS complex around its R-peak
_ISOELECTRIC_S = (0.10, 0.06)  # before the R-peak: between P wave and QRS complex


def measure(
    signal_mv: np.ndarray,
    *,
    r_peaks: np.ndarray,
    rate_hz: int,
    device: Mapping[str, float | None],
    delineation: str,
) -> dict[str, float | None]:
    """Compute measurements by name; our own intervals are called `own_x`.

    signal_mv : (12, T) in the order of LEADS. r_peaks : sample indices. device : fields of
    :class:`ptacl.ecg.read.EcgRecord`. delineation : method of NeuroKit2, see :func:`intervals`, or
    `none`.

    For each lead, the R wave (highest) and S wave (lowest) of the QRS complex of the mean beat are
    given in mV above the level before it. Sokolow-Lyon is S in V1 plus the larger R of V5 and V6
    (Sokolow and Lyon 1949). Cornell is R in aVL plus S in V3 (Casale 1985). Device values that are
    blank are None, and voltages are left out if no beat is complete.
    """
    found: dict[str, float | None] = dict(device) | rhythm(r_peaks, rate_hz=rate_hz)
    if delineation != "none":
        found |= intervals(
            signal_mv[LEADS.index("II")], r_peaks=r_peaks, rate_hz=rate_hz, method=delineation
        )
    wave = _mean_qrs(signal_mv, r_peaks=r_peaks, rate_hz=rate_hz)
    if wave is None:
        return found
    high, low = (
        dict(zip(LEADS, wave.max(1), strict=True)),
        dict(zip(LEADS, -wave.min(1), strict=True)),
    )
    voltages = {f"r_{lead}_mv": high[lead] for lead in LEADS} | {
        f"s_{lead}_mv": low[lead] for lead in LEADS
    }
    voltages |= {
        "sokolow_lyon_mv": low["V1"] + max(high["V5"], high["V6"]),
        "cornell_mv": high["aVL"] + low["V3"],
    }
    return found | {name: round(float(value), 4) for name, value in voltages.items()}


def rhythm(r_peaks: np.ndarray, *, rate_hz: int) -> dict[str, float | None]:
    """Return mean and standard deviation of the RR intervals in ms; None with too few beats."""
    rr_ms = np.diff(r_peaks) * 1000 / rate_hz
    return {
        "own_rr_ms": round(float(rr_ms.mean()), 1) if len(rr_ms) else None,
        "own_rr_sd_ms": round(float(rr_ms.std(ddof=1)), 1) if len(rr_ms) > 1 else None,
    }


def intervals(
    lead_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int, method: str
) -> dict[str, float | None]:
    """Measure PR, QRS, QT and P duration in ms, and QT after Bazett.

    Values are medians over the beats of a lead (T,), by NeuroKit2; None if not found. On 100
    records of LUDB, the method `prominence` takes 5 ms, and its median error against cardiologists
    is 8 ms in PR and 10 ms in QT; its QRS complexes are 30 ms too short. `dwt` takes ten times as
    long, and its errors are 17 and 27 ms.
    """
    import neurokit2

    waves: Mapping[str, np.ndarray] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            waves = neurokit2.ecg_delineate(lead_mv, r_peaks, sampling_rate=rate_hz, method=method)[
                1
            ]
    except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):  # if it finds no wave
        pass

    def between(first: str, last: str) -> float | None:
        pair = [np.asarray(waves.get(f"ECG_{name}", ()), np.float64) for name in (first, last)]
        beats = min(map(len, pair))
        lengths = pair[1][:beats] - pair[0][:beats]
        lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
        return round(float(np.median(lengths)) * 1000 / rate_hz, 1) if len(lengths) else None

    found = {
        "own_pr_ms": between("P_Onsets", "R_Onsets"),
        "own_p_duration_ms": between("P_Onsets", "P_Offsets"),
        "own_qrs_duration_ms": between("R_Onsets", "R_Offsets"),
        "own_qt_ms": between("R_Onsets", "T_Offsets"),
    }
    rr_s, qt = (
        float(np.mean(np.diff(r_peaks))) / rate_hz if len(r_peaks) > 1 else None,
        found["own_qt_ms"],
    )
    return found | {"own_qtc_ms": round(qt / np.sqrt(rr_s), 1) if qt is not None and rr_s else None}


def _mean_qrs(signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int) -> np.ndarray | None:
    """Average the QRS complex, (12, samples), above the level before it; None without any complete
    beat.
    """
    before, after = round(_BEFORE_S * rate_hz), round(_AFTER_S * rate_hz)
    start, stop = (round(s * rate_hz) for s in _ISOELECTRIC_S)
    whole = r_peaks[(r_peaks >= start) & (r_peaks + after < signal_mv.shape[1])]
    if not len(whole):
        return None
    beat: np.ndarray = np.mean(
        [signal_mv[:, peak - start : peak + after] for peak in whole], axis=0
    )
    level = beat[:, : start - stop].mean(1, keepdims=True)
    above: np.ndarray = beat[:, start - before :] - level
    return above
