"""What a change reruns in a copy of a finished project, which is then run: a setting, a line of
code, a kill, another method.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from project import ROOT, Project, merge, rules
from tables import wide

pytestmark = pytest.mark.pipeline


def test_phenotypes_retrain_nothing_in_the_same_command(scratch: Project) -> None:
    """Another plausible range changes the phenotypes of the table; who is trained on stays as it
    was.
    """
    phenotypes = yaml.safe_load((scratch.folder / "config.yaml").read_text())["cohort"][
        "phenotypes"
    ]
    scratch.configure(
        cohort={
            "phenotypes": [
                p | {"high": p["high"] - (25 if p["unit"] == "%" else 0)} for p in phenotypes
            ]
        }
    )
    jobs = scratch.jobs("--cores", "2")
    assert rules(jobs) == {
        "manifest",
        "flow",
        "flow_figure",
        "probe",
        "regression",
        "labels",
        "risks",
        "saved_risks",
        "outcome_table",
        "retrieval",
        "tables",
        "page",
    }
    assert scratch.planned() == []


def test_a_line_that_changes_no_signal_stops_at_the_stores(scratch: Project) -> None:
    """The ECGs are prepared again, and are what they were: nothing that reads them runs."""
    path = scratch.folder / "src/ptacl/ecg/denoise.py"
    path.write_text(path.read_text() + "\n\n_CHANGED = 1\n")
    assert scratch.jobs("--cores", "2") == ["flow", "prepare_ecg 0", "prepare_ecg 1"]
    assert scratch.planned() == []


def test_other_ecgs_leave_what_cines_alone_decide(scratch: Project) -> None:
    """In one command: all that saw an ECG, and nothing of the CMR autoencoder.

    Rows of the tables change with it, and the tables wait for the new embeddings all the same.
    """
    rows = yaml.safe_load((scratch.folder / "config.yaml").read_text())
    few = {table: {"rows": rows[table]["rows"][:1]} for table in ("retrieval", "alignment")}
    arms = ("ptacl", "ptacl_centred")
    main = [row for row in rows["regression"]["rows"] if row.get("model") not in arms]
    scratch.configure(ecg={"wavelet": {"zeroed": ["A8", "D1"]}}, regression={"rows": main}, **few)
    jobs = scratch.jobs("--cores", "2")
    ran = {j for j in jobs if j.split()[0] in ("train", "embed", "prepare_cmr")}
    seen = ["ecg_mae", "global", "global_retrieval"]
    assert ran == {f"{rule} {m} 0" for rule in ("train", "embed") for m in seen} | {
        "embed ecg_random 0"
    }
    assert {"regression", "retrieval", "alignment", "page"} <= rules(
        jobs
    ) and scratch.planned() == []


def test_setting_that_only_the_stores_show_reruns_what_reads_them(scratch: Project) -> None:
    scratch.configure(cmr={"clip_percentiles": [1, 99]})
    scratch.snakemake("data", "--cores", "2")
    assert {"train cmr_mae 0", "train global 0"} <= set(scratch.planned())


def test_interrupted_training_goes_on_where_it_was(scratch: Project) -> None:
    """A killed training leaves its checkpoints, which no rule declares; the next run finishes and
    removes them.
    """
    scratch.configure(models={"ecg_mae": {"training": {"epochs": 40, "checkpoint_seconds": 0}}})
    state = scratch.folder / "results/private/state"
    target = "results/models/ecg_mae-0/model.safetensors"
    environment = os.environ | {"PYTHONPATH": str(scratch.folder / "src")}
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        target,
        "--configfile",
        "tiny.yaml",
    ]
    run = subprocess.Popen(
        command,
        cwd=scratch.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(state.rglob("*.pt")) and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)
    os.killpg(run.pid, 9)
    run.wait()
    assert list(state.rglob("*.pt")), "no checkpoint was written before the kill"
    scratch.snakemake("--unlock", target)
    scratch.snakemake("--cores", "2", target)
    log = (scratch.folder / "results/logs/train/ecg_mae-0.log").read_text()
    assert re.search(r"[Rr]esum", log), log[-2000:]
    assert not list(state.rglob("*.pt"))


def test_a_method_from_outside_the_package_becomes_a_row(scratch: Project) -> None:
    """docs/add-a-method.md, word for word; then a changed line of the method only retrains it."""
    text = (ROOT / "docs/add-a-method.md").read_text()
    method, settings = (
        re.findall(rf"```{kind}\n(.*?)```", text, flags=re.S)[-1] for kind in ("python", "yaml")
    )
    (scratch.folder / "my_method.py").write_text(method)
    scratch.configure(
        **merge(
            yaml.safe_load(settings),
            {"models": {"ecg_order": {"training": {"epochs": 2, "warmup_epochs": 0}}}},
        )
    )
    jobs = scratch.jobs("--cores", "2")
    assert [j for j in jobs if j.split()[0] in ("train", "embed")] == [
        "embed ecg_order 0",
        "train ecg_order 0",
    ]
    table = wide(pd.read_csv(scratch.folder / "results/tables/regression.csv"))
    assert table["method"].tolist() == ["Global", "Order"]
    assert table["mean_R2_p"].notna().tolist() == [False, True]
    (scratch.folder / "my_method.py").write_text(method + "\n\n_CHANGED = 1\n")
    assert [j for j in scratch.planned() if j.startswith("train")] == ["train ecg_order 0"]


@pytest.fixture
def slurm(tmp_path: Path):
    """A real Slurm with one node and one (fake) GPU."""
    if os.geteuid() or not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        pytest.skip("needs root, slurm-wlm and munge to start a Slurm of its own")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine has a Slurm configuration already")
    pytest.importorskip("snakemake_executor_plugin_slurm")
    subprocess.run([ROOT / "tests/slurm/up.sh", tmp_path / "slurm"], check=True, timeout=60)
    yield
    subprocess.run([ROOT / "tests/slurm/down.sh", tmp_path / "slurm"], check=True, timeout=60)


def test_slurm_profile_schedules_a_gpu_job(scratch: Project, slurm: None) -> None:
    scratch.configure(models={"ecg_mae": {"training": {"learning_rate": 3.0e-3}}})
    target = "results/models/ecg_mae-0/model.safetensors"
    text = scratch.snakemake(
        target,
        "--profile",
        "profiles/slurm",
        "--workflow-profile",
        "none",
        "--slurm-init-seconds-before-status-checks",
        "1",
    )
    assert "SLURM jobid" in text or "jobid" in text
    jobs = subprocess.run(
        ["scontrol", "show", "job"], capture_output=True, text=True, check=True
    ).stdout
    assert "gres:gpu:1" in jobs and "JobState=COMPLETED" in jobs
