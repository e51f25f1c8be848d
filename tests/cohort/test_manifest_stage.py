"""The stage that writes the manifest: its files, and what changes them."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from storage import NO_LIMITS
from test_withdrawal import store

from ptacl import config
from ptacl.cohort import manifest, shards, sources

PHENOTYPES = ",".join(f"{field}-2.0" for field in range(24100, 24110))


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    """A small tree in the layout of the simulated cohort; the participants 9000011 to 9000030 have
    both files.
    """
    folder = tmp_path / "simulated"
    for k in range(1, 31):
        eid = str(9000000 + k)
        ecg = (
            f"ecg/{eid}_20205_2_0.xml"
            if k % 2
            else f"Bulk/Electrocardiogram/Resting/90/{eid}_20205_2_0.xml"
        )
        cine = (
            f"nifti/{eid}_20209_2_0/sa.nii.gz"
            if k % 3
            else f"Bulk/Heart MRI/Short axis/90/{eid}_20209_2_0.zip"
        )
        for name in [ecg] * (k > 5) + [cine] * (k <= 5 or k > 10):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x" * k)
    (folder / "phenotypes").mkdir()
    rows = [
        f"{9000000 + k},{k % 2},61,150,60,90,60,5,{80 + k},160,70,90,56.25" for k in range(1, 30)
    ]
    (folder / "phenotypes/ukbconv.csv").write_text(
        "\n".join([f"eid,31-0.0,21003-2.0,{PHENOTYPES}", *rows]) + "\n"
    )
    (folder / "withdrawals").mkdir()
    (folder / "withdrawals/w00000_20260101.csv").write_text("9000012\n9000001\n9999999\n")
    summary = {"version": "1", "seed": 0, "settings": {"participants": 30, "zip_fraction": 0.3}}
    (tmp_path / "simulated.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def stage(
    simulated: Path, settings: config.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, bytes]]:
    """Run the stage as the workflow does; returns the bytes of what it wrote."""

    def run(**changes: object) -> dict[str, bytes]:
        text = config.dump(settings.model_copy(update=changes))
        arguments = [
            "--settings",
            text,
            "--storage",
            NO_LIMITS,
            "--out",
            str(tmp_path / "out"),
            "--stores",
            str(tmp_path / "ecg"),
            str(tmp_path / "cmr"),
        ]
        arguments += [
            "--simulated",
            str(simulated),
            "--simulated-summary",
            str(tmp_path / "simulated.json"),
        ]
        monkeypatch.setattr(sys, "argv", ["manifest", *arguments])
        manifest.main()
        return {
            str(p.relative_to(tmp_path / "out")): p.read_bytes()
            for p in (tmp_path / "out").rglob("*.*")
        }

    return run


def test_stage_writes_manifest_exclusions_summary_and_lists(
    stage: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    written = stage()
    assert set(written) == {
        "manifest.csv",
        "unpaired.csv",
        "exclusions.csv",
        "summary.json",
        *(f"shards/{k}.csv" for k in range(4)),
    }
    rows = pd.read_csv(tmp_path / "out/manifest.csv", dtype={"participant": str}).set_index(
        "participant"
    )
    assert list(rows.index) == [str(9000000 + k) for k in range(11, 31) if k != 12]
    assert rows.loc["9000011", ["sex", "age", "LVEDV", "LVM", "RVEF"]].to_list() == [
        1,
        61,
        150,
        91,
        56.25,
    ]
    assert rows.loc["9000030", "sex":].isna().all()
    excluded = pd.read_csv(tmp_path / "out/exclusions.csv", keep_default_na=False)
    assert list(excluded) == ["visit", "stage", "reason", "detail"]
    counts = excluded["reason"].value_counts().to_dict()
    assert counts == {"no ECG of this visit": 4, "no cine of this visit": 5}
    summary = json.loads(written["summary.json"])
    assert (
        summary["found"] == {"visits": 30, "participants": 30}
        and summary["withdrawals_listed"] == 3
    )
    listed = [
        row
        for k in range(4)
        for row in csv.DictReader(written[f"shards/{k}.csv"].decode().splitlines())
    ]
    assert sorted(row["visit"] for row in listed) == sorted(rows["visit"])
    assert all(
        int(row["ecg_bytes"]) == os.path.getsize(row["ecg"]) == int(row["cmr_bytes"])
        for row in listed
    )


def test_same_input_gives_the_same_bytes(stage: Callable[..., dict[str, bytes]]) -> None:
    assert stage() == stage()


def test_withdrawal_changes_the_lists_of_its_shard_alone_and_appears_nowhere(
    stage: Callable[..., dict[str, bytes]], simulated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = stage()
    (simulated / "withdrawals/w00000_20260201.csv").write_text("9000020\n")
    with caplog.at_level("INFO"):
        after = stage()
    changed = {name for name in before if name.startswith("shards") and before[name] != after[name]}
    assert changed == {f"shards/{shards.place('9000020', shards=4)}.csv"}
    assert [name for name, content in after.items() if b"9000020" in content] == []
    assert "9000020" not in caplog.text


def test_fewer_shards_leave_neither_lists_nor_stores(
    stage: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    stage()
    for k in range(4):
        store(tmp_path / "ecg", k, visits=[], excluded=[])
    assert {name for name in stage(shards=2) if name.startswith("shards")} == {
        "shards/0.csv",
        "shards/1.csv",
    }
    assert sorted(p.name for p in (tmp_path / "ecg").iterdir()) == [
        "0",
        "0.json",
        "0.png",
        "1",
        "1.json",
        "1.png",
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"participants": 40}, True),
        ({"zip_fraction": 0.5}, False),
        ({"seed": 1}, False),
        ({"version": "2"}, False),
    ],
)
def test_lists_change_with_the_simulation_but_not_with_its_size(
    change: dict[str, object], same: bool, stage: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    before = stage()
    summary = json.loads((tmp_path / "simulated.json").read_text())
    for name, value in change.items():
        (summary if name in summary else summary["settings"])[name] = value
    (tmp_path / "simulated.json").write_text(json.dumps(summary))
    after = stage()
    assert (before["shards/0.csv"] == after["shards/0.csv"]) is same


def test_folders_of_the_settings_give_the_same_manifest(
    stage: Callable[..., dict[str, bytes]], simulated: Path, tmp_path: Path
) -> None:
    by_simulation = stage()
    by_files = stage(
        source="files",
        ecg_folders=[str(simulated / "ecg"), str(simulated / "Bulk/Electrocardiogram/Resting")],
        cmr_folders=[str(simulated / "nifti"), str(simulated / "Bulk/Heart MRI/Short axis")],
        phenotype_tables=[str(simulated / "phenotypes/ukbconv.csv")],
        withdrawals=[str(simulated / "withdrawals/w00000_20260101.csv")],
    )
    assert by_files["manifest.csv"] == by_simulation["manifest.csv"]
    assert by_files["exclusions.csv"] == by_simulation["exclusions.csv"]


def test_purge_comes_before_anything_that_can_fail(
    stage: Callable[..., dict[str, bytes]], simulated: Path, tmp_path: Path
) -> None:
    store(tmp_path / "ecg", 0, visits=["9000012_2"], excluded=[])
    (simulated / "phenotypes/ukbconv.csv").write_text("eid\n9000001\n")
    with pytest.raises(ValueError, match="ukbconv"):
        stage()
    assert not any((tmp_path / "ecg").iterdir())


def test_ids_of_another_application_are_explained(
    stage: Callable[..., dict[str, bytes]], simulated: Path
) -> None:
    table = simulated / "phenotypes/ukbconv.csv"
    table.write_text(table.read_text().replace("90000", "90010"))
    with pytest.raises(ValueError, match="UK Biobank application, because ids differ"):
        stage()


def test_files_that_do_not_pair_are_explained(stage: Callable[..., dict[str, bytes]]) -> None:
    with pytest.raises(
        ValueError, match=r"no visit has both .*25 of instance 2.*cohort\.instances, which is \[3\]"
    ):
        stage(instances=[3])


def test_simulated_source_needs_its_folder(settings: config.Cohort) -> None:
    with pytest.raises(ValueError, match="--simulated-summary"):
        sources.locate(settings, simulated=None, summary=None)
