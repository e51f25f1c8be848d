"""Embeddings of a run as a table with named columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ptacl import cli
from ptacl.export import export

VISITS = ["9000002_2", "9000001_2", "9000001_10", "9000003_2"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The files of a run that an export needs: three of four embedded visits are in the table."""
    private = tmp_path / "run/results/private"
    (private / "embeddings").mkdir(parents=True)
    table = pd.DataFrame(
        {
            "visit": VISITS[:3],
            "participant": [visit.partition("_")[0] for visit in VISITS[:3]],
            "instance": [2, 2, 10],
            "split": ["train", "test", "test"],
            "evaluate": [True, True, False],
            "LVEF": [60.0, 50.0, 55.0],
        }
    )
    table.to_csv(private / "participants.csv", index=False)
    numbers = np.arange(12, dtype=np.float32)
    np.savez(
        private / "embeddings/ptacl-0.npz",
        visits=np.array(VISITS),
        model=np.array("abc"),
        ecg_whole=numbers.reshape(4, 3),
        cmr=-numbers[:8].reshape(4, 2),
        ecg_phases=numbers.reshape(4, 3).astype(np.float16),
        cmr_local_still=np.zeros((4, 3), np.float16),
        ecg_local=np.zeros((1, 13, 2), np.float16),
    )
    return tmp_path / "run"


def test_one_row_per_visit_with_named_columns(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    assert export(run, model="ptacl-0", out=out) == (3, 10)
    table = pd.read_parquet(out)
    assert table.columns.tolist() == [
        *("visit", "participant", "instance", "split", "evaluate"),
        *("ecg_whole_0", "ecg_whole_1", "ecg_whole_2", "cmr_0", "cmr_1"),
    ]
    assert table["visit"].tolist() == VISITS[:3]
    assert table["instance"].tolist() == [2, 2, 10]
    assert table["split"].tolist() == ["train", "test", "test"]
    assert table["evaluate"].tolist() == [True, True, False]
    assert table.loc[1].tolist()[5:] == [3, 4, 5, -2, -3]
    described = json.loads(pq.read_schema(out).metadata[b"ptacl"])
    assert described == {
        "model": "ptacl-0",
        "digest": "abc",
        "arrays": {"ecg_whole": 3, "cmr": 2},
    }


def test_other_arrays_and_the_folder_of_the_results(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    export(run / "results", model="ptacl-0", out=out, arrays=["ecg_phases"])
    assert pd.read_parquet(out)["ecg_phases_2"].tolist() == [2, 5, 8]


def test_what_the_run_has_is_named(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.parquet"
    with pytest.raises(FileNotFoundError, match=r"has embeddings of: ptacl-0"):
        export(run, model="ptacl-1", out=out)
    with pytest.raises(ValueError, match=r"no array ecg_local .* it has ecg_whole, cmr, ecg_pha"):
        export(run, model="ptacl-0", out=out, arrays=["ecg_local"])
    with pytest.raises(FileNotFoundError, match=r"no results/private: name the folder of a run"):
        export(tmp_path, model="ptacl-0", out=out)
    with pytest.raises(ValueError, match=r"name a \.parquet file"):
        export(run, model="ptacl-0", out=tmp_path / "e.csv")
    assert not out.exists()


def test_the_command_warns(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "e.parquet"
    assert cli.main(["export", str(run), "--model", "ptacl-0", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: 3 visits, 10 columns\n"
    assert "data of individual participants" in said.err
    assert not any(visit[:7] in said.out + said.err for visit in VISITS)
