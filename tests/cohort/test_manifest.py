import csv
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptacl import config
from ptacl.cohort import manifest, shards
from ptacl.cohort.inventory import BulkFile
from ptacl.exclusions import Reason

Visits = set[tuple[int, int]]


def ecgs(visits: Visits) -> list[BulkFile]:
    return [BulkFile(str(p), i, f"ecg/{p}_20205_{i}_0.xml", 10, None, 0, 0) for p, i in visits]


def cines(visits: Visits) -> list[BulkFile]:
    return [BulkFile(str(p), i, f"cmr/{p}_20209_{i}_0.zip", 20, None, 0, 0) for p, i in visits]


def pair(ecg: Visits, cine: Visits, withdrawn: frozenset[str] = frozenset()) -> manifest.Pairing:
    return manifest.pair(ecgs(ecg), cines(cine), withdrawn=withdrawn, instances=[2, 3])


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
    manifest._require_values(rows, names, unreadable={})
    rows.loc[rows["instance"] == 2, "LVM"] = None
    with pytest.raises(
        ValueError, match=r"^LVM: fewer than two of the \d+ train participants .*instances \[2\]"
    ):
        manifest._require_values(rows, names, unreadable={})


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


def test_shard_lists_keep_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"/bulk/caf\xe9/9000001_20205_2_0.xml")
    assert shards.write_shard_lists(tmp_path, [f"visit,ecg\n9000001_2,{name}\n"]) == 1
    with (tmp_path / "0.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        assert name in file.read()
    assert shards.write_shard_lists(tmp_path, [f"visit,ecg\n9000001_2,{name}\n"]) == 0
