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
def test_the_interval_decides_the_word(tables, low, high, relation):
    regression, retrieval = tables
    leading = regression["method"] == "PTACL"
    regression.loc[leading, ["mean_difference_low", "mean_difference_high"]] = low, high
    text = verdict.headline(regression, retrieval)
    assert text.startswith(f"PTACL {relation} Global by linear probe: mean R²")
    assert f"{regression.loc[leading, 'mean_R2'].iloc[0]:.3f}" in text
    assert "PTACL (retrieval)" in text and "mean P@1" in text


def test_without_ptacl_the_best_row_is_named(tables):
    regression, retrieval = tables
    assert verdict.headline(regression[regression["method"] != "PTACL"], retrieval).startswith("Highest mean R²: CMR MAE with 0.")


def test_one_retrieval_experiment_leaves_the_regression_sentence(tables):
    regression, retrieval = tables
    text = verdict.headline(regression, retrieval[retrieval["model"] != "ptacl_retrieval"])
    assert "linear probe" in text and "retrieval" not in text


def test_key_figures_are_the_best_with_their_intervals(tables, inputs):
    regression, retrieval = tables
    alignment, flow = (json.loads((inputs / name).read_text()) for name in ("alignment.json", "flow.json"))
    cards = verdict.figures(regression, retrieval, alignment=alignment, flow=flow)
    assert cards[0] == ("420", "participants with usable ECG and cine", "243 train, 27 validation, 150 test")
    assert cards[1][0] == f"{regression.loc[regression['input'] == 'ECG', 'mean_R2'].max():.3f}"
    assert "random 0.2" in cards[2][2]
    assert cards[3][0] == f"{max(e['share'] for e in alignment['experiments'].values()):.2f}"
    assert len(verdict.figures(regression, retrieval, alignment=alignment, flow={})) == 3
