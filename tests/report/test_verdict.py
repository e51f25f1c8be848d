import json

import pandas as pd
import pytest

from ptacl.report import verdict


@pytest.fixture
def tables(inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(inputs / "regression.csv"), pd.read_csv(inputs / "retrieval.csv")


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [(0.01, 0.03, "is better than"), (-0.03, -0.01, "is worse than"), (-0.01, 0.03, "does not clearly differ from")],
)
def test_with_all_evidence_the_interval_decides_the_word(tables, low, high, relation):
    regression, retrieval = (table.assign(seeds=3) for table in tables)
    leading = regression["method"] == "PTACL"
    regression.loc[leading, ["mean_difference_low", "mean_difference_high"]] = low, high
    text = verdict.headline(regression, retrieval, stuck=[])
    assert text.startswith(f"PTACL {relation} Global by linear probe: mean R²")
    assert f"{regression.loc[leading, 'mean_R2'].iloc[0]:.3f}" in text
    assert "PTACL (retrieval)" in text and "mean P@1" in text and "missing" not in text


def test_one_seed_gives_numbers_but_no_verdict(tables):
    regression, retrieval = tables
    regression.loc[regression["method"] == "PTACL", ["mean_difference_low", "mean_difference_high"]] = 0.01, 0.03
    text = verdict.headline(regression, retrieval, stuck=[])
    assert text.startswith("No verdict on PTACL and Global by linear probe: mean R²")
    assert text.count("missing: 3 seeds or more (here 1)") == 2 and "better" not in text


def test_a_loss_at_chance_and_an_r2_below_zero_forbid_a_verdict(tables):
    regression, retrieval = (table.assign(seeds=3) for table in tables)
    regression.loc[regression["method"] == "Global", "mean_R2"] = -0.05
    text = verdict.headline(regression, retrieval, stuck=["ptacl", "global_retrieval"])
    assert "missing: a training loss below chance (PTACL); a mean R² above zero." in text
    assert "missing: a training loss below chance (Global (retrieval))." in text


def test_a_precision_at_chance_forbids_a_verdict(tables):
    regression, retrieval = (table.assign(seeds=3) for table in tables)
    retrieval.loc[retrieval["model"] == "ptacl_retrieval", "mean_P@1_low"] = 0.2
    assert "missing: a P@1 clearly above chance." in verdict.headline(regression, retrieval, stuck=[])


def test_without_ptacl_the_best_row_is_named(tables):
    regression, retrieval = tables
    assert verdict.headline(regression[regression["method"] != "PTACL"], retrieval, stuck=[]).startswith(
        "Highest mean R²: CMR MAE with 0."
    )


def test_one_retrieval_model_leaves_the_regression_sentence(tables):
    regression, retrieval = tables
    text = verdict.headline(regression, retrieval[retrieval["model"] != "ptacl_retrieval"], stuck=[])
    assert "linear probe" in text and "retrieval" not in text


def test_key_figures_are_the_best_with_their_intervals(tables, inputs):
    regression, retrieval = tables
    alignment, flow = (json.loads((inputs / name).read_text()) for name in ("alignment.json", "flow.json"))
    cards = verdict.figures(regression, retrieval, alignment=alignment, flow=flow)
    assert cards[0] == ("420", "participants with usable ECG and cine", "243 train, 27 validation, 150 test")
    assert cards[1][0] == f"{regression.loc[regression['input'] == 'ECG', 'mean_R2'].max():.3f}"
    assert "random 0.2" in cards[2][2]
    assert cards[3][0] == f"{max(e['share'] for e in alignment['models'].values()):.2f}"
    assert len(verdict.figures(regression, retrieval, alignment=alignment, flow={})) == 3
