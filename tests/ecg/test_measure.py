from pathlib import Path

import numpy as np
import pytest
from recordings import RATE_HZ, beat_times, synthetic_mv, wfdb_counts, wfdb_intervals

from ptacl import config
from ptacl.ecg import rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.ecg.measure import intervals, measure
from ptacl.ecg.read import LEADS


def test_voltages_are_those_of_the_waves_drawn():
    """Triangles of known height on a sloping baseline."""
    signal, peaks = np.full((12, 5000), 0.25, np.float32), np.arange(300, 4800, 400)
    heights = {"V5": 1.5, "V6": 1.8, "aVL": 0.7, "V1": -0.9, "V3": -1.1}
    for lead, height in heights.items():
        for peak in peaks:
            signal[LEADS.index(lead), peak - 10 : peak + 11] += height * (1 - np.abs(np.arange(-10, 11)) / 10)
    found = measure(signal, r_peaks=peaks, rate_hz=500, device={"qt_ms": 400.0, "pq_ms": None}, delineation="none")
    assert found["sokolow_lyon_mv"] == pytest.approx(0.9 + 1.8, abs=1e-3) and found["cornell_mv"] == pytest.approx(1.8, abs=1e-3)
    assert found["r_V5_mv"] == pytest.approx(1.5, abs=1e-3) and found["s_V3_mv"] == pytest.approx(1.1, abs=1e-3)
    assert found["r_II_mv"] == pytest.approx(0, abs=1e-6) and found["qt_ms"] == 400 and found["pq_ms"] is None


def test_without_a_whole_beat_the_device_fields_remain():
    found = measure(
        np.zeros((12, 500), np.float32), r_peaks=np.array([3, 495]), rate_hz=500, device={"qt_ms": 400.0}, delineation="none"
    )
    assert found == {"qt_ms": 400.0}


@pytest.mark.parametrize(("wave", "limit_ms", "least"), [("pr", 12, 80), ("qrs", 40, 95), ("qt", 15, 95)])
def test_our_intervals_are_near_those_of_cardiologists(
    real_data: Path, settings: config.Ecg, wave: str, limit_ms: float, least: int
) -> None:
    name = {"pr": "own_pr_ms", "qrs": "own_qrs_duration_ms", "qt": "own_qt_ms"}[wave]
    errors_ms = []
    for path in sorted((real_data / "ecg" / "ludb").rglob("*.hea")):
        signal_mv = denoise(wfdb_counts(path) / 1000, wavelet=settings.wavelet)
        peaks, _ = rpeaks.find(signal_mv, rate_hz=RATE_HZ, device_beats_ms=(), settings=settings.rpeaks)
        found = intervals(signal_mv[1], r_peaks=peaks, rate_hz=RATE_HZ, method=settings.delineation)[name]
        marked = wfdb_intervals(path.with_suffix(".ii")).get(wave)
        if found is not None and marked is not None:
            errors_ms.append(abs(found - marked))
    assert len(errors_ms) >= least
    assert np.median(errors_ms) <= limit_ms


@pytest.mark.parametrize("method", ["prominence", "dwt", "peak", "cwt"])
def test_every_method_gives_what_it_finds_and_never_fails(method: str) -> None:
    for signal_mv, times_s in ((synthetic_mv(beat_times(60)), beat_times(60)), (np.zeros((12, 5000)), beat_times(60)[:1])):
        found = intervals(signal_mv[1], r_peaks=np.rint(times_s * RATE_HZ).astype(int), rate_hz=RATE_HZ, method=method)
        assert set(found) == {"own_pr_ms", "own_p_duration_ms", "own_qrs_duration_ms", "own_qt_ms", "own_qtc_ms"}
        assert all(value is None or 0 < value < 1000 for value in found.values())


def test_our_intervals_of_a_record_of_known_waves() -> None:
    times_s = beat_times(60)
    found = intervals(
        synthetic_mv(times_s)[1], r_peaks=np.rint(times_s * RATE_HZ).astype(int), rate_hz=RATE_HZ, method="prominence"
    )
    assert found["own_pr_ms"] == pytest.approx(200, abs=60) and found["own_qt_ms"] == pytest.approx(400, abs=80)
    assert found["own_qtc_ms"] == pytest.approx(found["own_qt_ms"], rel=0.02)


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
