"""Drawings of ECGs: leads in millivolt over seconds, with their R-peaks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config, contact_sheet
from ptacl.ecg import predicted
from ptacl.ecg.drawing import draw_leads
from ptacl.ecg.prepare import ECG
from ptacl.ecg.read import LEADS

SIGNAL_MV = synthetic_mv(beat_times(60))


def test_a_strip_shows_each_lead_below_the_one_before_and_a_line_at_each_r_peak() -> None:
    axes = Figure().subplots()
    signal_mv = np.array([[0.0, 2.0, -1.0], [1.0, 0.5, -3.0]])
    arrays = {"signal_mv": signal_mv, "r_peaks": np.array([1, 2, -1])}
    draw_leads(axes, arrays, names=("I", "II"), rate_hz=4)
    first, second, bar = (line.get_xydata() for line in axes.lines)
    np.testing.assert_allclose(first, [[0, -2], [0.25, 0], [0.5, -3]])
    np.testing.assert_allclose(second, [[0, -3], [0.25, -3.5], [0.5, -7]])
    assert np.ptp(bar[:, 1]) == pytest.approx(1)
    peaks = [path.vertices for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose([path[:, 0] for path in peaks], [[0.25, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(peaks[0][:, 1], [-7, 0])
    assert [text.get_text() for text in axes.texts] == ["I", "II"]
    assert [text.get_position()[1] for text in axes.texts] == [-2, -4]


def test_a_sheet_has_leads_ii_v2_and_v5_of_each_record(
    tmp_path: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    arrays = {"signal_mv": SIGNAL_MV, "r_peaks": np.array([250])}
    contact_sheet.draw(
        ["first", "second"],
        lambda axes, _: ECG.draw_panel(axes, arrays, settings),
        layout=ECG.sheet,
        out_png=tmp_path / "new" / "folder" / "a.png",
    )
    assert (tmp_path / "new" / "folder").is_dir()
    drawn = figures[0].axes
    assert [axes.get_title(loc="left") for axes in drawn] == ["first", "second"]
    for axes in drawn:
        assert [text.get_text() for text in axes.texts] == ["II", "V2", "V5"]
        lead_mv = axes.lines[1].get_ydata()
        np.testing.assert_allclose(lead_mv - lead_mv[0], SIGNAL_MV[7] - SIGNAL_MV[7, 0])


def test_a_sheet_without_records_says_so(tmp_path: Path, figures: list[Figure]) -> None:
    contact_sheet.draw([], print, layout=ECG.sheet, out_png=tmp_path / "a.png")
    assert "no usable record" in [text.get_text() for text in figures[0].texts]
    assert figures[0].axes == []


PHENOTYPES = [
    {"distribution": [100.0, 110, 120, 130, 200]},
    {"distribution": [40.0, 50, 60, 70, 80]},
]


@pytest.mark.parametrize("outside", [False, True])
def test_a_prediction_is_drawn_in_the_distribution_of_its_phenotype(
    outside: bool,
    tmp_path: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_text(cardiosoft(counts(SIGNAL_MV)), encoding="latin-1")
    rows = pd.DataFrame(
        {
            "phenotype": ["LVEDV", "LVEF"],
            "value": [123.456, 55.0],
            "low": [110.0, 45.0],
            "high": [140.0, 65.0],
            "unit": ["mL", "%"],
            "out_of_distribution": [False, outside],
        }
    )
    predicted.draw(path, rows, out_png=tmp_path / "a.png", phenotypes=PHENOTYPES, settings=settings)
    title = figures[0].get_suptitle()
    assert title.startswith("60 bpm")
    assert ("do not trust the predictions" in title) is outside
    leads, volume, fraction = figures[0].axes
    assert [text.get_text() for text in leads.texts] == list(LEADS)
    peaks_s = [line.vertices[0, 0] for line in leads.collections[0].get_paths()]
    np.testing.assert_allclose(peaks_s, beat_times(60), atol=0.01)
    assert volume.get_ylabel() == "LVEDV"
    assert volume.get_title(loc="right") == "123.5 mL  (110 to 140)"
    assert fraction.get_title(loc="right") == "55 %  (45 to 65)"
    assert volume.lines[0].get_xdata()[0] == 123.456
    band = volume.patches[0]
    assert [band.get_x(), band.get_x() + band.get_width()] == [110, 140]


def test_a_distribution_is_the_density_between_its_quantiles() -> None:
    """A quarter of all people is between 100 and 110, and a quarter between 130 and 200."""
    axes = Figure().subplots()
    row = pd.Series(
        {"phenotype": "LVEDV", "value": 120.0, "low": 110.0, "high": 130.0, "unit": "mL"},
    )
    predicted._distribution(axes, PHENOTYPES[0], row)
    outline = axes.collections[0].get_paths()[0].vertices
    x, density = outline[1:25].T
    np.testing.assert_allclose(x, 100 + 100 / 24 * (np.arange(24) + 0.5))
    assert density[0] == pytest.approx(0.25 * (100 / 24) / 10)
    assert density[-1] == pytest.approx(0.25 * (100 / 24) / 70)
    assert density.sum() == pytest.approx(1)
