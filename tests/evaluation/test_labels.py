"""R² with few training labels."""

import numpy as np
import pandas as pd
import pytest
from probed_cohort import PHENOTYPES
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from ptacl.config import LabelFractions, Regression
from ptacl.evaluation import labels

ROWS = [
    {"label": "Global", "model": "global", "features": ["ecg"]},
    {"label": "PTACL", "model": "ptacl", "features": ["ecg"]},
    {"label": "Age", "features": ["age"]},
]


def evaluate(cohort, *, fractions, draws=3, rows=ROWS) -> pd.DataFrame:
    participants, embeddings, table = cohort
    table["age"] = table["LVEDV"] + np.random.default_rng(5).normal(scale=10, size=len(table))
    table.to_csv(participants, index=False)
    values = {"rows": rows, "reference": "Global", "bootstrap": 50, "confidence": 0.95}
    return labels.evaluate(
        LabelFractions(fractions=fractions, draws=draws),
        Regression.model_validate(values),
        participants=participants,
        phenotypes=PHENOTYPES,
        embeddings=embeddings,
        seed=0,
    )


def number(
    found: pd.DataFrame, method: str, fraction: float, phenotype: str, reference=""
) -> float:
    lines = found[
        (found["method"] == method)
        & (found["fraction"] == fraction)
        & (found["phenotype"] == phenotype)
        & (found["reference"] == reference)
    ]
    assert len(lines) == 1
    return float(lines["value"].iloc[0])


def test_draws_are_nested_fixed_and_about_as_large_as_their_fraction() -> None:
    visits = [f"{9000001 + i}_2" for i in range(2000)]
    for draw in range(3):
        sizes = [labels.in_draw(visits, fraction=f, draw=draw) for f in (0.05, 0.25, 1.0)]
        assert (sizes[0] <= sizes[1]).all() and sizes[2].all()
        assert sizes[1].mean() == pytest.approx(0.25, abs=0.03)
        # other people, and another visit of a person, change nothing
        again = labels.in_draw(["9000005_3", *visits[:2]], fraction=0.25, draw=draw)
        assert again.tolist() == [bool(sizes[1][4]), *sizes[1][:2].tolist()]
    first, second = (labels.in_draw(visits, fraction=0.25, draw=d) for d in (0, 1))
    assert (first & second).mean() == pytest.approx(0.25**2, abs=0.02)


def test_values_are_those_of_scikit_learn(cohort) -> None:
    found = evaluate(cohort, fractions=[0.2, 1])
    _, embeddings, table = cohort
    table = table[table["evaluate"]].set_index("visit")
    with np.load(embeddings["global"][0]) as stored:
        features = pd.DataFrame(stored["ecg"].astype(float), index=stored["visits"])
    train = table.index[table["split"] == "train"]
    test = table.index[table["split"] == "test"]
    expected = []
    for draw in range(3):
        people = train[labels.in_draw(list(train), fraction=0.2, draw=draw)]
        scaler = StandardScaler().fit(features.loc[people])
        ridge = RidgeCV(labels.STRENGTHS, alpha_per_target=True)
        ridge.fit(scaler.transform(features.loc[people]), table.loc[people, PHENOTYPES])
        predicted = ridge.predict(scaler.transform(features.loc[test]))
        expected.append(r2_score(table.loc[test, PHENOTYPES], predicted, multioutput="raw_values"))
    for name, value in zip(PHENOTYPES, np.mean(expected, axis=0), strict=True):
        assert number(found, "Global", 0.2, name) == pytest.approx(value, abs=1e-9)
    assert number(found, "Global", 0.2, "mean") == pytest.approx(np.mean(expected), abs=1e-9)


def test_more_labels_help_and_differences_are_paired(cohort) -> None:
    found = evaluate(cohort, fractions=[0.1, 0.5, 1])
    values = [number(found, "Global", f, "mean") for f in (0.1, 0.5, 1)]
    assert values[0] < values[1] < values[2] + 0.02
    for fraction in (0.1, 0.5, 1):
        difference = number(found, "Age", fraction, "mean", reference="Global")
        own, other = (number(found, m, fraction, "mean") for m in ("Age", "Global"))
        assert difference == pytest.approx(own - other, abs=1e-9)
    lines = found[found["method"] == "PTACL"].drop_duplicates("fraction").set_index("fraction")
    # draws below 1; both seeds with all labels
    assert lines["seeds"].tolist() == [3, 3, 2]
    assert lines.loc[1.0, "n_train"] == 180 and 8 < lines.loc[0.1, "n_train"] < 30


def test_a_phenotype_without_labels_in_a_draw_has_no_value(cohort) -> None:
    table = cohort[2]
    train = list(table.loc[table["split"] == "train", "visit"])
    drawn = labels.in_draw(train, fraction=0.2, draw=0)
    kept = {visit for visit, inside in zip(train, drawn, strict=True) if not inside}
    table.loc[table["visit"].isin(set(train) - kept), "LVM"] = np.nan
    found = evaluate(cohort, fractions=[0.2, 1], draws=1)
    assert np.isnan(number(found, "Global", 0.2, "LVM"))
    assert np.isfinite(number(found, "Global", 0.2, "LVEF"))
    assert np.isfinite(number(found, "Global", 1, "LVM"))


def test_too_few_people_and_rows_without_a_probe_are_left_out(cohort) -> None:
    rows = [*ROWS, {"label": "Phases", "model": "global", "features": ["ecg_phases"]}]
    rows.append({"label": "Tuned", "model": "global", "predictions": "ecg"})
    found = evaluate(cohort, fractions=[0.01, 1], rows=rows)
    assert set(found["fraction"]) == {1.0}
    assert set(found["method"]) == {"Global", "PTACL", "Age"}
