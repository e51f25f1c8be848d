"""The curves of label efficiency on the page."""

import re

import numpy as np
import pandas as pd
import pytest

from ptacl.report import label_curves

FRACTIONS = {0.01: 17, 0.05: 70, 1.0: 1306}


def table(**rows: list[float]) -> pd.DataFrame:
    """Lines of the mean R²; rows by method, in the group ECG."""
    lines = []
    for method, values in rows.items():
        for (fraction, people), value in zip(FRACTIONS.items(), values, strict=True):
            names = {"input": "ECG", "method": method, "fraction": fraction, "n_train": people}
            numbers = {"value": value, "low": value - 0.02, "high": value + 0.02, "p": np.nan}
            for phenotype, reference in (("mean", np.nan), ("LVEF", np.nan), ("mean", "Global")):
                lines.append(names | numbers | {"phenotype": phenotype, "reference": reference})
    return pd.DataFrame(lines)


def test_the_sentence_names_the_first_fraction_with_fifty_people() -> None:
    found = label_curves.read(table(MAE=[-0.1, 0.07, 0.3], Global=[0.2, 0.37, 0.44]))
    assert found.sentence == (
        "With 5 % of the labels (70 people): Global 0.37, MAE 0.07. "
        "With 100 % of the labels (1,306 people): Global 0.44, MAE 0.30."
    )
    assert found.people == FRACTIONS
    assert [(group, method) for group, method, _ in found.rows] == [
        ("ECG", "MAE"),
        ("ECG", "Global"),
    ]
    assert [cell.text for cell in found.rows[1][2]] == ["0.200", "0.370", "0.440"]


def test_labels_at_the_ends_do_not_overlap_and_stay_in_order() -> None:
    rows = {f"M{k}": [0.1, 0.2, 0.30 + 0.001 * k] for k in range(7)}
    (panel,) = label_curves.read(table(**rows)).panels
    ends = re.findall(r'class="end-label s\d" x="[\d.]+" y="([\d.]+)"><title>(M\d)', panel)
    heights = [float(y) for y, _ in ends]
    assert [name for _, name in ends] == [f"M{k}" for k in reversed(range(7))]
    assert np.diff(heights).min() >= 11
    assert max(heights) < 26 + 150 + 5


def test_a_very_bad_probe_does_not_squeeze_the_others() -> None:
    (panel,) = label_curves.read(table(Bad=[-30.0, -2.0, 0.1], Global=[0.2, 0.3, 0.4])).panels
    points = re.findall(r'polyline class="series s0" points="([^"]+)"', panel)[0].split()
    lowest = float(points[0].split(",")[1])
    assert lowest == float(points[1].split(",")[1]) == pytest.approx(26 + 150)
    assert "-30" not in panel.partition("aria-label")[2].partition(">")[2]


def test_probes_that_are_all_bad_have_a_panel() -> None:
    (panel,) = label_curves.read(table(Bad=[-30.0, -2.0, -1.5])).panels
    assert panel.count('class="point s0"') == 3


def test_missing_values_are_left_out() -> None:
    found = label_curves.read(table(MAE=[np.nan, 0.1, 0.3]))
    (panel,) = found.panels
    assert panel.count('class="point s0"') == 2
    assert not found.rows[0][2][0].measured
