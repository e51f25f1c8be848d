"""The whole pipeline at its smallest, in a copy of the project: every target, nothing to do the
second time, and for each kind of
change exactly the stages that depend on it."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project import Project, rules
from tables import wide

pytestmark = pytest.mark.pipeline

TARGETS = [
    "results/report.html",
    "results/tables/summary.md",
    *[
        f"results/tables/{table}.{form}"
        for table in ("regression", "retrieval", "outcomes")
        for form in ("csv", "tex")
    ],
    *[f"results/figures/alignment.{form}" for form in ("svg", "png")],
    *[f"results/cohort/flow.{form}" for form in ("json", "svg")],
]
REPORT = {"tables", "outcome_table", "page"}


def test_every_target_is_there(finished: Project) -> None:
    for target in TARGETS:
        assert (finished.folder / target).stat().st_size > 0, target
    regression = wide(pd.read_csv(finished.folder / "results/tables/regression.csv"))
    assert {"LVEDV_R2", "LVEDV_R2_low", "LVEDV_R2_high", "RVEF_R2"} <= set(regression.columns)
    retrieval = wide(pd.read_csv(finished.folder / "results/tables/retrieval.csv"))
    assert {"LVEF_P@1", "LVEF_P@1_low", "LVEF_P@1_high", "LVM_MnR", "LVM_MdR"} <= set(
        retrieval.columns
    )
    assert len(list((finished.folder / "results/benchmarks").rglob("*.tsv"))) >= 15


def test_second_run_does_nothing_and_says_so_quickly(finished: Project) -> None:
    start = time.monotonic()
    text = finished.snakemake("--cores", "2")
    assert "Nothing to be done" in text
    assert time.monotonic() - start < 15


def test_nothing_outside_private_holds_a_participant(finished: Project) -> None:
    files = (finished.folder / "results/private/simulated").rglob("*_20*")
    participants = {p.name[:7] for p in files if p.name[:7].isdecimal()}
    assert len(participants) == 30
    ids = re.compile(
        rb"(?<![0-9.])(?:%s)(?![0-9])" % "|".join(participants).encode()
    )  # not the digits of a longer number
    shared = [
        p
        for p in (finished.folder / "results").rglob("*")
        if p.is_file() and "private" not in p.relative_to(finished.folder).parts
    ]
    assert len(shared) > 20
    assert not [str(p) for p in shared if ids.search(p.read_bytes())]


def test_flow_counts_every_file(finished: Project) -> None:
    exclusions = pd.read_csv(finished.folder / "results/private/exclusions.csv")
    assert {"ecg", "cmr"} <= set(exclusions.stage) and exclusions.reason.notna().all()
    flow = json.loads((finished.folder / "results/cohort/flow.json").read_text())
    steps = {step["step"]: step for step in flow["steps"]}
    usable = len(pd.read_csv(finished.folder / "results/private/participants.csv"))
    assert (
        steps["usable"]["visits"]
        == usable
        == sum(split["visits"] for split in flow["splits"].values())
    )
    assert (
        steps["paired"]["visits"] - usable
        == exclusions[exclusions.stage != "cohort"].visit.nunique()
    )


def test_snakemake_report_is_made(finished: Project) -> None:
    finished.snakemake("--report", "snakemake-report.html")
    assert (finished.folder / "snakemake-report.html").stat().st_size > 100_000


def test_retrieval_setting_reruns_retrieval_alone(project: Project) -> None:
    project.configure(retrieval={"band": 0.4})
    assert rules(project.planned()) - REPORT == {"retrieval"}


def test_learning_rate_of_one_model_reruns_what_hangs_on_it(project: Project) -> None:
    project.configure(models={"ptacl": {"training": {"learning_rate": 5.0e-4}}})
    jobs = project.planned()
    assert [j for j in jobs if j.split()[0] in ("train", "embed")] == [
        "embed ptacl 0",
        "embed ptacl_centred 0",
        "train ptacl 0",
        "train ptacl_centred 0",
    ]
    tables = {"regression", "labels", "retrieval", "alignment", "risks", "saved_risks"}
    assert rules(jobs) - REPORT == {"train", "embed", "probe"} | tables


def test_a_disease_retrains_nothing(project: Project) -> None:
    project.configure(outcomes={"diseases": [{"name": "AF", "fields": [131350]}]})
    of_diseases = {"outcomes", "risks", "saved_risks", "outcome_table"}
    assert rules(project.planned()) == {*of_diseases, "page"}


def test_embeddings_need_no_table(project: Project) -> None:
    project.configure(models={"ptacl": {"training": {"learning_rate": 5.0e-4}}})
    assert rules(project.jobs("--dry-run", "embeddings")) == {"train", "embed"}


def test_comment_reruns_nothing(project: Project) -> None:
    path = project.folder / "src/ptacl/ecg/denoise.py"
    path.write_text("# a remark\n" + path.read_text() + "\n\n# another\n")
    os.utime(project.folder / "config.yaml")
    assert project.planned() == []


@pytest.fixture(scope="module")
def bulk(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that reads folders of files, as a true cohort would, prepared up to the list of
    participants.
    """
    project = Project(tmp_path_factory.mktemp("bulk"))
    data = project.folder / "data"
    shutil.copytree(finished.folder / "results/private/simulated", data)
    (project.folder / "withdrawn.csv").write_text("")
    project.configure(
        cohort={
            "source": "files",
            "ecg_folders": ["data/ecg", "data/Bulk/Electrocardiogram/Resting"],
            "cmr_folders": ["data/nifti", "data/Bulk/Heart MRI/Short axis"],
            "phenotype_tables": ["data/phenotypes/table_exporter.csv"],
            "withdrawals": ["withdrawn.csv"],
            "shards": 4,
        }
    )
    project.snakemake("--cores", "2", "data")
    return project


def prepared(jobs: list[str]) -> list[str]:
    return [j for j in jobs if j.startswith("prepare")]


def test_one_more_participant_reruns_the_shards_that_gain_it(bulk: Project) -> None:
    nifti = next(
        p for p in sorted((bulk.folder / "data/nifti").iterdir()) if (p / "seg_sa.nii.gz").is_file()
    )
    ecg = next(iter(sorted((bulk.folder / "data/ecg").iterdir())))
    time.sleep(1.1)
    shutil.copytree(nifti, nifti.with_name("9100001_20209_2_0"))
    shutil.copy(ecg, ecg.with_name("9100001_20205_2_0.xml"))
    jobs = bulk.jobs("--cores", "2", "data")
    shard = next(
        p.stem
        for p in (bulk.folder / "results/private/cohort/shards").iterdir()
        if "9100001_2" in p.read_text()
    )
    assert prepared(jobs) == [f"prepare_cmr {shard}", f"prepare_ecg {shard}"]


def test_withdrawal_reruns_the_shards_that_lose_it_and_leaves_nothing(bulk: Project) -> None:
    participants = pd.read_csv(bulk.folder / "results/private/participants.csv", dtype=str)
    gone = participants.iloc[0]
    orphan = bulk.folder / "results/private/embeddings/old-0.npz"
    orphan.parent.mkdir()
    np.savez(orphan, visits=participants.visit.to_numpy(str))
    example = bulk.folder / "results/private/alignment_example.png"
    example.write_bytes(b"of somebody")
    time.sleep(1.1)
    (bulk.folder / "withdrawn.csv").write_text(gone.participant + "\n")
    jobs = bulk.jobs("--cores", "2", "data")
    assert prepared(jobs) == [f"prepare_cmr {gone.shard}", f"prepare_ecg {gone.shard}"]
    left = [p for p in (bulk.folder / "results").rglob("*") if p.is_file()]
    assert not orphan.exists() and not example.exists()
    assert not [str(p) for p in left if gone.participant.encode() in p.read_bytes()]
    assert bulk.jobs("--cores", "2", "data") == []


def test_a_cohort_of_another_origin_runs_from_one_table(
    finished: Project, tmp_path: Path, real_data: Path
) -> None:
    """Simulated pairs under other names, next to real ECGs in WFDB without a cine; own phenotypes
    and a split.
    """
    project = Project(tmp_path / "other")
    shards = [
        pd.read_csv(p, dtype=str)
        for p in sorted((finished.folder / "results/private/cohort/shards").glob("*.csv"))
    ]
    files = pd.concat(shards).set_index("visit")
    known = pd.read_csv(finished.folder / "results/private/participants.csv", dtype=str).set_index(
        "visit"
    )
    rows = [
        {
            "participant": f"site-{number}",
            "visit": 1,
            "ecg": str(finished.folder / files.loc[visit, "ecg"]),
            "cine": str(finished.folder / files.loc[visit, "cmr"]),
            "split": ("train", "validation", "test")[number % 3],
            "Ejection": known.loc[visit, "LVEF"],
            "Mass": known.loc[visit, "LVM"],
        }
        for number, visit in enumerate(known.index)
    ]
    wfdb = sorted((real_data / "ecg" / "cinc2021").glob("E*.hea"))
    rows += [{"participant": path.stem, "visit": 1, "ecg": str(path)} for path in wfdb]
    pd.DataFrame(rows).to_csv(project.folder / "cohort.csv", index=False)
    phenotypes = [
        {"name": "Ejection", "unit": "%", "low": 5, "high": 90},
        {"name": "Mass", "unit": "g", "low": 20, "high": 400},
    ]
    project.configure(
        cohort={
            "source": "table",
            "table": "cohort.csv",
            "phenotypes": phenotypes,
        }
    )
    project.configure(cohort={"unpaired": "pretrain"})
    project.snakemake("--cores", "2", "data", "results/models/ecg_mae-0/model.safetensors")
    usable = pd.read_csv(project.folder / "results/private/participants.csv", dtype=str)
    assert len(usable) == len(known) and set(usable["participant"]) == {
        row["participant"] for row in rows[: len(known)]
    }
    assert usable.set_index("participant")["split"].to_dict() == {
        row["participant"]: row["split"] for row in rows[: len(known)]
    }
    assert usable["Ejection"].notna().any() and "LVEF" not in usable
    excluded = pd.read_csv(project.folder / "results/private/exclusions.csv", dtype=str)
    assert (excluded["reason"] == "no cine of this visit").sum() == len(wfdb)
    flow = json.loads((project.folder / "results/cohort/flow.json").read_text())
    joined = pd.read_csv(
        project.folder / "results/private/cohort/current/visits_ecg.csv", dtype=str
    )
    more = joined[~joined["visit"].isin(usable["visit"])]
    assert flow["pretraining"]["ecg"] == len(more) >= 4 and {p.stem for p in wfdb} & set(
        more["participant"]
    )
    assert "test" not in set(more["split"]) and not set(more["participant"]) & set(
        usable["participant"]
    )
    samples = int((joined["split"] == "train").sum())
    assert (
        f"{samples} training" in (project.folder / "results/logs/train/ecg_mae-0.log").read_text()
    )
    assert project.planned() != [] and project.jobs("--cores", "2", "data") == []
