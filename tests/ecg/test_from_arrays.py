"""Leads in memory: what is converted, what is derived, what is refused; and real recordings of
several devices and rates.
"""

from pathlib import Path

import numpy as np
import pytest
from recordings import beat_times, synthetic_mv

from ptacl import config
from ptacl.ecg.examine import examine_array
from ptacl.ecg.from_arrays import conform
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


def test_order_and_case_of_names_do_not_matter_and_other_leads_are_left(
    settings: config.Ecg,
) -> None:
    order = np.random.default_rng(0).permutation(12)
    names = [*(LEADS[i].upper() for i in order), "vx"]
    record = conform(
        np.vstack([SIGNAL_MV[order], SIGNAL_MV[:1]]),
        names=names,
        rate_hz=500,
        unit="mV",
        settings=settings,
    )
    np.testing.assert_array_equal(record.signal_mv, SIGNAL_MV.astype(np.float32))


def test_limb_leads_are_derived_where_eight_are_stored(settings: config.Ecg) -> None:
    eight = {lead: SIGNAL_MV[LEADS.index(lead)] for lead in INDEPENDENT}
    np.testing.assert_allclose(
        conform(eight, rate_hz=500, unit="mV", settings=settings).signal_mv, SIGNAL_MV, atol=1e-6
    )


@pytest.mark.parametrize("rate_hz", [250, 400, 1000, 997, 512.5])
def test_other_rates_keep_the_beats_where_they_are(rate_hz: float, settings: config.Ecg) -> None:
    samples = int(11 * rate_hz)
    grid_s = np.arange(samples) / rate_hz
    slow = np.stack([np.interp(grid_s, np.arange(5000) / 500, row) for row in SIGNAL_MV])
    record = conform(slow, rate_hz=rate_hz, unit="mV", settings=settings)
    assert record.signal_mv.shape == (12, 5000)
    examined = examine_array(slow, names=LEADS, rate_hz=rate_hz, unit="mV", settings=settings)
    peaks = examined.arrays["r_peaks"]
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
        found = examine_array(counts, names=LEADS, rate_hz=500, unit="uV", settings=settings)
        if found.excluded:
            refused[path.stem] = found.excluded.reason
    assert refused == {"JS20004": Reason.FLAT_LEAD, "JS20008": Reason.FLAT_LEAD}


def test_a_real_recording_at_1000_hz(real_data: Path, settings: config.Ecg) -> None:
    """PTB: counts of half a microvolt; the header names three leads more than the file has."""
    header = (real_data / "ecg" / "wfdb" / "s0010_re.hea").read_text().split("\n")
    names = [line.split()[-1] for line in header[1:16]]
    counts = np.fromfile(real_data / "ecg" / "wfdb" / "s0010_re.dat", "<i2").reshape(-1, 12).T
    found = examine_array(counts / 2, names=names[:12], rate_hz=1000, unit="uV", settings=settings)
    assert found.excluded is None
    assert found.arrays["signal_mv"].shape == (12, 5000)
    assert 60 <= found.facts["heart_rate_bpm"] <= 100
    assert found.facts["likeness"] > 0.9


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"unit": "counts"}, "counts, not one of mV, uV, V, nV"),
        ({"unit": ""}, "none, not one of mV, uV, V, nV"),
        ({"rate_hz": -1}, "-1 Hz"),
        ({"rate_hz": 500.001}, "500.001 Hz cannot be converted to 500 Hz"),
        (
            {"leads": dict(zip(LEADS, SIGNAL_MV, strict=True)) | {"V2": SIGNAL_MV[7, :4999]}},
            "lead V2 is shorter than 10 s",
        ),
        ({"names": [*LEADS[:11], "v5"]}, "lead V5 occurs twice"),
        ({"names": [*LEADS[:10], "V7", "V8"]}, "missing lead V5, V6; the others are V7, V8"),
        ({"leads": np.where(np.arange(5000) == 7, np.nan, SIGNAL_MV)}, "in a lead"),
        ({"leads": np.where(np.arange(12)[:, None] >= 10, 0.5, SIGNAL_MV)}, "lead V5, V6"),
    ],
)
def test_the_detail_says_what_is_wrong(change: dict, detail: str, settings: config.Ecg) -> None:
    given = {"leads": SIGNAL_MV, "rate_hz": 500, "unit": "mV"} | change
    if given["rate_hz"] > 500:
        given["leads"] = np.pad(given["leads"], ((0, 0), (0, 10)), mode="edge")
    with pytest.raises(Excluded) as error:
        conform(given.pop("leads"), settings=settings, **given)
    assert error.value.detail == detail


def test_leads_i_and_ii_of_different_length_are_refused(settings: config.Ecg) -> None:
    leads = dict(zip(LEADS, SIGNAL_MV, strict=True))
    leads["II"] = leads["II"][:-1]
    with pytest.raises(Excluded) as error:
        conform(leads, rate_hz=500, unit="mV", settings=settings)
    assert error.value.reason is Reason.WRONG_LENGTH
    assert error.value.detail == "leads I and II differ in length"


def test_a_lead_of_two_dimensions_is_refused(settings: config.Ecg) -> None:
    leads = dict(zip(LEADS, SIGNAL_MV, strict=True))
    leads["V2"] = np.stack([leads["V2"]] * 2)
    with pytest.raises(Excluded) as error:
        conform(leads, rate_hz=500, unit="mV", settings=settings)
    assert error.value.reason is Reason.WRONG_LENGTH


def test_of_a_longer_recording_the_first_ten_seconds_are_used(settings: config.Ecg) -> None:
    longer = np.concatenate([SIGNAL_MV, SIGNAL_MV[:, ::-1]], axis=1)
    record = conform(longer, rate_hz=500, unit="mV", settings=settings)
    np.testing.assert_array_equal(record.signal_mv, SIGNAL_MV.astype(np.float32))


@pytest.mark.parametrize(("steps_off", "refused"), [(2.0, False), (2.1, True)])
def test_limb_leads_agree_within_two_steps_of_the_device(
    steps_off: float,
    refused: bool,
    settings: config.Ecg,
) -> None:
    """A step is 5 microvolt where the file does not say otherwise."""
    signal_mv = SIGNAL_MV.copy()
    signal_mv[LEADS.index("III"), 1234] += steps_off * 0.005
    if refused:
        with pytest.raises(
            Excluded, match=r"lead III is 2\.1 counts off the value that follows from I and II"
        ):
            conform(signal_mv, rate_hz=500, unit="mV", settings=settings)
    else:
        conform(signal_mv, rate_hz=500, unit="mV", settings=settings)


def test_limb_leads_of_a_file_with_finer_steps_still_agree_within_those_of_the_device(
    settings: config.Ecg,
) -> None:
    signal_mv = SIGNAL_MV.copy()
    signal_mv[LEADS.index("III"), 1234] += 2 * 0.005
    record = conform(signal_mv, rate_hz=500, unit="mV", resolution_mv=0.001, settings=settings)
    assert record.resolution_mv == 0.001


def test_leads_in_memory_come_without_the_facts_of_a_device(settings: config.Ecg) -> None:
    record = conform(SIGNAL_MV, rate_hz=500, unit="mV", settings=settings)
    assert record.resolution_mv == 0.005
    assert record.filters == {}
    assert record.device_beats_ms == ()
    assert record.measurements == {}
    assert record.software == ""
    assert record.participant == ""


def test_names_of_leads_may_have_spaces_around_them(settings: config.Ecg) -> None:
    names = [f" {lead} " for lead in LEADS]
    record = conform(SIGNAL_MV, names=names, rate_hz=500, unit="mV", settings=settings)
    np.testing.assert_array_equal(record.signal_mv, SIGNAL_MV.astype(np.float32))


@pytest.mark.parametrize(("rate_hz", "refused"), [(499.95, False), (500.05, True)])
def test_rates_of_a_ratio_of_small_enough_numbers_are_converted(
    rate_hz: float,
    refused: bool,
    settings: config.Ecg,
) -> None:
    """The largest factor is 10,000.

    500 to 499.95 is as 10,000 to 9,999, and 500 to 500.05 as 10,000 to 10,001.
    """
    longer = np.pad(SIGNAL_MV, ((0, 0), (0, 10)), mode="edge")
    if refused:
        with pytest.raises(Excluded, match="cannot be converted to 500 Hz") as error:
            conform(longer, rate_hz=rate_hz, unit="mV", settings=settings)
        assert error.value.reason is Reason.WRONG_RATE
    else:
        record = conform(longer, rate_hz=rate_hz, unit="mV", settings=settings)
        assert record.signal_mv.shape == (12, 5000)


def test_a_lead_that_is_named_twice_in_an_array_is_refused(settings: config.Ecg) -> None:
    thirteen = np.vstack([SIGNAL_MV, -SIGNAL_MV[10]])
    for signal_mv, names in ((thirteen, [*LEADS, "V5"]), (SIGNAL_MV, [*LEADS[:11], "V5"])):
        with pytest.raises(Excluded, match="lead V5 occurs twice"):
            conform(signal_mv, names=names, rate_hz=500, unit="mV", settings=settings)
