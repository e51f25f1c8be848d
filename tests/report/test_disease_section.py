"""What the page and the LaTeX table say of diseases."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptacl.report import outcome_table, outcomes, risk_figures


@pytest.fixture(scope="module")
def measured(inputs: Path) -> tuple[pd.DataFrame, dict, dict]:
    read = [json.loads((inputs / f"{name}.json").read_text()) for name in ("outcomes", "of_cohort")]
    return pd.read_csv(inputs / "outcomes.csv"), *read


@pytest.fixture(scope="module")
def shown(measured) -> outcomes.Outcomes:
    return outcomes.read(*measured)


def number(table: pd.DataFrame, method: str, column: str = "value", **where) -> float:
    chosen = table[table["seed"].isna() & (table["group"] == "all") & (table["method"] == method)]
    for name, value in where.items():
        found = chosen[name].isna() if value is None else chosen[name] == value
        chosen = chosen[found]
    assert len(chosen) == 1
    return float(chosen[column].iloc[0])


def test_every_disease_is_listed_and_marked(shown) -> None:
    titles = {disease.title: disease for disease in shown.diseases}
    assert list(titles) == [
        "AF before the visit",
        "AF after the visit",
        "HF before the visit",
        "HF after the visit",
        "Hypertension before the visit",
        "Diabetes before the visit",
    ]
    assert titles["AF before the visit"].rows and titles["AF before the visit"].uncertain
    assert not titles["HF after the visit"].rows
    assert titles["AF before the visit"].ceiling["truth"] == 0.8
    assert titles["AF before the visit"].statistics == [
        "AUROC",
        "average precision",
        "observed/expected",
        "calibration slope",
        "Brier score",
    ]
    assert len(shown.panels) == 3


def test_the_sentence_states_the_gain_over_demographics(measured, shown) -> None:
    table, _, _ = measured
    method = "PTACL, whole ECG + demographics"
    how = {"disease": "AF", "when": "before", "statistic": "AUROC"}
    gain = number(table, method, reference="Demographics", **how)
    p = number(table, method, "p_holm", reference="Demographics", **how)
    own = number(table, method, reference=None, **how)
    sentence = shown.sentences[0]
    assert sentence.startswith("AF before the visit: AUROC ")
    assert f"{own:.3f} from {method}" in sentence
    assert f"difference {gain:.3f}" in sentence.replace("\N{MINUS SIGN}", "-")
    assert re.search(rf"adjusted p = {p:.2f}", sentence) or p < 0.01
    assert "AF within 5 years: C " in shown.sentences[1]


def test_curves_are_those_of_the_method_that_adds_to_demographics(measured, shown) -> None:
    _, curves, _ = measured
    assert shown.curves_of == "PTACL, whole ECG + demographics"
    row = next(row for row in curves["rows"] if row["method"] == shown.curves_of)
    after = next(entry for entry in row["diseases"] if entry["when"] == "after")
    highest = after["incidence"][-1][-1]
    assert any(f"highest third {100 * highest:.1f} %" in panel for panel in shown.curves)
    assert len(shown.curves) == 4


def test_without_any_evaluated_disease_only_counts_remain(measured) -> None:
    table, curves, cohort = measured
    none = [entry | {"evaluated": False} for entry in curves["diseases"]]
    shown = outcomes.read(table[:0], curves | {"diseases": none, "rows": []}, cohort)
    assert not shown.panels and not shown.curves and not shown.sentences
    assert len(shown.diseases) == 6


def test_a_hidden_count_is_few(measured) -> None:
    table, curves, cohort = measured
    counts = {split: {"people": 100, "cases": "<5"} for split in ("train", "validation", "test")}
    hidden = [curves["diseases"][0] | {"counts": counts, "evaluated": False}]
    shown = outcomes.read(table, curves | {"diseases": hidden}, cohort)
    assert shown.diseases[0].uncertain


def test_page_has_the_section(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    section = text.split('<section id="diseases">')[1].split("</section>")[0]
    assert "too few, only counted" in section and "uncertain: few cases" in section
    assert section.count("<svg") == 7 and "AF before: AUROC, 42 cases (few)" in section


def test_latex_has_each_row_with_its_interval(measured) -> None:
    table, _, _ = measured
    text = outcome_table.document(table)
    assert text.count(r"\multicolumn{4}{l}") == 3
    assert r"AF after the visit, C; 22 of" in text
    assert text.count(r"PTACL, whole ECG + demographics &") == 3
    assert "vs Demographics" in text and text.count("{") == text.count("}")


def test_latex_of_no_disease_is_an_empty_table() -> None:
    columns = ["input", "method", "model", "disease", "when", "group", "seed", "statistic"]
    empty = pd.DataFrame(columns=[*columns, "reference", "value", "confidence"])
    assert r"\begin{tabular}" in outcome_table.document(empty)


def test_calibration_axes_show_every_point_and_the_diagonal() -> None:
    points = [(0.1, 0.05), (0.2, 0.4)]
    svg = risk_figures.calibration(points, title="AF")
    found = re.findall(r'circle class="point s0" cx="([\d.]+)" cy="([\d.]+)"', svg)
    x, y = np.array(found, float).T
    assert x[0] < x[1] and y[0] > y[1] and len(set(x)) == len(set(y)) == 2
    line = re.search(r'class="chance" x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="([\d.]+)"', svg)
    assert line
    x1, x2, y1, y2 = map(float, line.groups())
    # the point above the diagonal is above it in the picture, too
    assert y[1] < y1 + (y2 - y1) * (x[1] - x1) / (x2 - x1)
    plain = risk_figures.calibration([(150.0, 140.0), (180.0, 190.0)], title="LVEDV", percent=False)
    assert "%" not in re.sub(r'aria-label="[^"]*"', "", plain)


def test_a_missing_curve_is_left_out() -> None:
    svg = risk_figures.incidence([0, 1, 2], [None, [0, 0.1, 0.2], [0, 0.2, 0.4]], title="AF")
    assert svg.count("<polyline") == 2 and "lowest" not in svg
    assert "highest third 40.0 %" in svg
