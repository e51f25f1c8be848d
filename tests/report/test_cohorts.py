"""The comparison of methods over independent cohorts."""

import json
import math
import runpy
import shutil
import sys
from pathlib import Path
from unittest import mock

import made_up
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tables import change

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(inputs: Path, tmp_path: Path) -> list[Path]:
    """Three finished runs, of which PTACL is ahead of Global by 0.01, 0.02 and 0.06; and one that
    is not finished.
    """
    folders = [tmp_path / str(seed) for seed in range(4)]
    for folder, ahead in zip(folders, (0.01, 0.02, 0.06, 9.0), strict=True):
        (folder / "results/tables").mkdir(parents=True)
        (folder / "results/evaluation").mkdir()
        regression = pd.read_csv(inputs / "regression.csv")
        leading = regression["method"] == "PTACL"
        change(regression, leading, value=0.4 + ahead)
        change(regression, leading, difference=True, value=ahead)
        regression.to_csv(folder / "results/tables/regression.csv", index=False)
        shutil.copy(inputs / "retrieval.csv", folder / "results/tables")
        shutil.copy(inputs / "labels.csv", folder / "results/tables")
        diseases = pd.read_csv(inputs / "outcomes.csv")
        if ahead == 0.02:  # in this cohort, hypertension is too rare
            diseases = diseases[diseases["disease"] != "Hypertension"]
        diseases.to_csv(folder / "results/tables/outcomes.csv", index=False)
        shutil.copy(inputs / "alignment.json", folder / "results/evaluation")
        shutil.copytree(inputs / "training", folder / "results/training")
        (folder / "results/models/ptacl-0").mkdir(parents=True)
        settings = made_up.settings()
        facts = {
            "settings": settings.models["ptacl"].model_dump(mode="json"),
            "inputs": settings.inputs_of("ptacl").model_dump(mode="json"),
        }
        description = json.dumps({"description": facts})
        (folder / "results/models/ptacl-0/config.json").write_text(description)
        (folder / "results/private").mkdir()
        (folder / "results/private/simulated.json").write_text(
            json.dumps({"ceiling": {"LVEDV": 0.6, "LVEF": 0.4}})
        )
        (folder / "results/cohort").mkdir()
        best = {"before": {"truth": 0.9, "ECG": 0.7, "ECG + demographics": 0.8}}
        (folder / "results/cohort/outcomes.json").write_text(json.dumps({"ceiling": {"AF": best}}))
        if ahead < 1:
            (folder / "results/report.html").write_text("")
    return folders


def compare(*arguments: Path | str) -> None:
    program = str(ROOT / "benchmarks/cohorts.py")
    with mock.patch.object(sys, "argv", [program, *map(str, arguments)]):
        runpy.run_path(program, run_name="__main__")


def test_differences_are_compared_over_cohorts(runs: list[Path], tmp_path: Path) -> None:
    compare(*runs, "--out", tmp_path / "cohorts.csv")
    table = pd.read_csv(tmp_path / "cohorts.csv").fillna({"reference": ""})
    table = table.set_index(["method", "statistic", "reference"])
    assert table.loc[("PTACL", "mean R²", ""), "value"] == pytest.approx(0.43)
    row = table.loc[("PTACL", "mean R²", "Global")]
    test = stats.ttest_1samp(by_cohort := np.array([0.41, 0.42, 0.46]) - of_global(runs[0]), 0)
    low, high = test.confidence_interval(0.95)
    assert row[["value", "low", "high", "p"]].tolist() == pytest.approx(
        [by_cohort.mean(), low, high, test.pvalue], rel=1e-3
    )
    assert row["cohorts"] == 3
    assert list(map(float, row["by_cohort"].split())) == pytest.approx(by_cohort, abs=1e-4)
    assert ("Global", "mean R²", "Global") not in table.index
    learned = table.loc[("PTACL", "share of the local loss learned", ""), "value"]
    assert learned == pytest.approx((math.log(13) - 2.2) / (math.log(13) - 1.9329), abs=1e-3)
    for key in (
        ("PTACL (retrieval)", "mean P@10", "Global (retrieval)"),
        ("PTACL", "phases near the diagonal", "Global"),
        ("PTACL", "phases near the diagonal, beyond still", ""),
        ("PTACL", "mean R², 20 % of the labels", "Global"),
        ("PTACL, whole ECG + demographics", "AF after the visit, C", "Demographics"),
    ):
        assert key in table.index and table.loc[key, "cohorts"] == 3
    rare = table.loc[("Demographics", "Hypertension before the visit, AUROC", "")]
    assert rare["cohorts"] == 2 and rare["by_cohort"].split()[1] == "nan"
    assert ("PTACL", "mean R², 100 % of the labels", "") not in table.index
    assert table.loc[("ceiling of an ECG", "mean R²", ""), "value"] == pytest.approx(0.5)
    for seen, best in (("the hazard", 0.9), ("an ECG", 0.7), ("an ECG and demographics", 0.8)):
        key = (f"ceiling of {seen}", "AF before the visit, AUROC", "")
        assert table.loc[key, "value"] == pytest.approx(best)


def of_global(run: Path) -> float:
    table = pd.read_csv(run / "results/tables/regression.csv")
    mean = table[(table["phenotype"] == "mean") & (table["method"] == "Global")]
    return float(mean[mean["reference"].isna() & mean["seed"].isna()]["value"].iloc[0])


def test_any_two_methods_can_be_compared(runs: list[Path], tmp_path: Path) -> None:
    compare(*runs, "--pair", "PTACL", "MAE", "--out", tmp_path / "cohorts.csv")
    table = pd.read_csv(tmp_path / "cohorts.csv")
    table = table[table["statistic"] == "mean R²"].set_index("method")
    lines = table.loc["PTACL"].fillna({"reference": ""}).set_index("reference")["value"]
    assert lines["MAE"] == pytest.approx(lines[""] - table.loc["MAE", "value"].iloc[0], abs=1e-5)


def test_kept_numbers_replace_their_runs(runs: list[Path], tmp_path: Path) -> None:
    compare(*runs[:3], "--out", tmp_path / "runs.csv", "--keep", tmp_path / "kept")
    files = [tmp_path / "kept" / f"{seed}.csv" for seed in range(3)]
    compare(files[0], runs[1], files[2], "--out", tmp_path / "kept.csv")
    assert len(list((tmp_path / "kept").iterdir())) == 3
    found, expected = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("kept", "runs"))
    columns = ["method", "statistic", "reference", "cohorts"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-4, atol=1e-5)


def test_one_finished_run_is_too_few(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        compare(runs[0], runs[3])
    said = capsys.readouterr().err
    assert "1 of 2 runs are finished, but at least two are needed" in said
