"""From leads in memory to a record as the preparation takes it: twelve named leads, in mV, at the rate and of the length set.

What a format or a person gives is checked as a CardioSoft file is: no lead is guessed, no gap filled. Two things are done to it:
limb leads that follow from I and II are derived where they are absent, and another sampling rate is converted.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import signal

from ptacl import config
from ptacl.ecg import faults
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason

STEP_MV = 0.005  # of a recording whose resolution is not told: that of the device of UK Biobank
MV = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3, "nv": 1e-6}
_NAMES = {lead.lower(): lead for lead in LEADS}
_CUT, _ROUNDING = 2, 1e-6  # of counts, in the device and in floating point
_INDEPENDENT = ("I", "II", *LEADS[6:])
_LARGEST_FACTOR = 10_000  # of the two of a ratio of rates


def conform(
    leads: Mapping[str, np.ndarray] | np.ndarray,
    *,
    rate_hz: float,
    unit: str,
    settings: config.Ecg,
    names: Sequence[str] = LEADS,
    resolution_mv: float = STEP_MV,
) -> EcgRecord:
    """A record from leads by name, or from an array (leads, samples) and their names; Excluded where it cannot be used.

    unit : mV, uV, V or nV. resolution_mv : step of the digitiser, by which tolerances in counts are meant. The first ten seconds
    are used; a shorter recording is refused.
    """
    rows = _named(zip(names, leads, strict=True) if isinstance(leads, np.ndarray) else leads.items())
    if unit.lower() not in MV:
        raise Excluded(Reason.WRONG_UNIT, f"{unit or 'none'}, not one of mV, uV, V, nV")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise Excluded(Reason.WRONG_RATE, f"{rate_hz:g} Hz")
    needed = math.ceil(settings.num_samples * rate_hz / settings.rate_hz)
    if short := [name for name, row in rows.items() if row.ndim != 1 or len(row) < needed]:
        raise Excluded(Reason.WRONG_LENGTH, f"lead {short[0]} is shorter than {settings.num_samples / settings.rate_hz:g} s")
    signal_mv = np.stack([rows[name][:needed] for name in LEADS]).astype(np.float64) * MV[unit.lower()]
    if not np.isfinite(signal_mv).all():
        raise Excluded(Reason.NOT_FINITE, "in a lead")
    # Files are often finer than the device was: a count is at least of this size. And devices cut each lead off by itself.
    coarse = signal_mv / max(resolution_mv, STEP_MV)
    faults.check_limb_leads(coarse, leads=LEADS, tolerance=_CUT * settings.einthoven_tolerance_counts + _ROUNDING)
    faults.check(
        signal_mv / resolution_mv, leads=LEADS, resolution_mv=resolution_mv, rate_hz=round(rate_hz), settings=settings.faults
    )
    return EcgRecord(
        signal_mv=_resampled(signal_mv, rate_hz=rate_hz, settings=settings).astype(np.float32),
        leads=LEADS,
        rate_hz=settings.rate_hz,
        resolution_mv=resolution_mv,
        filters={},
        device_beats_ms=(),
        measurements={},
        software="",
        participant="",
    )


def _named(given: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Rows by the twelve names; those of the limb that follow from I and II are derived where they are absent."""
    rows: dict[str, np.ndarray] = {}
    for name, row in given:
        lead = _NAMES.get(str(name).strip().lower())
        if lead in rows:
            raise Excluded(Reason.MISSING_LEAD, f"lead {lead} twice")
        if lead is not None:  # others, as of Frank, are not used
            rows[lead] = np.asarray(row)
    if missing := [lead for lead in _INDEPENDENT if lead not in rows]:
        raise Excluded(Reason.MISSING_LEAD, f"no lead {', '.join(missing)}")
    one, two = np.asarray(rows["I"], np.float64), np.asarray(rows["II"], np.float64)
    if one.shape != two.shape:
        raise Excluded(Reason.WRONG_LENGTH, "leads I and II differ in length")
    derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return derived | rows


def _resampled(signal_mv: np.ndarray, *, rate_hz: float, settings: config.Ecg) -> np.ndarray:
    """(12, num_samples) at the rate of the settings, by a polyphase filter."""
    up, down = settings.rate_hz, rate_hz
    if not float(down).is_integer():
        up, down = up * 1000, round(down * 1000)
    divisor = math.gcd(int(up), int(down))
    up, down = int(up) // divisor, int(down) // divisor
    if max(up, down) > _LARGEST_FACTOR:
        raise Excluded(Reason.WRONG_RATE, f"{rate_hz:g} Hz cannot be converted to {settings.rate_hz} Hz")
    if up == down:
        return signal_mv[:, : settings.num_samples]
    found: np.ndarray = signal.resample_poly(signal_mv, up, down, axis=1, padtype="line")
    return found[:, : settings.num_samples]
