"""What a cardiologist reads off an ECG: the device's intervals and axes, and voltages of the mean beat."""

from collections.abc import Mapping

import numpy as np

from ptacl.ecg.read import LEADS

_BEFORE_S, _AFTER_S = 0.05, 0.06  # the QRS complex around its R-peak
_ISOELECTRIC_S = (0.10, 0.06)  # before the R-peak: between P wave and QRS complex


def measure(
    signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int, device: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Measurements by name; None where the device gave none, or no beat lies whole in the record.

    signal_mv : (12, T) in the order of LEADS. r_peaks : samples. device : fields of :class:`ptacl.ecg.read.EcgRecord`.
    Of each lead the R wave (highest) and S wave (lowest) of the QRS complex of the mean beat, in mV above the level before it;
    Sokolow-Lyon, S in V1 plus the larger R of V5 and V6 (Sokolow and Lyon 1949); Cornell, R in aVL plus S in V3 (Casale 1985).
    """
    found: dict[str, float | None] = dict(device)
    wave = _mean_qrs(signal_mv, r_peaks=r_peaks, rate_hz=rate_hz)
    if wave is None:
        return found
    high, low = dict(zip(LEADS, wave.max(1), strict=True)), dict(zip(LEADS, -wave.min(1), strict=True))
    voltages = {f"r_{lead}_mv": high[lead] for lead in LEADS} | {f"s_{lead}_mv": low[lead] for lead in LEADS}
    voltages |= {"sokolow_lyon_mv": low["V1"] + max(high["V5"], high["V6"]), "cornell_mv": high["aVL"] + low["V3"]}
    return found | {name: round(float(value), 4) for name, value in voltages.items()}


def _mean_qrs(signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int) -> np.ndarray | None:
    """(12, samples) QRS complex of the mean beat above the level before it; None without any whole beat."""
    before, after = round(_BEFORE_S * rate_hz), round(_AFTER_S * rate_hz)
    start, stop = (round(s * rate_hz) for s in _ISOELECTRIC_S)
    whole = r_peaks[(r_peaks >= start) & (r_peaks + after < signal_mv.shape[1])]
    if not len(whole):
        return None
    beat: np.ndarray = np.mean([signal_mv[:, peak - start : peak + after] for peak in whole], axis=0)
    level = beat[:, : start - stop].mean(1, keepdims=True)
    above: np.ndarray = beat[:, start - before :] - level
    return above
