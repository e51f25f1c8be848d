from pathlib import Path

import numpy as np
import pytest
from recordings import RATE_HZ, beat_times, synthetic_mv, wfdb_counts, wfdb_intervals

from ptacl import config
from ptacl.ecg import rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.ecg.measure import intervals, measure, rhythm
from ptacl.ecg.read import LEADS


def test_voltages_are_those_of_the_waves_drawn():
    """Triangles of known height on a sloping baseline."""
    signal, peaks = np.full((12, 5000), 0.25, np.float32), np.arange(300, 4800, 400)
    heights = {"V5": 1.5, "V6": 1.8, "aVL": 0.7, "V1": -0.9, "V3": -1.1}
    for lead, height in heights.items():
        for peak in peaks:
            signal[LEADS.index(lead), peak - 10 : peak + 11] += height * (
                1 - np.abs(np.arange(-10, 11)) / 10
            )
    found = measure(
        signal,
        r_peaks=peaks,
        rate_hz=500,
        device={"qt_ms": 400.0, "pq_ms": None},
        delineation="none",
    )
    assert found["sokolow_lyon_mv"] == pytest.approx(0.9 + 1.8, abs=1e-3) and found[
        "cornell_mv"
    ] == pytest.approx(1.8, abs=1e-3)
    assert found["r_V5_mv"] == pytest.approx(1.5, abs=1e-3) and found["s_V3_mv"] == pytest.approx(
        1.1, abs=1e-3
    )
    assert (
        found["r_II_mv"] == pytest.approx(0, abs=1e-6)
        and found["qt_ms"] == 400
        and found["pq_ms"] is None
    )


def test_without_a_whole_beat_the_device_fields_remain():
    found = measure(
        np.zeros((12, 500), np.float32),
        r_peaks=np.array([3, 495]),
        rate_hz=500,
        device={"qt_ms": 400.0},
        delineation="none",
    )
    assert found == {"qt_ms": 400.0, "own_rr_ms": 984.0, "own_rr_sd_ms": None}


@pytest.mark.parametrize(
    ("wave", "limit_ms", "least"), [("pr", 12, 80), ("qrs", 40, 95), ("qt", 15, 95)]
)
def test_our_intervals_are_near_those_of_cardiologists(
    real_data: Path, settings: config.Ecg, wave: str, limit_ms: float, least: int
) -> None:
    name = {"pr": "own_pr_ms", "qrs": "own_qrs_duration_ms", "qt": "own_qt_ms"}[wave]
    errors_ms = []
    for path in sorted((real_data / "ecg" / "ludb").rglob("*.hea")):
        signal_mv = denoise(wfdb_counts(path) / 1000, wavelet=settings.wavelet)
        peaks, _ = rpeaks.find(
            signal_mv, rate_hz=RATE_HZ, device_beats_ms=(), settings=settings.rpeaks
        )
        found = intervals(
            signal_mv[1], r_peaks=peaks, rate_hz=RATE_HZ, method=settings.delineation
        )[name]
        marked = wfdb_intervals(path.with_suffix(".ii")).get(wave)
        if found is not None and marked is not None:
            errors_ms.append(abs(found - marked))
    assert len(errors_ms) >= least
    assert np.median(errors_ms) <= limit_ms


@pytest.mark.parametrize("method", ["prominence", "dwt", "peak", "cwt"])
def test_every_method_gives_what_it_finds_and_never_fails(method: str) -> None:
    for signal_mv, times_s in (
        (synthetic_mv(beat_times(60)), beat_times(60)),
        (np.zeros((12, 5000)), beat_times(60)[:1]),
    ):
        found = intervals(
            signal_mv[1],
            r_peaks=np.rint(times_s * RATE_HZ).astype(int),
            rate_hz=RATE_HZ,
            method=method,
        )
        assert set(found) == {
            "own_pr_ms",
            "own_p_duration_ms",
            "own_qrs_duration_ms",
            "own_qt_ms",
            "own_qtc_ms",
        }
        assert all(value is None or 0 < value < 1000 for value in found.values())


def test_our_intervals_of_a_record_of_known_waves() -> None:
    times_s = beat_times(60)
    found = intervals(
        synthetic_mv(times_s)[1],
        r_peaks=np.rint(times_s * RATE_HZ).astype(int),
        rate_hz=RATE_HZ,
        method="prominence",
    )
    assert found["own_pr_ms"] == pytest.approx(200, abs=60) and found["own_qt_ms"] == pytest.approx(
        400, abs=80
    )
    assert found["own_qtc_ms"] == pytest.approx(found["own_qt_ms"], rel=0.02)


def test_rr_intervals_have_a_mean_and_a_standard_deviation() -> None:
    """Of 800, 900 and 1,000 ms at 500 Hz; with two beats there is no deviation."""
    peaks = np.array([100, 500, 950, 1450])
    assert rhythm(peaks, rate_hz=500) == {"own_rr_ms": 900.0, "own_rr_sd_ms": 100.0}
    assert rhythm(peaks[:2], rate_hz=500) == {"own_rr_ms": 800.0, "own_rr_sd_ms": None}
    assert rhythm(peaks[:1], rate_hz=500) == {"own_rr_ms": None, "own_rr_sd_ms": None}


@pytest.mark.parametrize("bpm", [50, 75, 100, 120])
def test_qtc_divides_qt_by_the_square_root_of_the_rr_interval_in_seconds(bpm: float) -> None:
    """Bazett 1920. At 60 bpm every power of the RR interval gives the same value."""
    times_s = beat_times(bpm)
    peaks = np.rint(times_s * RATE_HZ).astype(int)
    lead_mv = synthetic_mv(times_s)[LEADS.index("II")]
    found = intervals(lead_mv, r_peaks=peaks, rate_hz=RATE_HZ, method="prominence")
    assert found["own_qt_ms"] is not None
    rr_s = 60 / bpm
    assert found["own_qtc_ms"] == pytest.approx(found["own_qt_ms"] / rr_s**0.5, rel=0.002)


def delineated(monkeypatch: pytest.MonkeyPatch, **waves: list[float]) -> dict[str, float | None]:
    """Our intervals of two beats half a second apart, with waves at these samples."""
    found = {f"ECG_{name}": values for name, values in waves.items()}
    monkeypatch.setattr("neurokit2.ecg_delineate", lambda *_, **__: (None, found))
    return intervals(
        np.zeros(5000),
        r_peaks=np.array([1000, 1250]),
        rate_hz=RATE_HZ,
        method="prominence",
    )


def test_intervals_are_medians_over_beats_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of 2 ms; RR 0.5 s."""
    found = delineated(
        monkeypatch,
        P_Onsets=[900, 1150, 1400],
        P_Offsets=[950, 1201, 1452],
        R_Onsets=[980, 1231, 1483],
        R_Offsets=[1025, 1277, 1530],
        T_Offsets=[1180, 1432, 1685],
    )
    assert found == {
        "own_pr_ms": 162.0,
        "own_p_duration_ms": 102.0,
        "own_qrs_duration_ms": 92.0,
        "own_qt_ms": 402.0,
        "own_qtc_ms": round(402 / 0.5**0.5, 1),
    }


def test_waves_that_were_not_found_or_end_before_they_begin_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = delineated(
        monkeypatch,
        P_Onsets=[900, np.nan, 1400, 1700],
        R_Onsets=[980, 1231, 1400, 1699],
        R_Offsets=[1025],
    )
    assert found == {
        "own_pr_ms": 160.0,
        "own_p_duration_ms": None,
        "own_qrs_duration_ms": 90.0,
        "own_qt_ms": None,
        "own_qtc_ms": None,
    }


def test_intervals_have_one_decimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "neurokit2.ecg_delineate",
        lambda *_, **__: (None, {"ECG_R_Onsets": [0], "ECG_T_Offsets": [100]}),
    )
    found = intervals(np.zeros(900), r_peaks=np.array([50, 227]), rate_hz=300, method="prominence")
    assert found["own_qt_ms"] == 333.3
    assert found["own_qtc_ms"] == round(333.3 / (177 / 300) ** 0.5, 1)


def test_a_single_beat_has_no_corrected_qt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "neurokit2.ecg_delineate",
        lambda *_, **__: (None, {"ECG_R_Onsets": [0], "ECG_T_Offsets": [200]}),
    )
    found = intervals(np.zeros(900), r_peaks=np.array([50]), rate_hz=RATE_HZ, method="prominence")
    assert found["own_qt_ms"] == 400
    assert found["own_qtc_ms"] is None


def test_intervals_are_measured_in_lead_ii_with_the_method_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def keep(
        lead_mv: np.ndarray,
        r_peaks: np.ndarray,
        **how: object,
    ) -> tuple[None, dict[str, list[float]]]:
        asked.append((lead_mv, r_peaks, how))
        return None, {}

    monkeypatch.setattr("neurokit2.ecg_delineate", keep)
    signal_mv, peaks = synthetic_mv(beat_times(60)), np.array([250, 750])
    found = measure(signal_mv, r_peaks=peaks, rate_hz=500, device={}, delineation="dwt")
    (lead_mv, r_peaks, how) = asked[0]
    np.testing.assert_array_equal(lead_mv, signal_mv[1])
    np.testing.assert_array_equal(r_peaks, peaks)
    assert how == {"sampling_rate": 500, "method": "dwt"}
    assert found["own_qt_ms"] is None


@pytest.mark.parametrize(("peak", "whole"), [(49, False), (50, True), (469, True), (470, False)])
def test_a_beat_is_whole_from_100_ms_before_to_60_ms_after_its_peak(peak: int, whole: bool) -> None:
    """Of 500 samples at 500 Hz: 50 before, 30 after, and one to spare."""
    found = measure(
        np.zeros((12, 500)),
        r_peaks=np.array([peak]),
        rate_hz=500,
        device={},
        delineation="none",
    )
    assert ("r_V5_mv" in found) is whole


def test_voltages_are_measured_above_the_level_between_p_wave_and_qrs_complex() -> None:
    """Level: 100 to 60 ms before the peak. QRS complex: 50 ms before to 60 ms after it.

    A sample is 2 ms.
    """
    signal_mv = np.zeros((12, 500))
    signal_mv[:, 150:170] = 0.2  # the level: samples 150 to 169 of a peak at 200
    signal_mv[:, 149] = signal_mv[:, 170:175] = 9  # before and after it
    signal_mv[:, 175] = 1.2  # first sample of the QRS complex
    signal_mv[:, 229] = -1.8  # its last one
    signal_mv[:, 230] = -9
    found = measure(signal_mv, r_peaks=np.array([200]), rate_hz=500, device={}, delineation="none")
    assert found["r_V5_mv"] == pytest.approx(1.0)
    assert found["s_V1_mv"] == pytest.approx(2.0)
    assert found["sokolow_lyon_mv"] == pytest.approx(3.0)
    assert found["cornell_mv"] == pytest.approx(3.0)


def test_voltages_have_four_decimals() -> None:
    signal_mv = np.zeros((12, 500))
    signal_mv[:, 200] = 1.23456
    found = measure(signal_mv, r_peaks=np.array([200]), rate_hz=500, device={}, delineation="none")
    assert found["r_I_mv"] == 1.2346
