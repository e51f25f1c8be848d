"""Table 2 on validation participants, from a run that has only embeddings."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from probed_cohort import PHENOTYPES
from sklearn.linear_model import LinearRegression

from ptacl import cli
from ptacl.evaluation import inputs

ROWS = [
    {"label": "Random init", "model": "cmr_mae", "features": ["cmr"]},
    {"label": "Global", "model": "global", "features": ["ecg"]},
    {"label": "MAE", "model": "ecg_mae", "features": ["ecg"]},
    {"label": "Global, ridge", "model": "global", "features": ["ecg"], "ridge": True},
    {"label": "PTACL", "model": "ptacl", "features": ["ecg"]},
]


@pytest.fixture
def run(cohort, tmp_path: Path) -> Path:
    """A folder with the embeddings of all models but PTACL's."""
    path, embeddings, _ = cohort
    private = tmp_path / "run/results/private"
    (private / "embeddings").mkdir(parents=True)
    shutil.copy(path, private)
    for name in ("cmr_mae", "ecg_mae", "global"):
        shutil.copy(embeddings[name][0], private / "embeddings")
    named = {"LVEDV": "mL", "LVEF": "%", "LVM": "g"}
    phenotypes = [
        {"name": name, "field": 24100 + i, "unit": unit, "low": -1e6, "high": 1e6}
        for i, (name, unit) in enumerate(named.items())
    ]
    settings = {
        "cohort": {"phenotypes": phenotypes},
        "regression": {"rows": ROWS, "whole_reference": None, "bootstrap": 50},
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "run"


def test_values_are_those_of_validation_participants(
    run: Path, cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The expected value is scikit-learn's; no value of a test participant changes it."""
    _, embeddings, table = cohort
    expected = []
    used = table[table["evaluate"]].set_index("visit")
    splits = {name: list(used.index[used["split"] == name]) for name in ("train", "validation")}
    features = {
        name: inputs.read_embedding(embeddings["global"][0], array="ecg", visits=visits)
        for name, visits in splits.items()
    }
    for phenotype in PHENOTYPES:
        targets = {name: used.loc[visits, phenotype] for name, visits in splits.items()}
        fitted = LinearRegression().fit(features["train"], targets["train"])
        expected.append(fitted.score(features["validation"], targets["validation"]))
    path = run / "results/private/participants.csv"
    people = pd.read_csv(path)
    people.loc[people["split"] == "test", PHENOTYPES] = np.nan
    people.to_csv(path, index=False)

    out = tmp_path / "v.csv"
    command = ["validation", str(tmp_path / "my.yaml"), "--run", str(run), "--out", str(out)]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("Mean R² of 20 validation participants, 95% intervals\n")
    assert f"Global       {np.mean(expected):.3f} (" in said
    assert "Left out (ridge regression, or no embeddings): Global, ridge; PTACL" in said
    written = pd.read_csv(out)
    of_global = written[(written["method"] == "Global") & written["reference"].isna()]
    of_phenotypes = of_global[of_global["phenotype"].isin(PHENOTYPES) & of_global["seed"].isna()]
    of_all = of_phenotypes[of_phenotypes["group"] == "all"]
    assert of_all["value"].tolist() == pytest.approx(expected, abs=1e-5)
    assert not any(visit[:7] in said for visit in used.index)


def test_a_reference_without_embeddings_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "results/private/embeddings/global-0.npz").unlink()
    command = ["validation", str(tmp_path / "my.yaml"), "--run", str(run)]
    assert cli.main(command) == 2
    assert "is compared with Global, which has no embeddings yet" in capsys.readouterr().err
    assert cli.main([*command[:-1], str(tmp_path)]) == 2
    assert "no results/private: name the folder of a run" in capsys.readouterr().err


def test_a_run_without_embeddings_of_any_row(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run / "results/private/embeddings").iterdir():
        path.unlink()
    assert cli.main(["validation", str(tmp_path / "my.yaml"), "--run", str(run)]) == 2
    assert "no embeddings of any row: run snakemake embeddings" in capsys.readouterr().err
