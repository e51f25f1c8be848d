"""Convert leads in memory to a record: twelve leads in mV, at one rate and length.

Leads from other formats, or from a user's array, are checked as strictly as a CardioSoft file: no
lead is guessed and no gap is filled. Only two things are changed. Limb leads that follow from I and
II are derived if they are missing, and signals with another sampling rate are resampled.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import signal

from ptacl import config
from ptacl.ecg import quality
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason, from_file

STEP_MV = 0.005  # used if a recording has no resolution; the step of UK Biobank's device
MV = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3, "nv": 1e-6}
_NAMES = {lead.lower(): lead for lead in LEADS}
_CUT, _ROUNDING = 2, 1e-6  # tolerances in counts: cut-off by the device, and floating point
_INDEPENDENT = ("I", "II", *LEADS[6:])
_LARGEST_FACTOR = 10_000  # of the up and down factors of a resampling


def conform(
    leads: Mapping[str, np.ndarray] | np.ndarray,
    *,
    rate_hz: float,
    unit: str,
    settings: config.Ecg,
    names: Sequence[str] = LEADS,
    resolution_mv: float = STEP_MV,
) -> EcgRecord:
    """Check the leads of one ECG and convert them to a record.

    Only the first ten seconds are used (`ecg.num_samples` at `ecg.rate_hz`); a shorter recording is
    refused.

    Parameters
    ----------
    leads : mapping of str to (T,) array, or (L, T) array
        Samples of each lead, in `unit`, by name or in the order of `names`. Case is ignored, and
        names other than the twelve are not used. III, aVR, aVL and aVF are derived from I and II
        if they are missing.
    rate_hz : float
        Sampling rate of the leads, Hz. A rate other than `ecg.rate_hz` is converted by a polyphase
        filter.
    unit : str
        Unit of the samples: mV, uV, V or nV.
    settings : ptacl.config.Ecg
        Section `ecg` of the configuration.
    names : sequence of str
        Names of the rows, if `leads` is an array. By default the twelve leads in their usual order.
    resolution_mv : float
        Step of the digitiser, in mV. Tolerances in counts refer to it. By default 0.005 mV, the
        step of UK Biobank's device.

    Returns
    -------
    ptacl.ecg.read.EcgRecord
        The record: (12, ecg.num_samples) float32 in mV, at `ecg.rate_hz`.

    Raises
    ------
    ptacl.exclusions.Excluded
        If leads, unit, rate or values cannot be used, or a check of `ptacl.ecg.quality` fails.
    """
    rows = _named(
        zip(names, leads, strict=True) if isinstance(leads, np.ndarray) else leads.items()
    )
    if unit.lower() not in MV:
        raise Excluded(Reason.WRONG_UNIT, f"{unit or 'none'}, not one of mV, uV, V, nV")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise Excluded(Reason.WRONG_RATE, f"{rate_hz:g} Hz")
    needed = math.ceil(settings.num_samples * rate_hz / settings.rate_hz)
    if short := [name for name, row in rows.items() if row.ndim != 1 or len(row) < needed]:
        raise Excluded(
            Reason.WRONG_LENGTH,
            f"lead {short[0]} is shorter than {settings.num_samples / settings.rate_hz:g} s",
        )
    signal_mv = (
        np.stack([rows[name][:needed] for name in LEADS]).astype(np.float64) * MV[unit.lower()]
    )
    if not np.isfinite(signal_mv).all():
        raise Excluded(Reason.NOT_FINITE, "in a lead")
    # Files often store finer steps than the device had, so a count is at least STEP_MV.
    # In addition, devices cut off each lead separately.
    coarse = signal_mv / max(resolution_mv, STEP_MV)
    quality.check_limb_leads(
        coarse, leads=LEADS, tolerance=_CUT * settings.einthoven_tolerance_counts + _ROUNDING
    )
    doubts = quality.check(
        signal_mv / resolution_mv,
        leads=LEADS,
        resolution_mv=resolution_mv,
        rate_hz=round(rate_hz),
        settings=settings.faults,
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
        doubts=doubts,
    )


def _named(given: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Sort the rows by the twelve names, and derive the limb leads that follow from I and II if
    they are missing.
    """
    rows: dict[str, np.ndarray] = {}
    others = []
    for name, row in given:
        lead = _NAMES.get(str(name).strip().lower())
        if lead in rows:
            raise Excluded(Reason.MISSING_LEAD, f"lead {lead} occurs twice")
        if lead is None:  # such as Frank leads
            others.append(str(name))
        else:
            rows[lead] = np.asarray(row)
    if missing := [lead for lead in _INDEPENDENT if lead not in rows]:
        instead = f"; the others are {from_file(', '.join(others))}" if others else ""
        raise Excluded(Reason.MISSING_LEAD, f"missing lead {', '.join(missing)}{instead}")
    one, two = np.asarray(rows["I"], np.float64), np.asarray(rows["II"], np.float64)
    if one.shape != two.shape:
        raise Excluded(Reason.WRONG_LENGTH, "leads I and II differ in length")
    derived = {
        "III": two - one,
        "aVR": -(one + two) / 2,
        "aVL": one - two / 2,
        "aVF": two - one / 2,
    }
    return derived | rows


def _resampled(signal_mv: np.ndarray, *, rate_hz: float, settings: config.Ecg) -> np.ndarray:
    """Convert to (12, num_samples) at the rate of the settings, by a polyphase filter."""
    up, down = settings.rate_hz, rate_hz
    if not float(down).is_integer():
        up, down = up * 1000, round(down * 1000)
    divisor = math.gcd(int(up), int(down))
    up, down = int(up) // divisor, int(down) // divisor
    if max(up, down) > _LARGEST_FACTOR:
        raise Excluded(
            Reason.WRONG_RATE, f"{rate_hz:g} Hz cannot be converted to {settings.rate_hz} Hz"
        )
    if up == down:
        return signal_mv[:, : settings.num_samples]
    found: np.ndarray = signal.resample_poly(signal_mv, up, down, axis=1, padtype="line")
    return found[:, : settings.num_samples]
