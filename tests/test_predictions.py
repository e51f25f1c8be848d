"""What a trained model tells of a file is what the evaluation of the same run found for the same
visit.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project import Project
from tables import wide

pytestmark = pytest.mark.pipeline

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
import ptacl

results, out = Path(sys.argv[1]), Path(sys.argv[2])
files = dict(line.split("\\t") for line in (out / "files.tsv").read_text().splitlines())
model = ptacl.Model.load(results / "models/ptacl-0")
predicted = model.predict(list(files.values()))
predicted.insert(0, "visit", np.repeat(list(files), len(predicted) // len(files)))
predicted.to_csv(out / "predicted.csv", index=False)
retrieval = ptacl.Model.load(results / "models/ptacl_retrieval-0")
gallery = ptacl.Gallery.load(
    results / "private/embeddings/ptacl_retrieval-0.npz", table=out / "test.csv"
)
found = retrieval.retrieve(list(files.values()), gallery, num=len(files))
found.insert(0, "query", [visit for visit in files for _ in range(len(files))])
found.to_csv(out / "retrieved.csv", index=False)
"""


@pytest.fixture(scope="module")
def results(finished: Project) -> Path:
    return finished.folder / "results"


@pytest.fixture(scope="module")
def participants(results: Path) -> pd.DataFrame:
    table = pd.read_csv(results / "private/participants.csv", dtype={"visit": str})
    return table[table["evaluate"]].set_index("visit", drop=False)


@pytest.fixture(scope="module")
def used(
    results: Path,
    participants: pd.DataFrame,
    finished: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Predictions and neighbours of the ECG files of the test visits."""
    folder = tmp_path_factory.mktemp("used")
    test = participants[participants["split"] == "test"]
    test.to_csv(folder / "test.csv", index=False)
    shards = (results / "private/cohort/shards").glob("*.csv")
    listed = pd.concat([pd.read_csv(path, dtype=str) for path in shards]).set_index("visit")
    lines = [f"{visit}\t{finished.folder / listed.loc[visit, 'ecg']}" for visit in test.index]
    (folder / "files.tsv").write_text("\n".join(lines))
    environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    command = [sys.executable, "-c", SCRIPT, str(results), str(folder)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


def embeddings(results: Path, visits: pd.Index) -> np.ndarray:
    """Embeddings of the whole ECGs of some visits, as the pipeline wrote them."""
    with np.load(results / "private/embeddings/ptacl-0.npz") as stored:
        place = {visit: row for row, visit in enumerate(stored["visits"].tolist())}
        rows = stored["ecg_whole"][[place[visit] for visit in visits]]
    return rows.astype(np.float64)


def test_predictions_are_those_behind_the_table(
    used: Path, results: Path, participants: pd.DataFrame
) -> None:
    """The R² of what the model predicts for the files is that of the row of Table 2."""
    predicted = pd.read_csv(used / "predicted.csv").pivot(
        index="visit", columns="phenotype", values="value"
    )
    table = wide(pd.read_csv(results / "tables/regression.csv"))
    row = table[(table["model"] == "ptacl") & (table["input"] == "Whole ECG")].iloc[0]
    compared = 0
    for name in predicted:
        truth = participants.loc[predicted.index, name]
        known = truth.notna()
        error = truth[known] - predicted.loc[known, name]
        r2 = 1 - (error**2).sum() / ((truth[known] - truth[known].mean()) ** 2).sum()
        assert row[f"{name}_R2"] == pytest.approx(r2, rel=1e-4, abs=1e-4)
        compared += 1
    assert compared == 10


def test_intervals_are_those_of_the_residuals_of_test_participants(
    used: Path, participants: pd.DataFrame
) -> None:
    predicted = pd.read_csv(used / "predicted.csv").set_index("visit")
    for name, rows in predicted.groupby("phenotype"):
        residuals = participants.loc[rows.index, name] - rows["value"]
        low, high = np.nanquantile(residuals, [0.025, 0.975])
        np.testing.assert_allclose(rows["low"], rows["value"] + low, rtol=1e-5)
        np.testing.assert_allclose(rows["high"], rows["value"] + high, rtol=1e-5)


def test_the_flag_follows_its_definition(
    used: Path, results: Path, participants: pd.DataFrame
) -> None:
    """Farther from the mean of the training participants than 99.5 % of the test participants."""
    visits = {
        split: participants.index[participants["split"] == split] for split in ("train", "test")
    }
    seen, unseen = (embeddings(results, visits[split]) for split in ("train", "test"))
    covariance = np.cov(seen.T)
    width = len(covariance)
    ridge = 1e-6 * np.trace(covariance) / width * np.eye(width)
    away = unseen - seen.mean(axis=0)
    distance = (away * np.linalg.solve(covariance + ridge, away.T).T).sum(axis=1)
    expected = pd.Series(distance > np.quantile(distance, 0.995), index=visits["test"])
    predicted = pd.read_csv(used / "predicted.csv")
    found = predicted.groupby("visit")["out_of_distribution"].first()
    assert expected.sum() == 1
    assert found[expected.index].tolist() == expected.tolist()


def test_neighbours_have_the_ranks_of_the_evaluation(used: Path, results: Path) -> None:
    """The median rank of the own partner among the test visits is that of the row of Table 1."""
    found = pd.read_csv(used / "retrieved.csv")
    own = found[found["query"] == found["visit"]]
    assert own["query"].is_unique
    assert len(own) == found["query"].nunique()
    table = wide(pd.read_csv(results / "tables/retrieval.csv"))
    whole = table["method"] == "PTACL (retrieval), whole ECG"
    row = table[whole & (table["direction"] == "ECG to CMR")].iloc[0]
    assert row["own_MdR"] == own["rank"].median()
    for k in (1, 3):
        assert row[f"own_R@{k}"] == pytest.approx((own["rank"] <= k).mean(), rel=1e-4)
