"""The comparison of methods over independent cohorts."""

import shutil
import subprocess
import sys
from pathlib import Path

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
        shutil.copy(inputs / "alignment.json", folder / "results/evaluation")
        if ahead < 1:
            (folder / "results/report.html").write_text("")
    return folders


def test_differences_are_compared_over_cohorts(runs: list[Path], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/cohorts.py"), *map(str, runs)]
    subprocess.run([*command, "--out", str(tmp_path / "cohorts.csv")], check=True)
    table = pd.read_csv(tmp_path / "cohorts.csv").set_index(["method", "statistic"])
    row = table.loc[("ECG PTACL (LP)", "mean R²")]
    test = stats.ttest_1samp([0.01, 0.02, 0.06], 0)
    low, high = test.confidence_interval(0.95)
    found = row[["value", "difference", "difference_low", "difference_high", "difference_p"]]
    assert found.tolist() == pytest.approx([0.43, 0.03, low, high, test.pvalue], rel=1e-4)
    assert row["cohorts"] == 3
    assert row["differences"] == "0.0100 0.0200 0.0600"
    assert table.loc[("ECG Global (LP)", "mean R²"), "difference":].isna().all()
    for key in (
        ("PTACL (retrieval)", "mean P@10"),
        ("PTACL", "phases near the diagonal"),
        ("PTACL", "beyond still"),
    ):
        assert key in table.index


def test_one_finished_run_is_too_few(runs: list[Path]) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/cohorts.py"), str(runs[0]), str(runs[3])]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "1 of 2 runs are finished, but at least two are needed" in run.stderr
