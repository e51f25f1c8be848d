import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_withdrawal import store

from ptacl import config
from ptacl.cohort import manifest, shards, sources
from ptacl.cohort.inventory import BulkFile
from ptacl.exclusions import Reason

Visits = set[tuple[int, int]]


def ecgs(visits: Visits) -> list[BulkFile]:
    return [BulkFile(str(p), i, f"ecg/{p}_20205_{i}_0.xml", 10, None, 0, 0) for p, i in visits]


def cines(visits: Visits) -> list[BulkFile]:
    return [BulkFile(str(p), i, f"cmr/{p}_20209_{i}_0.zip", 20, None, 0, 0) for p, i in visits]


def pair(ecg: Visits, cine: Visits, withdrawn: frozenset[str] = frozenset()) -> manifest.Pairing:
    return manifest.pair(ecgs(ecg), cines(cine), withdrawn=withdrawn, instances=[2, 3])


@pytest.fixture(scope="module")
def settings(root: Path) -> config.Cohort:
    return config.load(root / "config.yaml").cohort


def divided(visits: Visits, settings: config.Cohort) -> pd.DataFrame:
    names = ["sex", "age", "height_cm", "weight_kg", *(p.name for p in settings.phenotypes)]
    values = pd.DataFrame(1.0, index=[f"{p}_{i}" for p, i in visits], columns=names)
    return manifest.table(
        pair(visits, visits).pairs, values, settings=settings, given={}
    ).set_index("visit")


def test_a_phenotype_that_no_first_visit_has_is_named_before_anything_is_trained(
    settings: config.Cohort,
) -> None:
    """A table of repeat visits alone: the first visits, by which participants are judged, have
    nothing.
    """
    visits = {(9000001 + i, 2) for i in range(40)} | {(9000001 + i, 3) for i in range(0, 40, 4)}
    rows = divided(visits, settings).reset_index()
    names = [p.name for p in settings.phenotypes]
    manifest._require_values(rows, names)
    rows.loc[rows["instance"] == 2, "LVM"] = None
    with pytest.raises(
        ValueError, match=r"^LVM: fewer than two of the \d+ train participants .*instances \[2\]"
    ):
        manifest._require_values(rows, names)


def test_an_ecg_pairs_with_the_cine_of_the_same_visit() -> None:
    result = pair(
        {(9000001, 2), (9000001, 3), (9000002, 2), (9000003, 2)},
        {(9000001, 3), (9000001, 2), (9000002, 3), (9000003, 2)},
    )
    assert [(e.visit, c.visit) for e, c in result.pairs] == [
        (v, v) for v in ("9000001_2", "9000001_3", "9000003_2")
    ]
    assert result.exclusions == [("9000002_2", Reason.NO_CMR, ""), ("9000002_3", Reason.NO_ECG, "")]


def test_visits_not_asked_for_are_counted_but_no_exclusion() -> None:
    result = manifest.pair(
        ecgs({(9000001, 2), (9000001, 4)}), cines({(9000001, 2)}), withdrawn=set(), instances=[2]
    )
    assert len(result.pairs) == 1 and not result.exclusions
    assert result.counts["files"]["ECG"] == {
        "files": 2,
        "duplicates": 0,
        "other_instances": 1,
        "visits": 1,
    }


def test_duplicate_is_a_note_beside_a_visit_that_stays() -> None:
    more = BulkFile("9000001", 2, "b/9000001_20205_2_1.xml", 5, None, 1, 1)
    result = manifest.pair(
        [*ecgs({(9000001, 2)}), more], cines({(9000001, 2)}), withdrawn=set(), instances=[2]
    )
    assert [e.array for e, _ in result.pairs] == [0]
    assert result.exclusions == [
        (
            "9000001_2",
            Reason.DUPLICATE_FILE,
            "ECG: array 1 of folder 2 (xml) not used, array 0 of folder 1 (xml) is",
        )
    ]
    withdrawn = manifest.pair(
        [*ecgs({(9000001, 2)}), more], cines({(9000001, 2)}), withdrawn={"9000001"}, instances=[2]
    )
    assert (
        not withdrawn.exclusions
        and withdrawn.counts["excluded"][Reason.WITHDRAWN.value]["visits"] == 1
    )


participants = st.sets(st.integers(9000001, 9000400), min_size=1, max_size=40)


@given(
    ecg=st.sets(st.tuples(st.integers(9000001, 9000020), st.integers(2, 3))),
    cine=st.sets(st.tuples(st.integers(9000001, 9000020), st.integers(2, 3))),
    withdrawn=st.frozensets(st.integers(9000001, 9000020).map(str), max_size=5),
)
def test_every_visit_is_a_pair_or_an_exclusion_and_the_counts_add_up(
    ecg: Visits, cine: Visits, withdrawn: frozenset[str]
) -> None:
    result = pair(ecg, cine, withdrawn)
    paired, left = {e.visit for e, _ in result.pairs}, [visit for visit, _, _ in result.exclusions]
    assert sorted([*paired, *left]) == sorted(
        f"{p}_{i}" for p, i in ecg | cine if str(p) not in withdrawn
    )
    assert paired == {f"{p}_{i}" for p, i in ecg & cine if str(p) not in withdrawn}
    assert result.counts["found"]["visits"] == len(ecg | cine)
    gone = sum(count["visits"] for count in result.counts["excluded"].values())
    assert (
        result.counts["found"]["visits"] - gone == result.counts["paired"]["visits"] == len(paired)
    )


@given(some=participants, others=participants)
def test_split_and_shard_stay_when_participants_come_or_go(
    settings: config.Cohort, some: set[int], others: set[int]
) -> None:
    few = divided({(p, i) for p in some for i in (2, 3)}, settings)
    many = divided({(p, i) for p in some | others for i in (2, 3)}, settings)
    pd.testing.assert_frame_equal(few[["split", "shard"]], many.loc[few.index, ["split", "shard"]])
    assert (few.groupby("participant")[["split", "shard"]].nunique() == 1).all(axis=None)


def test_shares_of_the_splits_and_shards(settings: config.Cohort) -> None:
    rows = divided({(p, 2) for p in range(9000001, 9008001)}, settings)
    shares = rows["split"].value_counts(normalize=True)
    assert abs(shares["test"] - settings.test_fraction) < 0.02
    assert abs(shares["validation"] - settings.validation_fraction) < 0.02
    in_shards = rows["shard"].value_counts(normalize=True)
    assert (
        set(in_shards.index) == set(range(settings.shards))
        and in_shards.max() < 1.1 / settings.shards
    )


def test_share_of_validation_does_not_move_the_test_set(settings: config.Cohort) -> None:
    visits = {(p, 2) for p in range(9000001, 9000501)}
    more = settings.model_copy(update={"validation_fraction": 0.4})
    assert (
        (divided(visits, settings)["split"] == "test") == (divided(visits, more)["split"] == "test")
    ).all()
    assert (divided(visits, more)["split"] == "validation").sum() > (
        divided(visits, settings)["split"] == "validation"
    ).sum()


def test_shard_lists_hold_every_pair_once_in_the_shard_of_its_participant() -> None:
    pairs = pair(
        {(p, i) for p in range(9000001, 9000101) for i in (2, 3)},
        {(p, 2) for p in range(9000001, 9000101)},
    ).pairs
    texts = shards.shard_lists(pairs, shards=5, version="v")
    rows = [
        {**row, "shard": k}
        for k, text in enumerate(texts)
        for row in csv.DictReader(text.splitlines())
    ]
    assert sorted(row["visit"] for row in rows) == [e.visit for e, _ in pairs]
    assert all(shards.place(str(row["visit"])[:7], shards=5) == row["shard"] for row in rows)
    assert {
        (row["ecg_bytes"], row["cmr_bytes"], row["segmentation"], row["version"]) for row in rows
    } == {("10", "20", "", "v")}


def test_only_lists_that_change_are_written_again(tmp_path: Path) -> None:
    visits = {(p, 2) for p in range(9000001, 9000041)}
    assert (
        shards.write_shard_lists(
            tmp_path, shards.shard_lists(pair(visits, visits).pairs, shards=4, version="")
        )
        == 4
    )
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    more = visits | {(9000041, 2)}
    changed = shards.place("9000041", shards=4)
    assert (
        shards.write_shard_lists(
            tmp_path, shards.shard_lists(pair(more, more).pairs, shards=4, version="")
        )
        == 1
    )
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_mtime != 1} == {
        f"{changed}.csv"
    }
    assert (
        shards.write_shard_lists(
            tmp_path, shards.shard_lists(pair(more, more).pairs, shards=2, version="")
        )
        == 2
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.csv", "1.csv"]


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
    with pytest.raises(ValueError, match="ids differ between UK Biobank applications"):
        stage()


def test_files_that_do_not_pair_are_explained(stage: Callable[..., dict[str, bytes]]) -> None:
    with pytest.raises(
        ValueError, match=r"no visit has both .*25 ECG and 25 cine files.*cohort\.instances"
    ):
        stage(instances=[3])


def test_simulated_source_needs_its_folder(settings: config.Cohort) -> None:
    with pytest.raises(ValueError, match="--simulated-summary"):
        sources.locate(settings, simulated=None, summary=None)


def test_shard_lists_keep_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"/bulk/caf\xe9/9000001_20205_2_0.xml")
    assert shards.write_shard_lists(tmp_path, [f"visit,ecg\n9000001_2,{name}\n"]) == 1
    with (tmp_path / "0.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        assert name in file.read()
    assert shards.write_shard_lists(tmp_path, [f"visit,ecg\n9000001_2,{name}\n"]) == 0
