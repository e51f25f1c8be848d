"""Checks for signals that cannot be a twelve-lead ECG at rest, and for exchanged electrodes.

The limits are settings (`ecg.faults`). Their defaults are beyond everything in 123 real records of
LUDB and of the PhysioNet Challenge 2021, measured in the units and steps of the device: longest
constant stretch 0.55 s, equal samples of two leads 51 %, samples at the highest or lowest value 1.3
%, noise 0.04 mV, largest range of a lead 10 mV.
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
) -> None:
    """Raise Excluded for the first fault of a strip (12, T) in counts; `leads` names its rows."""
    for fault in _found(
        counts, leads=leads, resolution_mv=resolution_mv, rate_hz=rate_hz, settings=settings
    ):
        raise fault


def _found(
    counts: np.ndarray,
    *,
    leads: tuple[str, ...],
    resolution_mv: float,
    rate_hz: int,
    settings: config.EcgFaults,
) -> Iterator[Excluded]:
    def where(rows: np.ndarray) -> str:
        return (
            "all leads"
            if rows.all()
            else "lead " + ", ".join(leads[row] for row in np.flatnonzero(rows))
        )

    constant_s = _longest_constant(counts) / rate_hz
    if (dead := constant_s > settings.max_constant_s).any():
        yield Excluded(Reason.DEAD_LEAD, f"{where(dead)} for {constant_s.max():.1f} s")
    for first, second, share in sorted(
        _equal(counts, beyond=settings.max_equal_share), key=lambda found: -found[2]
    ):
        yield Excluded(
            Reason.REPEATED_LEAD,
            f"{leads[first]} and {leads[second]} in {share:.0%} of the samples",
        )
    lowest, highest = counts.min(axis=1), counts.max(axis=1)
    range_mv = (highest - lowest) * resolution_mv
    if (beyond := range_mv > settings.max_range_mv).any():
        yield Excluded(
            Reason.VOLTAGE, f"{where(beyond)}: {range_mv.max():.0f} mV from lowest to highest"
        )
    edges = zip(counts, lowest, highest, strict=True)
    extreme = np.array(
        [
            max(np.count_nonzero(row == low), np.count_nonzero(row == high))
            for row, low, high in edges
        ]
    )
    extreme = extreme / counts.shape[1]
    if (cut := extreme > settings.max_extreme_share).any():
        yield Excluded(
            Reason.SATURATED, f"{where(cut)}: {extreme.max():.0%} of the samples at one extreme"
        )
    details = [pywt.downcoef("d", row, _WAVELET) for row in counts.astype(np.float32)]
    detail_mv = np.abs(details) * np.float32(resolution_mv)
    noisy = (
        np.count_nonzero(detail_mv > _NORMAL * settings.max_noise_mv, axis=-1)
        > detail_mv.shape[-1] / 2
    )
    if noisy.any():
        noise_mv = np.median(detail_mv[noisy], axis=-1).max() / _NORMAL
        yield Excluded(
            Reason.NOISY_LEAD,
            f"{where(noisy)}: {noise_mv:.2f} mV above a quarter of the sampling rate",
        )


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
