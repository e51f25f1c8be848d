"""Rows whose features come from a table, such as the embedding of another model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from probed_cohort import PHENOTYPES, evaluate

from ptacl.config import Config, Regression, RegressionRow, stack
from ptacl.evaluation import feature_table
from ptacl.report import page


@pytest.fixture
def embedding(cohort) -> pd.DataFrame:
    """The embedding of Global as `ptacl export` writes it, by visit in another order."""
    _, embeddings, table = cohort
    with np.load(embeddings["global"][0]) as stored:
        values = pd.DataFrame(stored["ecg"]).add_prefix("ecg_")
        values.insert(0, "visit", stored["visits"])
    facts = table[["visit", "participant", "split", "evaluate"]].assign(instance=2)
    return values.merge(facts, on="visit").sample(frac=1, random_state=0)


def settings(path: Path, **more) -> Regression:
    rows = [
        {"label": "Global", "model": "global", "features": ["ecg"]},
        {"label": "Other", "table": str(path), "features": ["table", *more.pop("and_", [])]} | more,
    ]
    return Regression.model_validate(
        {"rows": rows, "reference": "Global", "bootstrap": 100, "confidence": 0.95}
    )


@pytest.mark.parametrize("name", ["other.parquet", "other.csv", "other.tsv"])
def test_the_same_features_give_the_same_numbers(cohort, embedding, tmp_path, name) -> None:
    participants, embeddings, _ = cohort
    path = tmp_path / name
    if name.endswith("parquet"):
        embedding.to_parquet(path)
    else:
        embedding.to_csv(path, sep="\t" if name.endswith("tsv") else ",", index=False)
    how = {"participants": participants, "phenotypes": PHENOTYPES, "seed": 0}
    table = evaluate(settings(path), embeddings=embeddings, **how)
    assert table["input"].tolist() == ["ECG", "Other embedding"]
    for phenotype in PHENOTYPES:
        ours, other = table[f"{phenotype}_R2"]
        assert other == pytest.approx(ours, abs=1e-7)
    assert table.loc[1, "mean_R2_difference"] == pytest.approx(0, abs=1e-7)


def test_a_score_stands_next_to_an_embedding(cohort, embedding, tmp_path) -> None:
    participants, embeddings, table = cohort
    score = table[["visit"]].assign(score=table["LVEF"])
    score.to_csv(tmp_path / "score.csv", index=False)
    values = settings(tmp_path / "score.csv").model_dump()
    values["rows"].append(
        {
            "label": "Global + score",
            "model": "global",
            "features": ["ecg", "table"],
            "table": str(tmp_path / "score.csv"),
        }
    )
    found = evaluate(
        Regression.model_validate(values),
        participants=participants,
        phenotypes=PHENOTYPES,
        embeddings=embeddings,
        seed=0,
    )
    assert found["input"].tolist() == ["ECG", "Other embedding", "ECG + other"]
    assert found.loc[2, "LVEF_R2"] == pytest.approx(1) and found.loc[0, "LVEF_R2"] < 0.9


def read(table: pd.DataFrame, path: Path, visits: list[str]):
    table.to_csv(path, index=False)
    return feature_table.read(path, label="Other", train=visits[:150], visits=visits)


def test_few_missing_visits_get_the_mean_and_are_counted(cohort, embedding, tmp_path) -> None:
    visits = cohort[2]["visit"].tolist()
    kept = embedding[~embedding["visit"].isin(visits[:2])].set_index("visit")
    kept.loc[visits[2], "ecg_0"] = np.nan
    found, lacking = read(kept.reset_index(), tmp_path / "a.csv", visits)
    assert lacking == pytest.approx(2 / len(visits))
    mean = kept.loc[visits[2:150], [f"ecg_{k}" for k in range(8)]].mean().to_numpy()
    assert found[0] == pytest.approx(mean) and found[1] == pytest.approx(mean)
    assert found[2, 0] == pytest.approx(mean[0])
    assert found[2, 1] == pytest.approx(kept.loc[visits[2], "ecg_1"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[5:], r"lacks \d\.\d% of the visits"),
        (lambda t: t.rename(columns={"visit": "eid"}), "no column visit"),
        (lambda t: pd.concat([t, t.iloc[:3]]), "3 repeated visits"),
        (lambda t: t.assign(site="A"), "not numeric: .'site'."),
        (lambda t: t.assign(gone=np.nan), "no training value of .'gone'."),
        (lambda t: t[["visit", "split"]], "no column with features"),
    ],
)
def test_an_unfit_table_is_refused_without_ids_or_folders(
    cohort, embedding, tmp_path, change, message
) -> None:
    visits = cohort[2]["visit"].tolist()
    with pytest.raises(ValueError, match=message) as refused:
        read(change(embedding), tmp_path / "a.csv", visits)
    text = str(refused.value).replace("such as 9000001_2", "")
    assert "a.csv" in text and "90000" not in text and str(tmp_path) not in text


@pytest.mark.parametrize("row", [{"features": ["table"]}, {"features": ["age"], "table": "a.csv"}])
def test_a_table_and_its_use_belong_together(row) -> None:
    with pytest.raises(ValueError, match="give both or neither"):
        RegressionRow(label="Other", **row)


def test_the_page_does_not_show_the_path(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "my.yaml"
    own.write_text(
        "regression:\n  rows:\n"
        "    - {label: Global, model: global, features: [ecg]}\n"
        "    - {label: Other, table: /secret/place.parquet, features: [table]}\n"
    )
    settings: Config = stack(root / "config.yaml", own)
    text = page.settings_text(settings)
    assert "secret" not in text and "table: not shown" in text
