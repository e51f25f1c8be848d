import json
import os
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from flow_stage import BAD_CMR, BAD_ECG, VISITS, Stage, prepared

from ptacl.cohort import flow

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return prepared(tmp_path, monkeypatch)


def test_participants_are_the_visits_usable_in_both(stage: Stage, tmp_path: Path) -> None:
    stage()
    rows = pd.read_csv(tmp_path / "results/participants.csv")
    assert list(rows["visit"]) == [v for v in VISITS if v not in BAD_ECG | BAD_CMR]
    manifest = pd.read_csv(tmp_path / "cohort/manifest.csv")
    assert list(rows) == [*manifest, "evaluate"]
    assert rows["evaluate"].dtype == bool


def test_what_did_not_change_keeps_its_time(stage: Stage, tmp_path: Path) -> None:
    """Who there is and what the stores hold, for jobs to hang on: quality says nothing there,
    another array does.
    """
    stage()
    current = tmp_path / "results/current"
    assert sorted(p.name for p in current.iterdir()) == [
        "cmr",
        "ecg",
        "participants.csv",
        "visits.csv",
        "visits_cmr.csv",
        "visits_ecg.csv",
    ]
    assert list(pd.read_csv(current / "visits.csv")) == ["visit", "participant", "split"]
    assert (current / "participants.csv").read_bytes() == (
        tmp_path / "results/participants.csv"
    ).read_bytes()
    for path in current.iterdir():
        os.utime(path, (1, 1))
    stage()
    assert {p.stat().st_mtime for p in current.iterdir()} == {1}
    stage(bad_cmr=BAD_CMR | {VISITS[-1]: "unreadable file"})
    assert {p.name for p in current.iterdir() if p.stat().st_mtime > 1} == {
        "cmr",
        "participants.csv",
        "visits.csv",
        "visits_cmr.csv",
        "visits_ecg.csv",
    }


def test_first_usable_visit_is_the_one_evaluated(stage: Stage, tmp_path: Path) -> None:
    stage()
    rows = pd.read_csv(tmp_path / "results/participants.csv").set_index("visit")
    assert rows.loc["9000001_3", "evaluate"]  # its visit 2 has a bad ECG
    assert list(rows.loc[["9000002_2", "9000002_3"], "evaluate"]) == [True, False]
    assert (rows.groupby("participant")["evaluate"].sum() == 1).all()


def test_exclusions_of_all_stages(stage: Stage, tmp_path: Path) -> None:
    stage()
    rows = pd.read_csv(tmp_path / "results/exclusions.csv", keep_default_na=False)
    assert Counter(rows["stage"]) == {"cohort": 4, "ecg": 3, "cmr": 3}
    assert list(rows[rows["stage"] == "cmr"]["visit"]) == sorted(BAD_CMR)
    assert set(rows[rows["stage"] == "ecg"]["detail"]) == {"lead II, 3 of 4"}


def test_steps_add_up(stage: Stage) -> None:
    steps = stage()["steps"]
    assert [step["step"] for step in steps] == ["found", "kept", "paired", "ecg", "usable"]
    assert [step["visits"] for step in steps] == [18, 16, 15, 12, 10]
    assert [step["participants"] for step in steps] == [14, 13, 12, 10, 8]
    for before, after in pairwise(steps):
        assert before["visits"] - sum(after["excluded"].values()) == after["visits"]


def test_visit_bad_in_both_leaves_once_and_is_counted_under_both(stage: Stage) -> None:
    result = stage()
    assert result["steps"][4]["excluded"] == {
        "no short-axis cine in the file": 1,
        "wrong number of frames": 1,
    }
    assert result["exclusions"]["cmr"] == {
        "no short-axis cine in the file": 1,
        "wrong number of frames": 2,
    }
    assert result["exclusions"]["ecg"] == {"unreadable file": 1, "flat lead": 2}


def test_counts_by_split_phenotype_and_crop(stage: Stage) -> None:
    result = stage()
    assert result["splits"]["test"] == {"visits": 3, "participants": 2}
    assert result["splits"]["validation"] == {"visits": 2, "participants": 1}
    assert (
        sum(part["visits"] for part in result["splits"].values()) == result["steps"][-1]["visits"]
    )
    assert result["phenotypes"]["LVEDV"] == {"train": 5, "validation": 2, "test": 3}
    assert result["phenotypes"]["LVM"] == {"train": 4, "validation": 2, "test": 3}
    assert result["crop"] == {"motion": 2, "segmentation": 8}


def test_diagram_shows_every_count_and_no_id(stage: Stage, tmp_path: Path) -> None:
    result = stage()
    text = (tmp_path / "results/flow.svg").read_text()
    words = [element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")]
    for step in result["steps"]:
        assert words[words.index(step["title"]) + 1] == f"{step['visits']} visits"
        for reason, count in step["excluded"].items():
            expected = (
                [reason, str(count)] if reason != "withdrawn" else ["Withdrawn", f"{count} visits"]
            )
            assert words[(at := words.index(expected[0])) : at + 2] == expected
    assert words[words.index("Validation") + 1] == "2 visits"
    assert words[words.index("crop centre from motion") + 1] == "2"
    for name in ("flow.svg", "flow.json"):
        assert not re.search(r"\d{7}", (tmp_path / "results" / name).read_text())


def test_boxes_of_the_diagram_do_not_overlap_and_hold_their_text(
    stage: Stage, tmp_path: Path
) -> None:
    stage()
    root = ElementTree.fromstring((tmp_path / "results/flow.svg").read_text())
    rectangles = [
        tuple(float(r.attrib[k]) for k in ("x", "y", "width", "height"))
        for r in root.iter(f"{SVG}rect")
        if "x" in r.attrib
    ]
    assert len(rectangles) == 5 + 4 + 3
    for i, (x, y, width, height) in enumerate(rectangles):
        assert x >= 0 and x + width <= 900 and y + height <= float(root.attrib["height"])
        for u, v, other_width, other_height in rectangles[i + 1 :]:
            assert (
                x + width <= u or u + other_width <= x or y + height <= v or v + other_height <= y
            )
    for text in root.iter(f"{SVG}text"):
        at = float(text.attrib["x"]), float(text.attrib["y"])
        assert any(x < at[0] < x + w and y + 10 < at[1] < y + h for x, y, w, h in rectangles)


def test_same_input_gives_the_same_bytes(stage: Stage, tmp_path: Path) -> None:
    stage()
    before = {
        path.name: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()
    }
    stage()
    assert before == {
        path.name: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()
    }


def test_shards_that_do_not_fit_the_manifest_stop_the_stage(stage: Stage) -> None:
    with pytest.raises(ValueError, match="ecg: 1 prepared visits are not in the manifest") as error:
        stage(visits=[*VISITS, "9000020_2"])
    assert "9000020" not in str(error.value)
    with pytest.raises(ValueError, match=r"ecg: 0 .* 2 visits of the manifest are not prepared"):
        stage(visits=VISITS[2:])


def test_nothing_usable_is_still_a_diagram(stage: Stage, tmp_path: Path) -> None:
    result = stage(bad_cmr=dict.fromkeys(VISITS, "unreadable file"))
    assert result["steps"][-1]["visits"] == 0
    assert (tmp_path / "results/participants.csv").read_text().count("\n") == 1
    ElementTree.parse(tmp_path / "results/flow.svg")


def test_unpaired_visits_join_the_pre_training_of_their_modality_alone(
    stage: Stage, tmp_path: Path
) -> None:
    """Usable ones, and those of the manifest whose other modality is unusable, but nobody of the
    test split.
    """
    stage()
    alone = [
        "9000031_2,9000031,train,ecg",
        "9000032_2,9000032,validation,cmr",
        "9000033_2,9000033,train,ecg",
    ]
    (tmp_path / "cohort/unpaired.csv").write_text(
        "\n".join(["visit,participant,split,modality", *alone]) + "\n"
    )
    for k in range(2):
        for name in ("ecg", "cmr"):
            path = tmp_path / f"{name}{k}.json"
            content = json.loads(path.read_text())
            if k == 0 and name == "ecg":
                content["visits"].append("9000031_2")
                content["excluded"].append(
                    {"visit": "9000033_2", "reason": "flat lead", "detail": ""}
                )
            if k == 0 and name == "cmr":
                content["visits"].append("9000032_2")
                content["quality"]["9000032_2"] = {"crop": {"source": "motion"}}
            path.write_text(json.dumps(content))
    flow.main()
    current = tmp_path / "results/current"
    paired = pd.read_csv(current / "visits.csv")["visit"].tolist()
    lists = {m: pd.read_csv(current / f"visits_{m}.csv") for m in ("ecg", "cmr")}
    half = {
        "ecg": {"9000007_2", "9000008_2"},
        "cmr": {"9000005_2"},
    }  # the other modality is bad; 9000001 is a test participant
    assert set(lists["ecg"]["visit"]) == {*paired, "9000031_2"} | half["ecg"]
    assert set(lists["cmr"]["visit"]) == {*paired, "9000032_2"} | half["cmr"]
    assert all(table["visit"].is_monotonic_increasing for table in lists.values())
    counts = json.loads((tmp_path / "results/flow.json").read_text())
    assert counts["pretraining"] == {"ecg": 3, "cmr": 2}
    assert next(step for step in counts["steps"] if step["step"] == "usable")["visits"] == len(
        paired
    )
