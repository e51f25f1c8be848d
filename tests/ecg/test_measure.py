import numpy as np
import pytest

from ptacl.ecg.measure import measure
from ptacl.ecg.read import LEADS


def test_voltages_are_those_of_the_waves_drawn():
    """Triangles of known height on a sloping baseline."""
    signal, peaks = np.full((12, 5000), 0.25, np.float32), np.arange(300, 4800, 400)
    heights = {"V5": 1.5, "V6": 1.8, "aVL": 0.7, "V1": -0.9, "V3": -1.1}
    for lead, height in heights.items():
        for peak in peaks:
            signal[LEADS.index(lead), peak - 10 : peak + 11] += height * (1 - np.abs(np.arange(-10, 11)) / 10)
    found = measure(signal, r_peaks=peaks, rate_hz=500, device={"qt_ms": 400.0, "pq_ms": None})
    assert found["sokolow_lyon_mv"] == pytest.approx(0.9 + 1.8, abs=1e-3) and found["cornell_mv"] == pytest.approx(1.8, abs=1e-3)
    assert found["r_V5_mv"] == pytest.approx(1.5, abs=1e-3) and found["s_V3_mv"] == pytest.approx(1.1, abs=1e-3)
    assert found["r_II_mv"] == pytest.approx(0, abs=1e-6) and found["qt_ms"] == 400 and found["pq_ms"] is None


def test_without_a_whole_beat_the_device_fields_remain():
    found = measure(np.zeros((12, 500), np.float32), r_peaks=np.array([3, 495]), rate_hz=500, device={"qt_ms": 400.0})
    assert found == {"qt_ms": 400.0}
