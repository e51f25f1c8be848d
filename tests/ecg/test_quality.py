"""What no ECG is, on synthetic records that have one fault each and on real ones, none of which may
be lost.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from quality_records import GOOD, real
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config
from ptacl.ecg import quality
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

V3 = LEADS.index("V3")


def reason(
    values: np.ndarray, settings: config.Ecg, *, resolution_mv: float = 0.005
) -> Reason | None:
    try:
        doubts = quality.check(
            values, leads=LEADS, resolution_mv=resolution_mv, rate_hz=500, settings=settings.faults
        )
    except Excluded as error:
        return error.reason
    return Reason(next(iter(doubts))) if doubts else None


def changed(lead: int | slice, samples: slice, value: object) -> np.ndarray:
    values = GOOD.copy()
    values[lead, samples] = value
    return values


def saturated() -> np.ndarray:
    values = GOOD.copy()
    values[V3] = np.clip(8 * values[V3], -60, 60)
    return values


def noisy(lead: int, sigma_mv: float) -> np.ndarray:
    values = GOOD.copy()
    values[lead] += np.rint(np.random.default_rng(0).normal(0, sigma_mv / 0.005, 5000)).astype(int)
    return values


FAULTS = {
    "a lead dead for 3 s": (changed(V3, slice(2000, 3500), 0), Reason.DEAD_LEAD),
    "all leads dead at the end": (changed(slice(None), slice(4000, None), 3), Reason.DEAD_LEAD),
    "V4 is V3": (changed(V3 + 1, slice(None), GOOD[V3]), Reason.REPEATED_LEAD),
    "a spike of 160 mV": (changed(V3, slice(100, 103), 32_000), Reason.VOLTAGE),
    "saturated": (saturated(), Reason.SATURATED),
    "noise": (noisy(V3, 0.3), Reason.NOISY_LEAD),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_its_reason(fault: str, settings: config.Ecg) -> None:
    values, expected = FAULTS[fault]
    assert reason(GOOD, settings) is None
    assert reason(values, settings) is expected


def test_the_detail_names_the_lead(settings: config.Ecg) -> None:
    with pytest.raises(Excluded, match=r"lead V3 for 3\.0 s"):
        quality.check(
            changed(V3, slice(2000, 3500), 0),
            leads=LEADS,
            resolution_mv=0.005,
            rate_hz=500,
            settings=settings.faults,
        )
    with pytest.raises(Excluded, match="all leads"):
        quality.check(
            changed(slice(None), slice(4000, None), 3),
            leads=LEADS,
            resolution_mv=0.005,
            rate_hz=500,
            settings=settings.faults,
        )


def test_voltage_depends_on_the_resolution(settings: config.Ecg) -> None:
    """Counts that are an ECG at 5 microvolt are none at a millivolt."""
    assert reason(GOOD, settings, resolution_mv=1.0) is Reason.VOLTAGE


@pytest.mark.parametrize("step_mv", [0.001, 0.005], ids=["1 uV", "5 uV"])
def test_no_real_record_is_lost(step_mv: float, real_data: Path, settings: config.Ecg) -> None:
    found = {
        name: reason(np.rint(mv / step_mv), settings, resolution_mv=step_mv)
        for name, mv in real(real_data)
        if np.ptp(mv, axis=1).all()
    }
    assert len(found) == 123  # of 125: two have leads that are flat all through
    assert {name for name, why in found.items() if why} == set()


@pytest.mark.parametrize(("rate", "ours"), [(171, "half of the beats of the device"), (60, "")])
def test_the_list_of_the_device_is_a_gate(
    rate: int, ours: str, tmp_path: Path, settings: config.Ecg
) -> None:
    """Marks at another rate than that of the signal exclude; a list of one mark alone tells too
    little to.
    """
    path = tmp_path / "9000001_20205_2_0.xml"
    leads = counts(synthetic_mv(beat_times(60)))
    path.write_text(
        cardiosoft(leads, beats_ms=list(1000 * beat_times(rate) + 15)), encoding="latin-1"
    )
    if ours:
        assert examine(path, settings=settings).excluded.reason is Reason.OTHER_BEATS
    else:
        assert examine(path, settings=settings).facts["device"]["matched"] == 10
    path.write_text(cardiosoft(leads, beats_ms=[515]), encoding="latin-1")
    assert examine(path, settings=settings).excluded is None


def test_constant_stretches_and_equal_leads_are_found_wherever_they_lie() -> None:
    """Compared with a search sample by sample."""
    rng = np.random.default_rng(0)
    for start, length in [(0, 501), (1, 501), (249, 501), (4499, 501), (2000, 500), (17, 3000)]:
        counts = rng.integers(-50, 50, (12, 5000), dtype=np.int32)
        counts[3, start : start + length] = 7
        found = quality._longest_constant(counts)
        for row, longest in zip(counts, found, strict=True):
            assert longest == max(len(list(group)) for _, group in itertools.groupby(row))
        assert found[3] >= length
    for share in (0.94, 0.951, 0.99, 1.0):
        counts = rng.integers(-50, 50, (12, 5000), dtype=np.int32)
        same = rng.permutation(5000)[: int(share * 5000)]
        counts[7, same] = counts[2, same]
        exact = float((counts[7] == counts[2]).mean())
        assert list(quality._equal(counts, beyond=0.95)) == (
            [(2, 7, exact)] if exact > 0.95 else []
        )


def detail(values: np.ndarray, settings: config.Ecg) -> str:
    """The detail of the exclusion, or of the first doubt."""
    try:
        doubts = quality.check(
            values, leads=LEADS, resolution_mv=0.005, rate_hz=500, settings=settings.faults
        )
    except Excluded as error:
        return error.detail
    return next(iter(doubts.values()))


@pytest.mark.parametrize(
    ("values", "limits", "reason"),
    [
        ("saturated", {"max_extreme_share": 0.19}, Reason.SATURATED),
        ("noise", {"max_noise_mv": 0.29}, Reason.NOISY_LEAD),
    ],
)
def test_far_beyond_doubt_a_record_is_excluded(
    values: str, limits: dict[str, float], reason: Reason, settings: config.Ecg
) -> None:
    """A fifth of the samples at the top; noise of 0.3 mV."""
    top = changed(V3, slice(None, None, 5), GOOD[V3].max() + 1)
    counts = top if values == "saturated" else noisy(V3, 0.3)
    how = {"leads": LEADS, "resolution_mv": 0.005, "rate_hz": 500}
    assert reason.value in quality.check(counts, settings=settings.faults, **how)
    with pytest.raises(Excluded) as error:
        quality.check(counts, settings=settings.faults.model_copy(update=limits), **how)
    assert error.value.reason is reason


def test_a_fault_tells_its_size(settings: config.Ecg) -> None:
    """A fifth of the samples at the top, a spike of 32,000 counts of 5 uV, noise of 0.3 mV."""
    assert detail(changed(slice(None), slice(4000, None), 3), settings) == "all leads for 2.0 s"
    spike = changed(V3, slice(100, 103), 32_000)
    assert detail(spike, settings) == "lead V3: 160 mV from lowest to highest"
    top = changed(V3, slice(None, None, 5), GOOD[V3].max() + 1)
    assert detail(top, settings) == "lead V3: 20% of the samples at one extreme"
    bottom = changed(V3, slice(None, None, 4), GOOD[V3].min() - 1)
    assert detail(bottom, settings) == "lead V3: 25% of the samples at one extreme"
    noise = noisy(V3, 0.3)
    assert detail(noise, settings) == "lead V3: 0.30 mV above a quarter of the sampling rate"
    copied = changed(V3 + 1, slice(None), GOOD[V3])
    assert detail(copied, settings) == "V3 and V4 in 100% of the samples"


def test_of_several_pairs_of_equal_leads_that_with_most_equal_samples_is_named(
    settings: config.Ecg,
) -> None:
    values = changed(V3 + 1, slice(0, 4850), GOOD[V3, :4850])
    values[LEADS.index("V6")] = GOOD[LEADS.index("V5")]
    assert detail(values, settings) == "V5 and V6 in 100% of the samples"


@pytest.mark.parametrize(("counts_high", "expected"), [(4000, None), (4001, Reason.VOLTAGE)])
def test_a_range_of_20_mv_is_the_largest(
    counts_high: int,
    expected: Reason | None,
    settings: config.Ecg,
) -> None:
    """4,000 counts of 5 microvolt from lowest to highest."""
    lowest = int(GOOD[V3].min())
    assert reason(changed(V3, 100, lowest + counts_high), settings) is expected


@pytest.mark.parametrize(("number", "expected"), [(100, None), (101, Reason.SATURATED)])
def test_2_percent_of_the_samples_may_be_at_one_extreme(
    number: int,
    expected: Reason | None,
    settings: config.Ecg,
) -> None:
    """100 of 5,000."""
    values = GOOD.copy()
    values[V3, np.linspace(0, 4999, number).astype(int)] = GOOD[V3].max() + 1
    assert reason(values, settings) is expected


@pytest.mark.parametrize(("length", "expected"), [(500, None), (501, Reason.DEAD_LEAD)])
def test_a_lead_may_be_constant_for_a_second(
    length: int,
    expected: Reason | None,
    settings: config.Ecg,
) -> None:
    """Its value, 7, is not an extreme of the lead, and differs from those before and after."""
    values = changed(V3, slice(2000, 2000 + length), 7)
    values[V3, [1999, 2000 + length]] = 8
    assert reason(values, settings) is expected


def test_flat_leads_are_named() -> None:
    values = GOOD.copy()
    values[[0, V3]] = 5
    with pytest.raises(Excluded) as error:
        quality.check_limb_leads(values, leads=LEADS, tolerance=1)
    assert error.value.reason is Reason.FLAT_LEAD
    assert error.value.detail == "lead I, V3"


@pytest.mark.parametrize("lead", ["III", "aVR", "aVL", "aVF"])
def test_a_limb_lead_may_be_a_count_from_what_i_and_ii_say_and_no_further(lead: str) -> None:
    """III = II - I, aVR = -(I + II) / 2, aVL = (I - III) / 2, aVF = (II + III) / 2.

    Here I is 2 and II is 6.
    """
    exact = {"I": 2.0, "II": 6.0, "III": 4.0, "aVR": -4.0, "aVL": -1.0, "aVF": 5.0}
    values = np.random.default_rng(0).normal(size=(12, 50))
    values[:6] = np.array(list(exact.values()))[:, None] * np.linspace(0, 1, 50)
    quality.check_limb_leads(values, leads=LEADS, tolerance=1)
    for counts_off in (1.0, -1.0):
        off = values.copy()
        off[LEADS.index(lead), 49] += counts_off
        quality.check_limb_leads(off, leads=LEADS, tolerance=1)
        off[LEADS.index(lead), 49] += counts_off
        with pytest.raises(
            Excluded,
            match=f"lead {lead} is 2 counts off the value that follows from I and II",
        ) as error:
            quality.check_limb_leads(off, leads=LEADS, tolerance=1)
        assert error.value.reason is Reason.EINTHOVEN
