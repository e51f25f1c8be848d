import json

import pandas as pd
import pytest
from tables import change, wide

from ptacl.report import records, verdict


@pytest.fixture
def tables(inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    return records.read(inputs / "regression.csv"), records.read(inputs / "retrieval.csv")


def with_seeds(tables, seeds: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables as if every trained row had so many seeds."""
    regression, retrieval = tables
    return regression.assign(seeds=seeds), retrieval.assign(
        seeds=retrieval["seeds"].clip(upper=1) * seeds
    )


def headline(regression, retrieval, unlearned=()) -> str:
    of_tables = [
        verdict.of_regression(records.records(regression), unlearned=unlearned),
        verdict.of_retrieval(records.records(retrieval), unlearned=unlearned),
    ]
    return verdict.headline(of_tables)


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [
        (0.01, 0.03, "is better than"),
        (-0.03, -0.01, "is worse than"),
        (-0.01, 0.03, "does not clearly differ from"),
    ],
)
def test_with_all_evidence_the_interval_decides_the_word(tables, low, high, relation):
    regression, retrieval = with_seeds(tables)
    leading = regression["method"] == "PTACL"
    change(regression, leading, difference=True, low=low, high=high)
    text = headline(regression, retrieval)
    assert text.startswith(f"PTACL {relation} Global by linear probe: mean R²")
    assert f"{wide(regression).set_index('method').loc['PTACL', 'mean_R2']:.3f}" in text
    assert "PTACL (retrieval)" in text
    assert "mean P@10" in text
    assert "needs" not in text


@pytest.mark.parametrize("seeds", [1, 4])
def test_fewer_than_five_seeds_give_numbers_but_no_verdict(tables, seeds):
    regression, retrieval = with_seeds(tables, seeds)
    leading = regression["method"] == "PTACL"
    change(regression, leading, difference=True, low=0.01, high=0.03)
    text = headline(regression, retrieval)
    assert text.startswith("PTACL and Global cannot be ranked by linear probe yet: mean R²")
    assert text.count(f"A verdict needs at least 5 seeds (this run has {seeds}).") == 2
    assert "better" not in text


def test_a_loss_that_was_not_learned_and_an_r2_below_zero_forbid_a_verdict(tables):
    regression, retrieval = with_seeds(tables)
    change(regression, regression["method"] == "Global", value=-0.05)
    text = headline(regression, retrieval, unlearned=["ptacl", "global_retrieval"])
    assert (
        "needs trainings that learned every loss term (PTACL did not) and a mean R² above zero."
        in text
    )
    assert "needs trainings that learned every loss term (Global (retrieval) did not)." in text


def test_a_precision_at_chance_forbids_a_verdict(tables):
    regression, retrieval = with_seeds(tables)
    change(retrieval, retrieval["model"] == "ptacl_retrieval", statistic="P@10", low=0.2)
    assert "needs a P@10 clearly above chance." in headline(regression, retrieval)


def test_without_ptacl_the_rules_are_the_same(tables):
    """As in docs/add-a-method.md: another row, one seed and a small lead give no verdict."""
    regression, retrieval = tables
    regression = regression[regression["input"] != "Whole ECG"]
    regression = regression.assign(method=regression["method"].replace("PTACL", "ECG Order"))
    text = headline(regression, retrieval)
    assert text.startswith("ECG Order and Global cannot be ranked by linear probe yet")
    assert "A verdict needs at least 5 seeds (this run has 1)." in text
    assert "ighest" not in text


def test_another_reference_is_held_to_the_same_rules(tables):
    regression, retrieval = tables
    regression = regression[regression["input"] != "Whole ECG"].copy()
    compared = regression["reference"] != ""
    ahead = compared & (regression["method"] == "PTACL")
    regression.loc[ahead, ["model", "method", "reference"]] = "global", "Global", "PTACL"
    others = regression[regression["model"] == "global"].iloc[0]
    regression.loc[ahead, "paper"] = others["paper"]
    text = headline(regression, retrieval)
    assert text.startswith("Global and PTACL cannot be ranked by linear probe yet")


def test_every_row_is_compared_with_the_reference(tables):
    regression, retrieval = with_seeds(tables)
    found = verdict.of_regression(records.records(regression), unlearned=[])
    whole = ["MAE, whole ECG", "PTACL, whole ECG"]
    assert [v.method for v in found] == ["Random init", "MAE", "PTACL", *whole]
    assert found[-1].sentence.startswith("PTACL, whole ECG is better than Global, whole ECG by")
    assert found[0].sentence.startswith(
        "Random init and Global cannot be ranked by linear probe yet"
    )
    assert found[0].sentence.endswith("A verdict needs a mean R² above zero.")
    assert found[1].sentence.startswith("MAE does not clearly differ from Global by linear probe")
    assert [v.method for v in verdict.of_retrieval(records.records(retrieval), unlearned=[])] == [
        "PTACL (retrieval)",
        "PTACL (retrieval), whole ECG",
    ]


def test_the_headline_is_about_ptacl_itself_and_not_its_variants(tables):
    """With all rows of the paper, variants come before PTACL, and the fine-tuned PTACL after it."""
    regression, retrieval = tables
    ptacl = regression[regression["method"] == "PTACL"]
    before = [
        ptacl.assign(method=name) for name in ("PTACL with CosSim++", "PTACL, ED and ES alone")
    ]
    tuned = ptacl.assign(evaluation="FN + AP")
    table = pd.concat([*before, regression, tuned], ignore_index=True)
    assert headline(table, retrieval).startswith(
        "PTACL and Global cannot be ranked by linear probe"
    )
    flow, alignment = {}, {"models": {}}
    cards = verdict.figures(
        records.records(table), records.records(retrieval), alignment=alignment, flow=flow
    )
    assert cards[0][1] == "mean R² from the ECG, PTACL"
    sentences = {
        v.method: v.sentence for v in verdict.of_regression(records.records(table), unlearned=[])
    }
    assert sentences["PTACL (FN + AP)"].startswith(
        "PTACL (FN + AP) and Global cannot be ranked in regression"
    )


def test_rows_without_training_need_no_seeds(tables):
    regression, _ = with_seeds(tables)
    regression.loc[regression["method"] == "MAE", "seeds"] = 0
    sentence = verdict.of_regression(records.records(regression), unlearned=[])[1].sentence
    assert sentence.startswith("MAE does not clearly differ from Global")


def test_one_retrieval_model_leaves_the_regression_sentence(tables):
    regression, retrieval = tables
    text = headline(regression, retrieval[retrieval["model"] != "ptacl_retrieval"])
    assert "linear probe" in text
    assert "retrieval" not in text


def test_the_headline_never_hides_a_sign(tables):
    regression, retrieval = with_seeds(tables)
    leading = regression["method"] == "PTACL"
    change(regression, leading, difference=True, low=-0.0002, high=0.027)
    assert "95 % CI \N{MINUS SIGN}0.0002 to 0.027" in headline(regression, retrieval)


def test_key_figures_come_with_their_controls_and_claim_nothing(tables, inputs):
    regression, retrieval = tables
    alignment, flow = (
        json.loads((inputs / name).read_text()) for name in ("alignment.json", "flow.json")
    )
    cards = verdict.figures(
        records.records(regression), records.records(retrieval), alignment=alignment, flow=flow
    )
    assert cards[0] == (
        "420",
        "participants with usable ECG and cine",
        "243 train, 27 validation, 150 test",
    )
    assert not [text for card in cards for text in card if "best" in text.lower()]
    table = wide(regression)
    of_method = table[table["input"] == "ECG"].set_index("method")["mean_R2"]
    assert cards[1][:2] == (f"{of_method['PTACL']:.3f}", "mean R² from the ECG, PTACL")
    for control in ("Global", "Random init"):
        number = f"{of_method[control]:.3f}".replace("-", "\N{MINUS SIGN}")
        assert f"{control} {number}" in cards[1][2]
    assert cards[2][1] == "mean P@10, PTACL (retrieval)"
    assert "random retrieval 0.2" in cards[2][2]
    entry = list(alignment["models"].values())[-1]
    assert cards[3][:2] == (
        f"{entry['share']:.2f}",
        "share of ECG phases that find their CMR phase, PTACL",
    )
    for name, key in (("other people's cines", "other_share"), ("a still image", "still_share")):
        assert f"{name} {entry[key]:.2f}" in cards[3][2]
    assert (
        len(
            verdict.figures(
                records.records(regression),
                records.records(retrieval),
                alignment=alignment,
                flow={},
            )
        )
        == 3
    )
