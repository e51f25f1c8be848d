"""Checks for signals that cannot be a twelve-lead ECG at rest, and for exchanged electrodes.

What is impossible excludes a record. What is only doubtful, such as some saturation or noise, is a
flag, unless the settings exclude records with it (`ecg.exclude`). The limits are settings
(`ecg.faults`). Those of exclusions are beyond everything in 123 real records of LUDB and of the
PhysioNet Challenge 2021, measured in the units and steps of the device: longest constant stretch
0.55 s, equal samples of two leads 51 %, samples at the highest or lowest value 1.3 %, noise 0.04
mV, largest range of a lead 10 mV.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pywt

from ptacl import config
from ptacl.exclusions import Excluded, Reason

_WAVELET = pywt.Wavelet("db6")
_NORMAL = 0.6745  # median absolute deviation of a normal variable of unit variance
_QRS_S = (0.05, 0.06)  # before and after the R-peak
_P_S = (0.24, 0.06)  # start and end of the P wave, before the R-peak
_LEVEL_S = (0.06, 0.04)  # before the R-peak: the level between P wave and QRS complex


def check_limb_leads(counts: np.ndarray, *, leads: tuple[str, ...], tolerance: float) -> None:
    """Check that no lead of (12, T) is flat and that the limb leads follow from I and II.

    The equations of Einthoven and Goldberger must hold within `tolerance` counts. Raises Excluded.
    """
    if (flat := np.ptp(counts, axis=1) == 0).any():
        raise Excluded(Reason.FLAT_LEAD, f"lead {', '.join(np.array(leads)[flat])}")
    i, ii, iii, avr, avl, avf = counts[:6]
    twice = {
        "III": 2 * (i + iii - ii),
        "aVR": 2 * avr + i + ii,
        "aVL": 2 * avl - i + iii,
        "aVF": 2 * avf - ii - iii,
    }
    for lead, error in twice.items():
        if (worst := float(np.abs(error).max()) / 2) > tolerance:
            raise Excluded(
                Reason.EINTHOVEN,
                f"lead {lead} is {worst:g} counts off the value that follows from I and II",
            )


def check(
    counts: np.ndarray,
    *,
    leads: tuple[str, ...],
    resolution_mv: float,
    rate_hz: int,
    settings: config.EcgFaults,
) -> dict[str, str]:
    """Raise Excluded for the first impossible property of a strip (12, T) in counts.

    `leads` names its rows. Returns the doubts about the strip: flags with their details.
    """

    def where(rows: np.ndarray) -> str:
        names = ", ".join(leads[row] for row in np.flatnonzero(rows))
        return "all leads" if rows.all() else f"lead {names}"

    constant_s = _longest_constant(counts) / rate_hz
    if (dead := constant_s > settings.max_constant_s).any():
        raise Excluded(Reason.DEAD_LEAD, f"{where(dead)} for {constant_s.max():.1f} s")
    equal = sorted(_equal(counts, beyond=settings.max_equal_share), key=lambda found: -found[2])
    for first, second, share in equal:
        detail = f"{leads[first]} and {leads[second]} in {share:.0%} of the samples"
        raise Excluded(Reason.REPEATED_LEAD, detail)
    range_mv = np.ptp(counts, axis=1) * resolution_mv
    if (beyond := range_mv > settings.max_range_mv).any():
        detail = f"{where(beyond)}: {range_mv.max():.0f} mV from lowest to highest"
        raise Excluded(Reason.VOLTAGE, detail)
    doubts = {}
    for reason, measured, doubtful, most, unit in (
        (
            Reason.SATURATED,
            _extreme_share(counts),
            settings.doubtful_extreme_share,
            settings.max_extreme_share,
            "{:.0%} of the samples at one extreme",
        ),
        (
            Reason.NOISY_LEAD,
            _noise_mv(counts, resolution_mv=resolution_mv),
            settings.doubtful_noise_mv,
            settings.max_noise_mv,
            "{:.2f} mV above a quarter of the sampling rate",
        ),
    ):
        if (found := measured > doubtful).any():
            detail = f"{where(found)}: {unit.format(measured.max())}"
            if measured.max() > most:
                raise Excluded(reason, detail)
            doubts[reason.value] = detail
    return doubts


def _extreme_share(counts: np.ndarray) -> np.ndarray:
    """Return the share of samples at the lowest or the highest value of each lead, (12,)."""
    lowest, highest = counts.min(axis=1, keepdims=True), counts.max(axis=1, keepdims=True)
    at = np.maximum((counts == lowest).sum(axis=1), (counts == highest).sum(axis=1))
    return np.asarray(at / counts.shape[1])


def _noise_mv(counts: np.ndarray, *, resolution_mv: float) -> np.ndarray:
    """Return the noise of each lead above a quarter of the sampling rate, (12,)."""
    details = [pywt.downcoef("d", row, _WAVELET) for row in counts.astype(np.float32)]
    return np.asarray(np.median(np.abs(details), axis=-1) * resolution_mv / _NORMAL)


def _longest_constant(counts: np.ndarray) -> np.ndarray:
    """Find the longest stretch, in samples, in which each lead keeps one value: (12,)."""
    longest = np.empty(len(counts), np.int64)
    for lead, row in enumerate(counts):
        changes = np.flatnonzero(row[1:] != row[:-1]) + 1
        borders = np.concatenate([[0], changes, [len(row)]])
        longest[lead] = np.diff(borders).max()
    return longest


def _equal(counts: np.ndarray, *, beyond: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of leads that are equal in more than a share of the samples, with that share."""
    for first, second in itertools.combinations(range(len(counts)), 2):
        share = float(np.mean(counts[first] == counts[second]))
        if share > beyond:
            yield first, second, share


def flags(
    quality: Mapping[str, Any],
    *,
    signal_mv: np.ndarray,
    r_peaks: np.ndarray,
    rate_hz: int,
    leads: tuple[str, ...],
    inside: str,
    named: str,
) -> list[str]:
    """List what a person should check in a record that is used nevertheless.

    The flow diagram counts these flags. quality : from :func:`ptacl.ecg.rpeaks.find`. inside, named
    : participant id in the file and in its name, "" if absent.
    """
    doubts = {
        "irregular rhythm": quality["irregular"],
        "arm electrodes look exchanged": arms_exchanged(
            signal_mv, r_peaks=r_peaks, rate_hz=rate_hz, leads=leads
        ),
        "another participant in the ECG file than in its name": inside.isdecimal()
        and named.isdecimal()
        and inside != named,
    }
    return [doubt for doubt, found in doubts.items() if found]


def arms_exchanged(
    signal_mv: np.ndarray, *, r_peaks: np.ndarray, rate_hz: int, leads: tuple[str, ...]
) -> bool:
    """Return whether the electrodes of the arms look exchanged.

    A person should check such a record; it is never corrected. The exchange inverts lead I, swaps
    aVL and aVR, and leaves V6 as it is. In the mean beat of a denoised record (12, T), the P wave
    then points down in I and up in aVR, and the QRS complex of I is negative on balance and
    opposite to that of V6. This flags none of 125 real records, and half of the same records after
    an exchange (atrial fibrillation has no P wave to judge by).
    """
    before = round(_P_S[0] * rate_hz)
    after = round(_QRS_S[1] * rate_hz)
    whole = r_peaks[(r_peaks >= before) & (r_peaks + after <= signal_mv.shape[1])]
    if not len(whole):
        return False
    rows = signal_mv[[leads.index(lead) for lead in ("I", "V6", "aVR")]]
    beat = np.mean([rows[:, peak - before : peak + after] for peak in whole], axis=0)

    def part(first_s: float, last_s: float) -> np.ndarray:
        return np.asarray(
            beat[:, before - round(first_s * rate_hz) : before - round(last_s * rate_hz)]
        )

    def upright(wave: np.ndarray) -> bool:
        level = wave - np.linspace(wave[:5].mean(), wave[-5:].mean(), len(wave))
        return bool(level[np.abs(level).argmax()] > 0)

    one, six, _ = part(_QRS_S[0], -_QRS_S[1]) - part(*_LEVEL_S).mean(1, keepdims=True)
    p_one, _, p_avr = part(*_P_S)
    against = bool((one - one.mean()) @ (six - six.mean()) < 0)
    return against and bool(one.max() + one.min() < 0) and upright(p_avr) and not upright(p_one)
