"""A small cohort with bad recordings, and the stage that counts who is left."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storage import NO_LIMITS

from ptacl.cohort import flow
from ptacl.report import flow as drawing

Stage = Callable[..., dict[str, Any]]

# visits 9000001_2 to 9000012_2, the first three participants also with a visit 3
VISITS = sorted([f"90000{k:02}_2" for k in range(1, 13)] + [f"90000{k:02}_3" for k in range(1, 4)])
SPLIT = {
    "90000" + f"{k:02}": "test" if k in (1, 2) else "validation" if k == 3 else "train"
    for k in range(1, 13)
}
BAD_ECG = {"9000001_2": "flat lead", "9000005_2": "flat lead", "9000006_2": "unreadable file"}
BAD_CMR = {
    "9000006_2": "wrong number of frames",
    "9000007_2": "no short-axis cine in the file",
    "9000008_2": "wrong number of frames",
}
NO_MASS = "9000009_2"


def shard(visits: list[str], bad: dict[str, str], *, cine: bool) -> dict[str, Any]:
    usable = [v for v in visits if v not in bad]
    source = {v: "motion" if v in ("9000010_2", "9000011_2") else "segmentation" for v in usable}
    quality = {
        v: {"crop": {"row": 1, "col": 2, "source": source[v]}} if cine else {"heart_rate_bpm": 60}
        for v in usable
    }
    excluded = [
        {"visit": v, "reason": bad[v], "detail": "lead II, 3 of 4"} for v in visits if v in bad
    ]
    return {"visits": usable, "excluded": excluded, "quality": quality}


def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Write the outputs of the stages before this one, and return a function that runs it and
    returns flow.json.
    """
    folder = tmp_path / "cohort"
    folder.mkdir()
    lines = [
        f"{v},{v[:7]},{v[8]},{SPLIT[v[:7]]},0,1,61.0,,,100.5,{'' if v == NO_MASS else 90.0}"
        for v in VISITS
    ]
    header = "visit,participant,instance,split,shard,sex,age,height_cm,weight_kg,LVEDV,LVM"
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n")
    unpaired = [
        "9000020_2,cohort,withdrawn,",
        "9000020_3,cohort,withdrawn,",
        "9000021_2,cohort,no cine of this visit,",
    ]
    unpaired += ['9000004_2,cohort,several files for one visit,"cine: array 1, not used"']
    (folder / "exclusions.csv").write_text(
        "\n".join(["visit,stage,reason,detail", *unpaired]) + "\n"
    )
    files = {"ECG": {"files": 19, "duplicates": 0, "other_instances": 1, "visits": 18}}
    files |= {"cine": {"files": 18, "duplicates": 1, "other_instances": 0, "visits": 17}}
    excluded = {
        "withdrawn": {"visits": 2, "participants": 1},
        "no ECG of this visit": {"visits": 0, "participants": 0},
    }
    excluded |= {"no cine of this visit": {"visits": 1, "participants": 1}}
    summary = {
        "files": files,
        "found": {"visits": 18, "participants": 14},
        "paired": {"visits": 15, "participants": 12},
    }
    summary |= {
        "excluded": excluded,
        "tables": {"implausible": {"LVM": 1}, "inconsistent": {"LV": 0, "RV": 0}},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "unpaired.csv").write_text("visit,participant,split,modality\n")

    def run(
        *, visits: list[str] = VISITS, bad_cmr: dict[str, str] = BAD_CMR, smallest: int = 0
    ) -> dict[str, Any]:
        for k in range(2):
            for name, bad in (("ecg", BAD_ECG), ("cmr", bad_cmr)):
                (tmp_path / f"{name}{k}.json").write_text(
                    json.dumps(shard(visits[k::2], bad, cine=name == "cmr"))
                )
        arguments = ["--manifest", str(folder), "--storage", NO_LIMITS]
        arguments += ["--smallest-count", str(smallest)]
        for name in ("ecg", "cmr"):
            arguments += [f"--{name}", *(str(tmp_path / f"{name}{k}.json") for k in (1, 0))]
        for name in ("participants.csv", "current", "exclusions.csv", "flow.json"):
            option = {"flow.json": "json"}.get(name, name.removesuffix(".csv"))
            arguments += [f"--{option}", str(tmp_path / "results" / name)]
        monkeypatch.setattr(sys, "argv", ["flow", *arguments])
        flow.main()
        drawn = [
            "--flow",
            str(tmp_path / "results/flow.json"),
            "--out",
            str(tmp_path / "results/flow.svg"),
        ]
        monkeypatch.setattr(sys, "argv", ["flow", *drawn])
        drawing.main()
        monkeypatch.setattr(sys, "argv", ["flow", *arguments])
        return dict(json.loads((tmp_path / "results/flow.json").read_text()))

    return run
