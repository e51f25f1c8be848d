"""Visits of a participant are ordered by their number: visit 2 comes before visit 10."""

from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import participants
from ptacl.cohort import flow, manifest, pairing, prepared
from ptacl.cohort.inventory import BulkFile
from ptacl.evaluation import phase_similarity
from ptacl.learning.recordings import split_participants

VISITS = ["9000001_10", "9000001_2", "9000002_1"]
IN_ORDER = ["9000001_2", "9000001_10", "9000002_1"]


def table(**columns: object) -> pd.DataFrame:
    people = [visit.partition("_")[0] for visit in VISITS]
    return pd.DataFrame({"visit": VISITS, "participant": people, "split": "test"} | columns)


def file(visit: str) -> BulkFile:
    participant, _, instance = visit.partition("_")
    return BulkFile(participant, int(instance), f"{visit}.xml", 1, None, array=0, folder=0)


def test_the_list_of_participants_is_in_the_order_of_visits(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "participants.csv", index=False)
    rows = participants.read(tmp_path / "participants.csv")
    assert rows["visit"].tolist() == IN_ORDER
    first, other = split_participants(rows, "test")
    assert rows["visit"][first].tolist() == IN_ORDER[:2]
    assert rows["visit"][other].tolist() == IN_ORDER[2:]


def test_pairs_are_in_the_order_of_visits() -> None:
    files = [file(visit) for visit in VISITS]
    found = pairing.pair(files, files, withdrawn=[], instances=[1, 2, 10])
    assert [ecg.visit for ecg, _ in found.pairs] == IN_ORDER
    alone = pairing.pair(files, [file("9000002_1")], withdrawn=[], instances=[1, 2, 10])
    assert [visit for visit, _, _ in alone.exclusions] == IN_ORDER[:2]


def test_the_first_usable_visit_is_evaluated() -> None:
    usable = prepared.Prepared(frozenset(VISITS), [], {visit: {} for visit in VISITS})
    rows = flow.join(table(), ecg=usable, cmr=usable)
    assert rows.loc[rows["evaluate"], "visit"].tolist() == ["9000001_2", "9000002_1"]
    excluded = [{"visit": visit, "reason": "", "detail": ""} for visit in VISITS]
    shards = [{"visits": [], "excluded": excluded, "quality": {}}]
    assert [row["visit"] for row in prepared.merge(shards).excluded] == IN_ORDER
    unpaired = table(modality="ecg", split="train")
    joined = flow.join_pretraining(
        rows.iloc[:0], table().iloc[:0], unpaired, usable=frozenset(VISITS), modality="ecg"
    )
    assert joined["visit"].tolist() == IN_ORDER


def test_phenotypes_are_asked_for_at_the_first_visit() -> None:
    people = [f"900000{number}" for number in range(1, 5)]
    rows = pd.DataFrame(
        {
            "visit": [f"{person}_{visit}" for person in people for visit in (10, 2)],
            "participant": np.repeat(people, 2),
            "instance": [10, 2] * 4,
            "split": np.repeat(["train", "train", "test", "test"], 2),
            "LVEF": [np.nan, 60.0] * 4,
        }
    )
    manifest._require_values(rows, ["LVEF"], unreadable={})  # at visit 2, the first


def test_alignment_reads_the_first_visit(tmp_path: Path) -> None:
    steps = np.arange(3, dtype=np.float16)[:, None, None] * np.ones((1, 4, 2), np.float16)
    valid = np.ones(3, bool)
    arrays = {
        "ecg_local": steps,
        "cmr_local": steps,
        "cmr_local_still": steps[0],
        "local_valid": valid,
    }
    np.savez(tmp_path / "e.npz", test_visits=np.array(VISITS), **arrays)
    found = phase_similarity.read(tmp_path / "e.npz")
    assert found.visits == ["9000001_2", "9000002_1"]
    np.testing.assert_array_equal(found.ecg[:, 0, 0], [1, 2])
