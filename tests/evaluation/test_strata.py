from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptacl.evaluation import strata
from ptacl.evaluation.probes import r2

BANDS = {
    "below 55 years": [45, 54, 54.9],
    "55 to 64 years": [55, 60, 64, 64.9],
    "65 years and above": [65, 66, 82],
}


@pytest.mark.parametrize(("band", "age"), [(band, age) for band in BANDS for age in BANDS[band]])
def test_each_age_is_in_one_band_only(tmp_path: Path, band: str, age: float) -> None:
    """The limits too: somebody aged 55 is not also below 55."""
    numbers = range(9000001, 9000001 + strata.LEAST)
    table = pd.DataFrame({"participant": numbers, "age": age, "split": "test"})
    table["visit"] = [f"{number}_2" for number in numbers]
    table.to_csv(tmp_path / "participants.csv", index=False)
    found = strata.read(tmp_path / "participants.csv", visits=table["visit"].tolist())
    assert list(found) == [band]
    assert np.all(found[band])


@pytest.mark.parametrize("number", [strata.LEAST - 1, strata.LEAST])
def test_a_group_of_fewer_than_ten_is_left_out(tmp_path: Path, number: int) -> None:
    table = pd.DataFrame({"participant": range(9000001, 9000031), "split": "test"})
    table["sex"] = np.where(np.arange(30) < number, 0, 1)
    table["visit"] = [f"{participant}_2" for participant in table["participant"]]
    table.to_csv(tmp_path / "participants.csv", index=False)
    found = strata.read(tmp_path / "participants.csv", visits=table["visit"].tolist())
    assert list(found) == (["women", "men"] if number == 10 else ["men"])
    assert found["men"].sum() == 30 - number


def test_a_table_without_sex_and_age_has_no_groups(tmp_path: Path) -> None:
    table = pd.DataFrame({"visit": ["9000001_2"], "participant": ["9000001"], "split": ["test"]})
    table.to_csv(tmp_path / "participants.csv", index=False)
    assert strata.read(tmp_path / "participants.csv", visits=["9000001_2"]) == {}


def test_r2_of_a_group_is_about_the_mean_of_the_group() -> None:
    """Predictions are exact for women, and for men the mean of the targets: R² 1 and 0."""
    targets = np.array([[1.0], [2], [3], [1], [2], [3]])
    predictions = np.array([[1.0], [2], [3], [2], [2], [2]])
    groups = {"women": np.arange(6) < 3, "men": np.arange(6) >= 3}
    counts = np.ones((3, 6))

    def measured(predicted: np.ndarray, members: np.ndarray) -> dict[str, np.ndarray]:
        found = r2(targets[members], predicted[members], counts=counts[:, members])
        return {"R2": found, "people": np.full(3, members.sum())}

    women = strata.estimate(measured, [predictions], members=groups["women"], seeds=[0])
    men = strata.estimate(measured, [predictions], members=groups["men"], seeds=[0])
    assert women["R2"].values.tolist() == [[[1.0]] * 3]
    assert men["R2"].values.tolist() == [[[0.0]] * 3]
    assert men["people"].values.tolist() == [[3.0] * 3]
    assert men["R2"].participants == 3
