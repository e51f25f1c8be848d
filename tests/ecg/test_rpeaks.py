from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import (
    RATE_HZ,
    any_record,
    beat_times,
    noise_mv,
    synthetic_mv,
    wfdb_beats,
    wfdb_counts,
)
from scipy.io import loadmat

from ptacl import config
from ptacl.ecg import rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.exclusions import Excluded, Reason

TOLERANCE = round(0.15 * RATE_HZ)


def find(
    signal_mv: np.ndarray, settings: config.Ecg, *, beats_ms: tuple[float, ...] = ()
) -> tuple[np.ndarray, dict[str, Any]]:
    clean_mv = denoise(signal_mv, wavelet=settings.wavelet)
    return rpeaks.find(
        clean_mv, rate_hz=RATE_HZ, device_beats_ms=beats_ms, settings=settings.rpeaks
    )


def excluded(signal_mv: np.ndarray, settings: config.Ecg) -> Reason | None:
    try:
        rpeaks.check(find(signal_mv, settings)[1], settings=settings.rpeaks)
    except Excluded as error:
        return error.reason
    return None


def without_error(peaks: np.ndarray, marks: np.ndarray) -> bool:
    """One peak for each mark within tolerance and none besides, inside the span that was marked."""
    inside = peaks[(peaks >= marks[0] - TOLERANCE) & (peaks <= marks[-1] + TOLERANCE)]
    return len(inside) == len(marks) and bool(np.abs(inside - marks).max() <= TOLERANCE)


def test_annotated_records(real_data: Path, settings: config.Ecg) -> None:
    """Records 1 to 100 of the Lobachevsky database against the cardiologists' marks in lead II."""
    right, late, refused = [], [], []
    for number in range(1, 101):
        path = real_data / "ecg" / "ludb" / "data" / str(number)
        signal_mv = wfdb_counts(path) / 1000
        marks = wfdb_beats(path.with_suffix(".ii"))
        peaks, quality = find(signal_mv, settings)
        refused += [number] if excluded(signal_mv, settings) else []
        if without_error(peaks, marks):
            right.append(number)
            late.append(
                np.median(
                    [
                        peak - mark
                        for mark in marks
                        for peak in peaks
                        if abs(peak - mark) <= TOLERANCE
                    ]
                )
            )
        assert 0.5 < quality["likeness"] <= 1
    assert len(right) >= 98, f"wrong: {sorted(set(range(1, 101)) - set(right))}"
    assert abs(np.median(late)) * 1000 / RATE_HZ <= 4
    assert not refused


@pytest.mark.parametrize(
    ("record", "beats"),
    [("JS20000", 19), ("HR06002", 7), ("JS20002", 14), ("JS20012", 20), ("JS20014", 11)],
)
def test_hospital_records_that_mislead_a_detector(
    record: str, beats: int, real_data: Path, settings: config.Ecg
) -> None:
    """Extrasystoles, pauses, small complexes; beats counted by eye in all leads. sleepecg alone:
    25, 9, 17, 19, 13.
    """
    signal_mv = loadmat(real_data / "ecg" / "cinc2021" / f"{record}.mat")["val"] / 1000
    assert len(find(signal_mv, settings)[0]) == beats


def test_real_file_agrees_with_the_device(example: Path, settings: config.Ecg) -> None:
    record = any_record(example, settings=settings)
    peaks, quality = find(record.signal_mv, settings, beats_ms=record.device_beats_ms)
    late_ms = np.array(record.device_beats_ms) - peaks * 1000 / RATE_HZ
    assert len(peaks) == 8 and late_ms.min() >= 13 and late_ms.max() <= 18
    assert quality["heart_rate_bpm"] == pytest.approx(50, abs=0.5)
    assert quality["device"] == {
        "num_beats": 8,
        "ours": 8,
        "matched": 8,
        "offset_ms": pytest.approx(16, abs=2),
    }


@pytest.mark.parametrize("bpm", [32, 35, 42, 50, 75, 110, 150, 180])
def test_finds_every_beat(bpm: float, settings: config.Ecg) -> None:
    times_s = beat_times(bpm)
    signal_mv = synthetic_mv(times_s, noise_mv=0.03)
    peaks, quality = find(signal_mv, settings)
    np.testing.assert_allclose(peaks / RATE_HZ, times_s, atol=0.01)
    assert quality["heart_rate_bpm"] == pytest.approx(bpm, rel=0.01) and not quality["irregular"]
    assert quality["likeness"] > 0.95 and (
        quality["agreement"] == 1 or bpm < 40
    )  # slower, sleepecg alone goes astray
    assert excluded(signal_mv, settings) is None


def steps(signal_mv: np.ndarray) -> np.ndarray:
    signal_mv = signal_mv.copy()
    for lead, sample in ((7, 700), (8, 1900), (9, 3100)):
        signal_mv[lead, sample:] += 2
    return signal_mv


def spikes(signal_mv: np.ndarray) -> np.ndarray:
    signal_mv = signal_mv.copy()
    signal_mv[7:10, 150::400] += 3
    return signal_mv


@pytest.mark.parametrize(
    "change",
    [
        np.negative,
        lambda x: x * 0.1,
        lambda x: x * 10,
        steps,
        spikes,
        lambda x: np.where(np.arange(12)[:, None] == 8, 0, x),
    ],
    ids=[
        "inverted",
        "small",
        "large",
        "steps in chest leads",
        "spikes in chest leads",
        "flat lead",
    ],
)
def test_beats_do_not_depend_on(change: Any, settings: config.Ecg) -> None:
    signal_mv = synthetic_mv(beat_times(66), noise_mv=0.01)
    expected, _ = find(signal_mv, settings)
    found, _ = find(change(signal_mv), settings)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=0.05 * RATE_HZ)


def test_peaks_move_with_the_signal(settings: config.Ecg) -> None:
    near, far = (find(synthetic_mv(beat_times(60, first_s=s)), settings)[0] for s in (0.5, 0.6))
    np.testing.assert_allclose(far - near[: len(far)], 0.1 * RATE_HZ, atol=1)


@pytest.mark.parametrize("delay_s", [0.12, 0.16, 0.2, 0.23])
def test_a_second_wave_within_a_quarter_of_a_second_is_not_counted_as_a_beat(
    delay_s: float,
    settings: config.Ecg,
) -> None:
    """The heart cannot be excited again so early: the larger of two waves is the beat."""
    times_s = beat_times(60)
    signal_mv = synthetic_mv(times_s) + 0.7 * synthetic_mv(times_s + delay_s, seed=1)
    peaks, _ = find(signal_mv, settings)
    np.testing.assert_allclose(peaks / RATE_HZ, times_s, atol=0.02)


def test_longest_over_shortest_interval(settings: config.Ecg) -> None:
    times_s = np.array([0.5, 1.5, 2.5, 3.1, 4.5, 5.5, 6.5, 7.5, 8.5])
    _, quality = find(synthetic_mv(times_s), settings)
    assert quality["rr_ratio"] == pytest.approx(1.4 / 0.6, rel=0.03) and quality["irregular"]


def test_device_list_is_compared(settings: config.Ecg) -> None:
    times_s = beat_times(60)
    marks_ms = (*(1000 * times_s[:-1] + 15), 9999.0)
    _, quality = find(synthetic_mv(times_s), settings, beats_ms=marks_ms)
    assert (
        quality["device"]["num_beats"] == len(times_s)
        and quality["device"]["matched"] == len(times_s) - 1
    )
    assert quality["device"]["offset_ms"] == pytest.approx(15, abs=3)


@pytest.mark.parametrize("exponent", [0, 1, 2], ids=["white", "pink", "red"])
def test_noise_is_excluded(exponent: float, settings: config.Ecg) -> None:
    outcomes = [excluded(noise_mv(seed, exponent=exponent), settings) for seed in range(25)]
    assert set(outcomes) <= {Reason.NO_R_PEAKS, Reason.IMPLAUSIBLE_RATE}


@pytest.mark.parametrize(
    ("signal_mv", "reason"),
    [
        (np.zeros((12, 5000)), Reason.NO_R_PEAKS),
        (np.ones((12, 5000)), Reason.NO_R_PEAKS),
        (synthetic_mv([5.0]), Reason.NO_R_PEAKS),
        (synthetic_mv(beat_times(25)), Reason.IMPLAUSIBLE_RATE),
        (synthetic_mv(beat_times(225)), Reason.IMPLAUSIBLE_RATE),
        (np.sin(2 * np.pi * 50 * np.arange(5000) / 500) * np.ones((12, 1)), Reason.NO_R_PEAKS),
    ],
    ids=["zeros", "constant", "one beat", "25 bpm", "225 bpm", "mains"],
)
def test_gates(signal_mv: np.ndarray, reason: Reason, settings: config.Ecg) -> None:
    assert excluded(signal_mv, settings) == reason


def test_nothing_to_find_gives_nothing(settings: config.Ecg) -> None:
    peaks, quality = find(np.zeros((12, 5000)), settings)
    assert (
        not len(peaks)
        and quality["num_beats"] == 0
        and quality["likeness"] == -1
        and quality["agreement"] == 0
    )
    assert (
        quality["heart_rate_bpm"] is quality["rr_ratio"] is quality["device"] is None
        and quality["irregular"] is False
    )


def test_one_missing_value_is_no_silence(settings: config.Ecg) -> None:
    signal_mv = synthetic_mv(beat_times(60))
    signal_mv[1, 2500] = np.nan
    with pytest.raises(Excluded) as caught:
        rpeaks.detect(signal_mv[1], rate_hz=RATE_HZ, method="sleepecg")
    assert caught.value.reason == Reason.NOT_FINITE
    signal_mv[[1, 5]] = signal_mv[[5, 1]]
    with pytest.raises(Excluded, match="not finite"):
        rpeaks.find(signal_mv, rate_hz=RATE_HZ, device_beats_ms=(), settings=settings.rpeaks)


@pytest.mark.parametrize("method", ["sleepecg", "neurokit", "pantompkins1985", "kalidas2017"])
def test_detectors(method: str, settings: config.Ecg) -> None:
    times_s = beat_times(60)
    lead_mv = synthetic_mv(times_s, noise_mv=0.02)[1]
    peaks = rpeaks.detect(lead_mv, rate_hz=RATE_HZ, method=method)
    assert (
        rpeaks.matched(np.round(times_s * RATE_HZ), second=peaks, tolerance=TOLERANCE)
        >= len(times_s) - 1
    )
    for nothing in (np.zeros(5000), lead_mv[:100]):
        assert not len(rpeaks.detect(nothing, rate_hz=RATE_HZ, method=method))
    chosen = settings.model_copy(
        update={"rpeaks": settings.rpeaks.model_copy(update={"method": method})}
    )
    assert len(find(synthetic_mv(times_s), chosen)[0]) == len(times_s)


@pytest.mark.parametrize(("ratio", "irregular"), [(1.8, False), (1.804, True)])
def test_a_rhythm_is_irregular_above_the_limit(
    ratio: float,
    irregular: bool,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The longest interval over the shortest, 500 samples."""
    peaks = np.cumsum([300, 500, round(500 * ratio), 600])
    monkeypatch.setattr(rpeaks, "place", lambda *_, **__: peaks)
    _, quality = find(synthetic_mv(beat_times(60)), settings)
    assert quality["rr_ratio"] == ratio
    assert quality["irregular"] is irregular


def test_the_list_of_the_device_may_be_in_any_order(settings: config.Ecg) -> None:
    times_s = beat_times(60)
    marks_ms = 1000 * times_s + 15
    _, ordered = find(synthetic_mv(times_s), settings, beats_ms=tuple(marks_ms))
    _, reversed_ = find(synthetic_mv(times_s), settings, beats_ms=tuple(marks_ms[::-1]))
    assert ordered["device"]["ours"] == len(times_s)
    assert reversed_["device"] == ordered["device"]
