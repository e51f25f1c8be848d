"""Leads in memory: what is converted, what is derived, what is refused; and real recordings of several devices and rates."""

from pathlib import Path

import numpy as np
import pytest
from recordings import beat_times, synthetic_mv

from ptacl import config
from ptacl.ecg.contract import conform
from ptacl.ecg.prepare import prepare
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

SIGNAL_MV = synthetic_mv(beat_times(60))
INDEPENDENT = ("I", "II", *LEADS[6:])


def test_an_array_in_the_models_own_form_is_taken_as_it_is(settings: config.Ecg) -> None:
    record = conform(SIGNAL_MV, rate_hz=500, unit="mV", settings=settings)
    assert record.leads == LEADS and record.rate_hz == 500 and record.signal_mv.dtype == np.float32
    np.testing.assert_array_equal(record.signal_mv, SIGNAL_MV.astype(np.float32))


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("µV", 1e3), ("V", 1e-3), ("nV", 1e6)])
def test_units(unit: str, factor: float, settings: config.Ecg) -> None:
    record = conform(SIGNAL_MV * factor, rate_hz=500, unit=unit, settings=settings)
    np.testing.assert_allclose(record.signal_mv, SIGNAL_MV, atol=1e-6)


def test_order_and_case_of_names_do_not_matter_and_other_leads_are_left(settings: config.Ecg) -> None:
    order = np.random.default_rng(0).permutation(12)
    names = [*(LEADS[i].upper() for i in order), "vx"]
    record = conform(np.vstack([SIGNAL_MV[order], SIGNAL_MV[:1]]), names=names, rate_hz=500, unit="mV", settings=settings)
    np.testing.assert_array_equal(record.signal_mv, SIGNAL_MV.astype(np.float32))


def test_limb_leads_are_derived_where_eight_are_stored(settings: config.Ecg) -> None:
    eight = {lead: SIGNAL_MV[LEADS.index(lead)] for lead in INDEPENDENT}
    np.testing.assert_allclose(conform(eight, rate_hz=500, unit="mV", settings=settings).signal_mv, SIGNAL_MV, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [250, 400, 1000, 997, 512.5])
def test_other_rates_keep_the_beats_where_they_are(rate_hz: float, settings: config.Ecg) -> None:
    samples = int(11 * rate_hz)
    grid_s = np.arange(samples) / rate_hz
    slow = np.stack([np.interp(grid_s, np.arange(5000) / 500, row) for row in SIGNAL_MV])
    record = conform(slow, rate_hz=rate_hz, unit="mV", settings=settings)
    assert record.signal_mv.shape == (12, 5000)
    peaks = prepare(record, settings=settings).r_peaks
    np.testing.assert_allclose(peaks[peaks >= 0] / 500, beat_times(60), atol=0.006)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rate_hz": 0}, Reason.WRONG_RATE),
        ({"rate_hz": float("nan")}, Reason.WRONG_RATE),
        ({"unit": "counts"}, Reason.WRONG_UNIT),
        ({"unit": ""}, Reason.WRONG_UNIT),
        ({"leads": SIGNAL_MV[:, :4000]}, Reason.WRONG_LENGTH),
        ({"rate_hz": 1000}, Reason.WRONG_LENGTH),
        ({"names": [*LEADS[:11], "V5"]}, Reason.MISSING_LEAD),
        ({"names": [*LEADS[:11], "V7"]}, Reason.MISSING_LEAD),
        ({"leads": np.where(np.arange(5000) == 7, np.nan, SIGNAL_MV)}, Reason.NOT_FINITE),
        ({"leads": SIGNAL_MV[[1, 0, *range(2, 12)]]}, Reason.EINTHOVEN),
        ({"leads": np.where(np.arange(12)[:, None] == 8, 0.5, SIGNAL_MV)}, Reason.FLAT_LEAD),
        ({"unit": "V"}, Reason.EINTHOVEN),
        ({"leads": SIGNAL_MV[[*range(7), 6, *range(8, 12)]]}, Reason.REPEATED_LEAD),
    ],
)
def test_what_is_refused(change: dict, reason: Reason, settings: config.Ecg) -> None:
    given = {"leads": np.round(SIGNAL_MV, 4), "rate_hz": 500, "unit": "mV"} | change
    with pytest.raises(Excluded) as error:
        conform(given.pop("leads"), settings=settings, **given)
    assert error.value.reason is reason


def test_real_recordings_of_the_challenge(real_data: Path, settings: config.Ecg) -> None:
    """One microvolt a count; two have leads without any signal, and are refused for that alone."""
    refused = {}
    for path in sorted((real_data / "ecg" / "cinc2021").glob("*.mat")):
        counts = np.frombuffer(path.read_bytes()[24:], "<i2").reshape(-1, 12).T
        try:
            prepare(conform(counts, rate_hz=500, unit="uV", resolution_mv=0.001, settings=settings), settings=settings)
        except Excluded as error:
            refused[path.stem] = error.reason
    assert refused == {"JS20004": Reason.FLAT_LEAD, "JS20008": Reason.FLAT_LEAD}


def test_a_real_recording_at_1000_hz(real_data: Path, settings: config.Ecg) -> None:
    """PTB: counts of half a microvolt; the header names three leads more than the file has."""
    header = (real_data / "ecg" / "wfdb" / "s0010_re.hea").read_text().split("\n")
    names = [line.split()[-1] for line in header[1:16]]
    counts = np.fromfile(real_data / "ecg" / "wfdb" / "s0010_re.dat", "<i2").reshape(-1, 12).T
    record = conform(counts / 2, names=names[:12], rate_hz=1000, unit="uV", resolution_mv=0.0005, settings=settings)
    found = prepare(record, settings=settings)
    assert record.signal_mv.shape == (12, 5000)
    assert 60 <= found.quality["heart_rate_bpm"] <= 100 and found.quality["likeness"] > 0.9
