"""The steps of R-peak detection one by one: places, matches, likeness, gates, the device."""

import importlib.util
import itertools
from typing import Any

import numpy as np
import pytest
from recordings import RATE_HZ, beat_times, synthetic_mv

from ptacl import config
from ptacl.ecg import heartbeats, rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason


@pytest.mark.skipif(importlib.util.find_spec("ts2vg") is not None, reason="ts2vg is installed")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(ValueError, match="pip install ts2vg"):
        rpeaks.detect(synthetic_mv(beat_times(60))[1], rate_hz=RATE_HZ, method="emrich2023")


def test_peak_of_a_beat_is_the_detector_s_or_the_largest_deflection() -> None:
    lead_mv = np.zeros(5000)
    lead_mv[[1010, 2015, 2990]] = 1, -2, 1
    found = rpeaks.place(
        np.array([1000, 2000, 3000]),
        detected=np.array([1005, 1600]),
        lead_mv=lead_mv,
        rate_hz=RATE_HZ,
    )
    assert found.tolist() == [1005, 2015, 2990]


def test_each_peak_is_matched_once() -> None:
    assert rpeaks.matched(np.array([10, 12, 50]), second=np.array([11, 80]), tolerance=5) == 1
    assert rpeaks.matched(np.array([]), second=np.array([11]), tolerance=5) == 0


def test_likeness_is_a_mean_correlation_by_hand() -> None:
    signal_mv = np.random.default_rng(3).normal(size=(len(LEADS), 5000))
    peaks = np.array([10, 500, 1500, 3000, 4990])  # the first and the last do not lie inside
    waves = [signal_mv[:, p - 40 : p + 41].ravel() for p in peaks[1:-1]]
    expected = [np.corrcoef(w, sum(o for o in waves if o is not w))[0, 1] for w in waves]
    assert rpeaks.likeness(signal_mv, r_peaks=peaks, rate_hz=RATE_HZ) == pytest.approx(
        np.median(expected), abs=1e-9
    )
    assert rpeaks.likeness(signal_mv, r_peaks=peaks[:2], rate_hz=RATE_HZ) == -1


def test_median_of_eight_is_the_median() -> None:
    """All inputs of zeros and ones: what sorts these sorts everything."""
    zeros_and_ones = np.array(list(itertools.product([0.0, 1.0], repeat=8))).T
    random = np.random.default_rng(0).normal(size=(8, 999))
    for rows in (zeros_and_ones, random):
        np.testing.assert_array_equal(heartbeats._median_of_eight(rows), np.median(rows, axis=0))


GOOD = {"num_beats": 10, "heart_rate_bpm": 60.0, "device": None, "likeness": 0.99}


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"num_beats": 3}, Reason.NO_R_PEAKS, "3 beats"),
        ({"heart_rate_bpm": 29.9}, Reason.IMPLAUSIBLE_RATE, "30 bpm"),
        ({"heart_rate_bpm": 200.6}, Reason.IMPLAUSIBLE_RATE, "201 bpm"),
        (
            {"likeness": 0.34},
            Reason.NO_R_PEAKS,
            "the waves at the peaks do not resemble one another (likeness 0.34)",
        ),
        (
            {"device": {"num_beats": 10, "ours": 10, "matched": 7}},
            Reason.OTHER_BEATS,
            "7 of 10 R-peaks are among the 10 beats of the device",
        ),
    ],
)
def test_a_gate_says_what_it_refuses(
    change: dict[str, Any],
    reason: Reason,
    detail: str,
    settings: config.Ecg,
) -> None:
    with pytest.raises(Excluded) as error:
        rpeaks.check(GOOD | change, settings=settings.rpeaks)
    assert error.value.reason is reason
    assert error.value.detail == detail


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"num_beats": 4},
        {"heart_rate_bpm": 30.0},
        {"heart_rate_bpm": 200.0},
        {"likeness": 0.35},
        {"device": {"num_beats": 10, "ours": 10, "matched": 8}},
    ],
)
def test_what_just_meets_the_limits_is_kept(change: dict[str, Any], settings: config.Ecg) -> None:
    rpeaks.check(GOOD | change, settings=settings.rpeaks)


def test_two_beats_are_needed_whatever_the_settings_say(settings: config.Ecg) -> None:
    """One beat has no rate."""
    lenient = settings.rpeaks.model_copy(update={"min_beats": 1})
    rpeaks.check(GOOD | {"num_beats": 2}, settings=lenient)
    with pytest.raises(Excluded, match="1 beats"):
        rpeaks.check(GOOD | {"num_beats": 1, "heart_rate_bpm": None}, settings=lenient)


def test_quality_is_rounded_and_follows_from_the_peaks(
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven of the nine beats are those of the detector: twice 7 over 9 + 7 is 0.875."""
    clean_mv = denoise(
        synthetic_mv([0.5, 1.5, 2.5, 3.1, 4.5, 5.5, 6.5, 7.5, 8.5]),
        wavelet=settings.wavelet,
    )
    how = {"rate_hz": RATE_HZ, "device_beats_ms": (), "settings": settings.rpeaks}
    everything, _ = rpeaks.find(clean_mv, **how)
    monkeypatch.setattr(rpeaks, "detect", lambda *_, **__: everything[:7])
    monkeypatch.setattr(rpeaks, "likeness", lambda *_, **__: 0.98765)
    peaks, quality = rpeaks.find(clean_mv, **how)
    rr_s = np.diff(peaks) / RATE_HZ
    assert quality["num_beats"] == len(peaks) == 9
    assert quality["heart_rate_bpm"] == round(60 / rr_s.mean(), 2)
    assert quality["rr_ratio"] == round(rr_s.max() / rr_s.min(), 3)
    assert quality["likeness"] == 0.988
    assert quality["agreement"] == 0.875


def test_agreement_has_three_decimals(
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six of nine beats: twice 6 over 9 + 6 is 0.8; eight of nine: 16 over 17 is 0.941."""
    clean_mv = denoise(synthetic_mv(np.arange(0.5, 9)), wavelet=settings.wavelet)
    how = {"rate_hz": RATE_HZ, "device_beats_ms": (), "settings": settings.rpeaks}
    everything, _ = rpeaks.find(clean_mv, **how)
    assert len(everything) == 9
    for number, expected in ((6, 0.8), (8, 0.941)):
        with monkeypatch.context() as patched:
            patched.setattr(rpeaks, "detect", lambda *_, n=number, **__: everything[:n])
            assert rpeaks.find(clean_mv, **how)[1]["agreement"] == expected


def test_beats_of_the_device_are_compared_over_the_time_that_they_span() -> None:
    """Ours at 1 and 4 s are not in the span of 2 to 3 s; marks are 10 and 20.25 ms late."""
    found = rpeaks._against_device(
        np.array([1000.0, 2000, 3000, 4000]),
        device_ms=np.array([2010.0, 3020.25]),
    )
    assert found == {"num_beats": 2, "ours": 2, "matched": 2, "offset_ms": 15.1}


def test_marks_far_from_any_beat_have_no_delay() -> None:
    found = rpeaks._against_device(np.array([1000.0]), device_ms=np.array([1500.0]))
    assert found == {"num_beats": 1, "ours": 0, "matched": 0, "offset_ms": None}
    without_beats = rpeaks._against_device(np.zeros(0), device_ms=np.array([1500.0]))
    assert without_beats == {"num_beats": 1, "ours": 0, "matched": 0, "offset_ms": None}


def test_values_that_are_not_finite_are_refused_with_the_step_that_needs_them(
    settings: config.Ecg,
) -> None:
    signal_mv = synthetic_mv(beat_times(60))
    signal_mv[1, 2500] = np.inf
    for act in (
        lambda: rpeaks.detect(signal_mv[1], rate_hz=RATE_HZ, method="sleepecg"),
        lambda: rpeaks.find(
            signal_mv,
            rate_hz=RATE_HZ,
            device_beats_ms=(),
            settings=settings.rpeaks,
        ),
    ):
        with pytest.raises(Excluded) as error:
            act()
        assert error.value.detail == "R-peak detection"


def test_the_reach_around_a_beat_is_80_ms_to_either_side() -> None:
    """40 samples at 500 Hz, both ends included, and less at the start of the record."""
    lead_mv = np.zeros(5000)
    lead_mv[[5, 960, 2040, 3041]] = 1
    centres = np.array([20, 1000, 2000, 3000])
    found = rpeaks.place(centres, detected=np.zeros(0, np.int64), lead_mv=lead_mv, rate_hz=RATE_HZ)
    assert found.tolist() == [5, 960, 2040, 2960]
    found = rpeaks.place(
        np.array([1000]),
        detected=np.array([1040]),
        lead_mv=lead_mv,
        rate_hz=RATE_HZ,
    )
    assert found.tolist() == [1040]
    found = rpeaks.place(
        np.array([1000]),
        detected=np.array([1041]),
        lead_mv=lead_mv,
        rate_hz=RATE_HZ,
    )
    assert found.tolist() == [960]


def test_a_peak_at_the_tolerance_still_matches() -> None:
    assert rpeaks.matched(np.array([10]), second=np.array([15]), tolerance=5) == 1
    assert rpeaks.matched(np.array([10]), second=np.array([16]), tolerance=5) == 0
    assert rpeaks.matched(np.array([10]), second=np.array([]), tolerance=5) == 0


def test_likeness_takes_the_beats_whose_waves_are_whole() -> None:
    """Of 5000 samples, 40 on either side: the first whole beat is at 40 and the last at 4959."""
    signal_mv = np.random.default_rng(3).normal(size=(len(LEADS), 5000))
    signal_mv[:, 4919:5000] = signal_mv[:, :81]  # the waves at 40 and at 4959 are the same
    likeness = rpeaks.likeness(signal_mv, r_peaks=np.array([39, 40, 4959, 4960]), rate_hz=RATE_HZ)
    assert likeness == pytest.approx(1)


def test_likeness_of_a_record_without_any_wave_is_zero() -> None:
    peaks = np.array([500, 1500])
    assert rpeaks.likeness(np.zeros((12, 5000)), r_peaks=peaks, rate_hz=RATE_HZ) == 0


def test_records_shorter_than_two_seconds_have_no_beats_and_longer_ones_do() -> None:
    signal_mv = synthetic_mv(beat_times(60))
    assert heartbeats.find_beats(signal_mv[:, :999], rate_hz=RATE_HZ).tolist() == []
    found = heartbeats.find_beats(signal_mv[:, :1000], rate_hz=RATE_HZ)
    np.testing.assert_allclose(found / RATE_HZ, [0.5, 1.5], atol=0.02)


@pytest.mark.parametrize("peak_ms", [850.0, 1150.0])
def test_a_beat_at_the_tolerance_is_matched_and_counted(peak_ms):
    found = rpeaks._against_device(np.array([peak_ms]), device_ms=np.array([1000.0]))
    assert (found["ours"], found["matched"]) == (1, 1)
