"""What evaluation reads: participants of a split, their covariates and their embeddings."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptacl.evaluation import inputs


@pytest.fixture
def table() -> pd.DataFrame:
    """Two training and two test participants, one with a second visit, and one for validation."""
    return pd.DataFrame(
        {
            "visit": ["9000001_2", "9000002_2", "9000003_2", "9000003_3", "9000004_2", "9000005_2"],
            "participant": ["9000001", "9000002", "9000003", "9000003", "9000004", "9000005"],
            "split": ["train", "train", "test", "test", "test", "validation"],
            "evaluate": [True, True, True, False, True, True],
            "LVEDV": [140.0, 150, 160, 999, np.nan, 999],
            "age": [50.0, 60, np.nan, 999, 70, 999],
            "ecg_qt_ms": [400.0, np.nan, 420, 999, np.nan, 999],
            "ecg_axis": [np.nan, np.nan, 12, 999, 13, 999],
        }
    )


@pytest.fixture
def path(table: pd.DataFrame, tmp_path: Path) -> Path:
    table.to_csv(tmp_path / "participants.csv", index=False)
    return tmp_path / "participants.csv"


def test_a_split_has_one_visit_per_participant(path: Path) -> None:
    found = inputs.read_participants(path, split="test", phenotypes=["LVEDV"])
    assert found.visits == ["9000003_2", "9000004_2"]
    np.testing.assert_array_equal(found.targets, [[160], [np.nan]])
    assert found.targets.dtype == np.float64


def test_a_table_that_cannot_be_evaluated_says_why(path: Path, table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="has no column LVEF: rerun the cohort stages"):
        inputs.read_participants(path, split="test", phenotypes=["LVEDV", "LVEF"])
    table.drop(columns="evaluate").to_csv(path, index=False)
    with pytest.raises(ValueError, match="has no column evaluate"):
        inputs.read_participants(path, split="test", phenotypes=["LVEDV"])
    table.assign(evaluate=True).to_csv(path, index=False)
    with pytest.raises(ValueError) as error:
        inputs.read_participants(path, split="test", phenotypes=["LVEDV"])
    assert (
        str(error.value)
        == f"{path} marks two visits of a participant for evaluation: rerun the cohort stages"
    )
    table[table["split"] != "test"].to_csv(path, index=False)
    with pytest.raises(ValueError) as error:
        inputs.read_participants(path, split="test", phenotypes=["LVEDV"])
    why = "has no participant in the test split: the cohort is too small"
    assert str(error.value) == f"{path} {why}"


TRAIN, VISITS = ["9000001_2", "9000002_2"], ["9000004_2", "9000001_2", "9000003_2"]


def test_missing_covariates_are_the_mean_of_the_training_visits(path: Path) -> None:
    found = inputs.read_covariates(path, names=["age"], train=TRAIN, visits=VISITS)
    np.testing.assert_array_equal(found, [[70], [50], [55]])


def test_measurements_are_all_columns_of_the_ecg_that_have_a_training_value(path: Path) -> None:
    """ecg_axis has none."""
    found = inputs.read_covariates(path, names=["measurements", "age"], train=TRAIN, visits=VISITS)
    np.testing.assert_array_equal(found, [[400, 70], [400, 50], [420, 55]])


def test_heart_rate_is_mean_and_deviation_of_the_rr_intervals(
    path: Path, table: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match="has no column ecg_own_rr_ms"):
        inputs.read_covariates(path, names=["heart_rate"], train=TRAIN, visits=VISITS)
    rows = table.set_index("visit").index
    for name, first in (("ecg_own_rr_ms", 900.0), ("ecg_own_rr_sd_ms", 20.0)):
        table[name] = first + np.arange(len(rows))
    table.to_csv(path, index=False)
    found = inputs.read_covariates(path, names=["heart_rate", "age"], train=TRAIN, visits=VISITS)
    expected = [[900.0 + i, 20.0 + i] for i in map(rows.get_loc, VISITS)]
    np.testing.assert_array_equal(found[:, :2], expected)
    assert found.shape == (len(VISITS), 3)


def test_text_in_a_covariate_counts_as_missing(path: Path, table: pd.DataFrame) -> None:
    table["age"] = ["50", "60", "unknown", "70", "80", "90"]
    table.to_csv(path, index=False)
    found = inputs.read_covariates(path, names=["age"], train=TRAIN, visits=VISITS)
    np.testing.assert_array_equal(found, [[80], [50], [55]])


def test_covariates_that_are_not_there_are_named(path: Path) -> None:
    with pytest.raises(ValueError, match="has no column height"):
        inputs.read_covariates(path, names=["age", "height"], train=TRAIN, visits=VISITS)
    with pytest.raises(ValueError) as error:
        inputs.read_covariates(path, names=["ecg_axis"], train=TRAIN, visits=VISITS)
    assert str(error.value) == f"{path} has no training value of ecg_axis"


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    visits = np.array(["9000001_2", "9000002_2", "9000003_2"])
    np.savez(
        tmp_path / "a.npz",
        visits=visits,
        ecg=np.array([[1.0, 2], [3, np.nan], [5, np.inf]]),
        cmr=np.eye(3),
    )
    return tmp_path / "a.npz"


def test_rows_of_an_embedding_are_in_the_order_of_the_visits(embedding: Path) -> None:
    found = inputs.read_embedding(embedding, array="cmr", visits=["9000003_2", "9000001_2"])
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 0, 0]])
    assert found.dtype == np.float32


def test_an_embedding_that_cannot_be_used_says_why(embedding: Path) -> None:
    with pytest.raises(ValueError) as error:
        inputs.read_embedding(embedding, array="ecg_projected", visits=["9000001_2"])
    assert str(error.value) == f"{embedding} has no array ecg_projected; it has cmr, ecg, visits"
    with pytest.raises(ValueError) as error:
        inputs.read_embedding(
            embedding,
            array="cmr",
            visits=["9000001_2", "9000008_2", "9000009_2"],
        )
    assert str(error.value) == f"{embedding} lacks 2 of 3 visits: run the embedding again"
    with pytest.raises(ValueError) as error:
        inputs.read_embedding(
            embedding,
            array="ecg",
            visits=["9000001_2", "9000002_2", "9000003_2"],
        )
    assert str(error.value) == f"{embedding}, array ecg: 2 rows have values that are not finite"
    finite = inputs.read_embedding(embedding, array="ecg", visits=["9000001_2"])
    np.testing.assert_array_equal(finite, [[1, 2]])


def test_files_are_by_model_and_seed() -> None:
    found = inputs.files(
        json.dumps({"ptacl": {"1": "b.npz", "0": "a.npz"}, "global": {"0": "c.npz"}}),
    )
    assert found == {"ptacl": {0: Path("a.npz"), 1: Path("b.npz")}, "global": {0: Path("c.npz")}}
    assert list(found["ptacl"]) == [0, 1]
    assert inputs.of_model("global", embeddings=found) == {0: Path("c.npz")}
    with pytest.raises(ValueError) as error:
        inputs.of_model("mae", embeddings=found)
    assert str(error.value) == "no embeddings of mae: --embeddings only has those of global, ptacl"


@pytest.mark.parametrize(
    "text",
    ['["LVEDV", "LVEF"]', '{"names": ["LVEDV", "LVEF"], "units": ["mL", "%"]}'],
)
def test_names_are_a_list_or_below_a_key(text: str) -> None:
    assert inputs.names(text) == ["LVEDV", "LVEF"]
