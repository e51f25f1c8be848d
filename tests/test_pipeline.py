"""The whole pipeline at its smallest, in a copy of the project: every target, nothing to do the second time, and for each kind of
change exactly the stages that depend on it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.pipeline

TARGETS = [
    "results/report.html",
    "results/tables/summary.md",
    *[f"results/tables/{table}.{form}" for table in ("regression", "retrieval") for form in ("csv", "tex")],
    *[f"results/figures/alignment.{form}" for form in ("svg", "png")],
    *[f"results/cohort/flow.{form}" for form in ("json", "svg")],
]
REPORT = {"tables", "page"}


class Project:
    """A copy of the project that a test may change, with its own results."""

    def __init__(self, folder: Path, *, like: "Project | None" = None) -> None:
        self.folder = folder
        if like:
            shutil.copytree(like.folder, folder)
            return
        for name in ("src", "workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Snakefile", "config.yaml", "tests/tiny.yaml"):
            shutil.copy(ROOT / name, folder)

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        environment = os.environ | {"PYTHONPATH": f"{self.folder / 'src'}:{self.folder}", "COLUMNS": "200"}
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        run = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert not check or run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
        return run.stdout + run.stderr

    def jobs(self, *arguments: str) -> list[str]:
        """Jobs that a run starts: the rule with its wildcards."""
        text = self.snakemake(*arguments)
        found = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", text, flags=re.M)
        named = []
        for rule, body in found:
            wildcards = re.search(r"wildcards: (.*)", body)
            named.append(" ".join([rule, *re.findall(r"=([^,\s]+)", wildcards.group(1) if wildcards else "")]))
        return sorted(n for n in named if n not in ("all", "data"))

    def planned(self) -> list[str]:
        return self.jobs("--dry-run")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def configure(self, **sections: dict) -> None:
        """Change settings in tiny.yaml."""
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), sections)))


def merge(base: dict, other: dict) -> dict:
    return base | {k: merge(base.get(k) or {}, v) if isinstance(v, dict) else v for k, v in other.items()}


def rules(jobs: list[str]) -> set[str]:
    return {job.split()[0] for job in jobs}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project") / "with space")
    project.snakemake("--cores", "2")
    return project


@pytest.fixture
def project(finished: Project):
    """The finished project; its files are put back after the test."""
    kept = {p: p.read_bytes() for p in finished.folder.rglob("*") if p.is_file() and p.suffix in (".py", ".yaml", ".smk")}
    yield finished
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


@pytest.fixture
def scratch(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, results and all, for a test that runs something."""
    return Project(tmp_path / "scratch", like=finished)


def test_every_target_is_there(finished: Project) -> None:
    for target in TARGETS:
        assert (finished.folder / target).stat().st_size > 0, target
    regression = pd.read_csv(finished.folder / "results/tables/regression.csv")
    assert {"LVEDV_R2", "LVEDV_R2_low", "LVEDV_R2_high", "RVEF_R2"} <= set(regression.columns)
    retrieval = pd.read_csv(finished.folder / "results/tables/retrieval.csv")
    assert {"LVEF_P@1", "LVEF_P@1_low", "LVEF_P@1_high", "LVM_MnR", "LVM_MdR"} <= set(retrieval.columns)
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
    ids = re.compile(rb"(?<![0-9.])(?:%s)(?![0-9])" % "|".join(participants).encode())  # not the digits of a longer number
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
    assert steps["usable"]["visits"] == usable == sum(split["visits"] for split in flow["splits"].values())
    assert steps["paired"]["visits"] - usable == exclusions[exclusions.stage != "cohort"].visit.nunique()


def test_snakemake_report_is_made(finished: Project) -> None:
    finished.snakemake("--report", "snakemake-report.html")
    assert (finished.folder / "snakemake-report.html").stat().st_size > 100_000


USE = """
import json, sys
from pathlib import Path
import numpy as np
import ptacl

results = Path(sys.argv[1])
stored = np.load(results / "private/embeddings/ptacl-0.npz")
row = {visit: i for i, visit in enumerate(stored["visits"].tolist())}
model = ptacl.Model.load(results / "models/ptacl-0")
simulated = results / "private/simulated"
ecgs = sorted([*simulated.rglob("*_20205_*.xml")])
cines = sorted(p for p in (simulated / "nifti").iterdir())
found = {"bad": 0}
for modality, files in (("ecg", ecgs), ("cmr", cines)):
    table = model.embed(files, modality=modality)
    same = []
    for path, (_, line) in zip(files, table.iterrows(), strict=True):
        participant, _, instance, *_ = path.name.split("_")
        if line["reason"]:
            found["bad"] += 1
            assert line.drop("reason").isna().all()
        elif f"{participant}_{instance}" in row:
            expected = stored[modality][row[f"{participant}_{instance}"]]
            same.append(bool(np.array_equal(line.drop("reason").to_numpy(np.float32), expected)))
    found[modality] = [len(same), sum(same)]
good = [p for p, reason in zip(ecgs, model.embed(ecgs)["reason"], strict=True) if not reason]
alone = model.embed(good[3]).iloc[0, 1:].to_numpy(np.float32)
found["alone"] = bool(np.array_equal(alone, model.embed(good).iloc[3, 1:].to_numpy(np.float32)))
gallery = ptacl.Gallery.load(results / "private/embeddings/ptacl-0.npz")
nearest = model.retrieve(good[:2], gallery, num=3)
found["ranks"] = nearest["rank"].tolist()
found["ordered"] = bool((nearest.groupby("input")["similarity"].diff().dropna() <= 0).all())
bad = [p for p in ecgs if p not in good]
found["all_bad"] = [len(model.retrieve(bad[:2], gallery)), int(model.predict(bad[:1])["value"].notna().sum())]
try:
    model.embed(np.zeros((2, 12, 5000)), modality="cmr")
except ValueError as error:
    found["refused"] = str(error)
predicted = model.predict(good[:2])
found["phenotypes"] = len(predicted)
found["within"] = bool(((predicted["low"] < predicted["value"]) & (predicted["value"] < predicted["high"])).all())
print(json.dumps(found))
"""


def test_a_trained_model_is_used_from_its_folder_alone(finished: Project) -> None:
    """Embeddings from files agree to the bit with those of the pipeline, whatever company a file is in."""
    environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    command = [sys.executable, "-c", USE, str(finished.folder / "results")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    for modality in ("ecg", "cmr"):
        count, same = found[modality]
        assert count >= 15 and same == count
    assert found["bad"] >= 5 and found["alone"] and found["ranks"] == [1, 2, 3, 1, 2, 3] and found["ordered"]
    assert found["phenotypes"] == 20 and found["within"]
    assert found["all_bad"] == [2, 0] and found["refused"] == "arrays are ECGs: give the files of cines"


def test_the_lines_of_the_readme_and_the_model_card_run(finished: Project, tmp_path: Path) -> None:
    participants = pd.read_csv(finished.folder / "results/private/participants.csv", dtype=str)
    source = next((finished.folder / "results/private/simulated").rglob(f"{participants.participant[0]}_20205_2_0.xml"))
    folder = finished.folder / "results/models/ptacl-0"
    texts = [(ROOT / "README.md").read_text(), (folder / "README.md").read_text().replace("FOLDER", str(folder))]
    for number, text in enumerate(texts):
        lines = next(block for block in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "Model.load" in block)
        place = tmp_path / str(number)
        place.mkdir()
        shutil.copy(source, place / "ecg.xml")
        (place / "results").symlink_to(finished.folder / "results")
        environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
        run = subprocess.run([sys.executable, "-c", lines], cwd=place, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]


def test_commands_that_use_a_model(finished: Project, tmp_path: Path) -> None:
    """Tables in both forms, a drawing a file, bad files as rows with a reason, and the exit status of inspect."""
    results, environment = finished.folder / "results", os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    participants = pd.read_csv(results / "private/participants.csv", dtype=str)
    files = {p.name[:7]: p for p in (results / "private/simulated").rglob("*_20205_2_0.xml")}
    good = [str(files[p]) for p in participants.participant.unique()[:2]]
    bad = tmp_path / "9000099_20205_2_0.xml"
    bad.write_text("<html/>")

    def ptacl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ptacl.cli", *map(str, arguments), "--model", str(results / "models/ptacl-0")]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    run = ptacl("embed", *good, "--out", tmp_path / "e.parquet")
    assert run.returncode == 0, run.stderr
    assert pd.read_parquet(tmp_path / "e.parquet").shape == (2, 18)  # input, reason, 16 numbers
    run = ptacl("predict", *good, bad, "--out", tmp_path / "p.csv", "--plot", tmp_path / "plots")
    assert run.returncode == 3 and "unreadable file: not a CardioSoft file" in run.stderr
    table = pd.read_csv(tmp_path / "p.csv")
    assert len(table) == 30 and table["reason"].notna().sum() == 10 and table["value"].isna().sum() == 10
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2
    run = ptacl("retrieve", good[0], "--gallery", results / "private/embeddings/ptacl-0.npz", "--num", "2")
    assert run.returncode == 0 and run.stdout.count("\n") == 3
    assert ptacl("embed", bad).returncode == 2
    run = ptacl("embed", good[0], "--out", tmp_path / "e.xlsx")
    assert run.returncode == 2 and "name a .csv or a .parquet file" in run.stderr


def test_retrieval_setting_reruns_retrieval_alone(project: Project) -> None:
    project.configure(retrieval={"band": 0.4})
    assert rules(project.planned()) - REPORT == {"retrieval"}


def test_learning_rate_of_one_model_reruns_what_hangs_on_it(project: Project) -> None:
    project.configure(models={"ptacl": {"training": {"learning_rate": 5.0e-4}}})
    jobs = project.planned()
    assert [j for j in jobs if j.split()[0] in ("train", "embed")] == ["embed ptacl 0", "train ptacl 0"]
    assert rules(jobs) - REPORT == {"train", "embed", "readout", "regression", "alignment"}


def test_phenotypes_retrain_nothing_in_the_same_command(scratch: Project) -> None:
    """Another plausible range changes the phenotypes of the table; who is trained on stays as it was."""
    phenotypes = yaml.safe_load((scratch.folder / "config.yaml").read_text())["cohort"]["phenotypes"]
    scratch.configure(cohort={"phenotypes": [p | {"high": p["high"] - (25 if p["unit"] == "%" else 0)} for p in phenotypes]})
    jobs = scratch.jobs("--cores", "2")
    assert rules(jobs) == {"manifest", "flow", "flow_figure", "readout", "regression", "retrieval", "tables", "page"}
    assert scratch.planned() == []


def test_a_line_that_changes_no_signal_stops_at_the_stores(scratch: Project) -> None:
    """The ECGs are prepared again, and are what they were: nothing that reads them runs."""
    path = scratch.folder / "src/ptacl/ecg/denoise.py"
    path.write_text(path.read_text() + "\n\n_CHANGED = 1\n")
    assert scratch.jobs("--cores", "2") == ["flow", "prepare_ecg 0", "prepare_ecg 1"]
    assert scratch.planned() == []


def test_other_ecgs_leave_what_cines_alone_decide(scratch: Project) -> None:
    """In one command: all that saw an ECG, and nothing of the CMR autoencoder."""
    scratch.configure(ecg={"wavelet": {"zeroed": ["A8", "D1"]}})
    jobs = scratch.jobs("--cores", "2")
    ran = {j for j in jobs if j.split()[0] in ("train", "embed", "prepare_cmr")}
    contrastive = ["global", "ptacl", "global_retrieval", "ptacl_retrieval"]
    assert ran == {f"{rule} {m} 0" for rule in ("train", "embed") for m in ("ecg_mae", *contrastive)} | {"embed ecg_random 0"}
    assert {"regression", "retrieval", "alignment", "page"} <= rules(jobs) and scratch.planned() == []


def test_setting_that_only_the_stores_show_reruns_what_reads_them(scratch: Project) -> None:
    scratch.configure(cmr={"clip_percentiles": [1, 99]})
    scratch.snakemake("data", "--cores", "2")
    assert {"train cmr_mae 0", "train global 0"} <= set(scratch.planned())


def test_comment_reruns_nothing(project: Project) -> None:
    path = project.folder / "src/ptacl/ecg/denoise.py"
    path.write_text("# a remark\n" + path.read_text() + "\n\n# another\n")
    os.utime(project.folder / "config.yaml")
    assert project.planned() == []


def test_interrupted_training_goes_on_where_it_was(scratch: Project) -> None:
    """A killed training leaves its checkpoints, which no rule declares; the next run finishes and removes them."""
    scratch.configure(models={"ecg_mae": {"training": {"epochs": 40, "checkpoint_seconds": 0}}})
    state = scratch.folder / "results/private/state"
    target = "results/models/ecg_mae-0/model.safetensors"
    environment = os.environ | {"PYTHONPATH": str(scratch.folder / "src")}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", target, "--configfile", "tiny.yaml"]
    run = subprocess.Popen(
        command, cwd=scratch.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
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
    """docs/add-a-method.md, word for word; then a changed line of the method retrains it alone."""
    text = (ROOT / "docs/add-a-method.md").read_text()
    method, settings = (re.search(rf"```{kind}\n(.*?)```", text, flags=re.S).group(1) for kind in ("python", "yaml"))
    (scratch.folder / "my_method.py").write_text(method)
    scratch.configure(
        **merge(yaml.safe_load(settings), {"models": {"ecg_order": {"training": {"epochs": 2, "warmup_epochs": 0}}}})
    )
    jobs = scratch.jobs("--cores", "2")
    assert [j for j in jobs if j.split()[0] in ("train", "embed")] == ["embed ecg_order 0", "train ecg_order 0"]
    table = pd.read_csv(scratch.folder / "results/tables/regression.csv")
    assert table["method"].tolist() == ["Global", "Order"] and table["mean_p"].notna().tolist() == [False, True]
    (scratch.folder / "my_method.py").write_text(method + "\n\n_CHANGED = 1\n")
    assert [j for j in scratch.planned() if j.startswith("train")] == ["train ecg_order 0"]


@pytest.fixture(scope="module")
def bulk(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that reads folders of files, as a true cohort would, prepared up to the list of participants."""
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
    nifti = next(p for p in sorted((bulk.folder / "data/nifti").iterdir()) if (p / "seg_sa.nii.gz").is_file())
    ecg = next(iter(sorted((bulk.folder / "data/ecg").iterdir())))
    time.sleep(1.1)
    shutil.copytree(nifti, nifti.with_name("9100001_20209_2_0"))
    shutil.copy(ecg, ecg.with_name("9100001_20205_2_0.xml"))
    jobs = bulk.jobs("--cores", "2", "data")
    shard = next(p.stem for p in (bulk.folder / "results/private/cohort/shards").iterdir() if "9100001_2" in p.read_text())
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


def test_a_cohort_of_another_origin_runs_from_one_table(finished: Project, tmp_path: Path, real_data: Path) -> None:
    """Simulated pairs under other names, beside real ECGs in WFDB that have no cine; own phenotypes and a split."""
    project = Project(tmp_path / "other")
    shards = [pd.read_csv(p, dtype=str) for p in sorted((finished.folder / "results/private/cohort/shards").glob("*.csv"))]
    files = pd.concat(shards).set_index("visit")
    known = pd.read_csv(finished.folder / "results/private/participants.csv", dtype=str).set_index("visit")
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
    phenotypes = [{"name": "Ejection", "unit": "%", "low": 5, "high": 90}, {"name": "Mass", "unit": "g", "low": 20, "high": 400}]
    project.configure(cohort={"source": "table", "table": "cohort.csv", "ecg_format": "auto", "phenotypes": phenotypes})
    project.configure(cohort={"unpaired": "pretrain"})
    project.snakemake("--cores", "2", "data", "results/models/ecg_mae-0/model.safetensors")
    usable = pd.read_csv(project.folder / "results/private/participants.csv", dtype=str)
    assert len(usable) == len(known) and set(usable["participant"]) == {row["participant"] for row in rows[: len(known)]}
    assert usable.set_index("participant")["split"].to_dict() == {row["participant"]: row["split"] for row in rows[: len(known)]}
    assert usable["Ejection"].notna().any() and "LVEF" not in usable
    excluded = pd.read_csv(project.folder / "results/private/exclusions.csv", dtype=str)
    assert (excluded["reason"] == "no cine of this visit").sum() == len(wfdb)
    flow = json.loads((project.folder / "results/cohort/flow.json").read_text())
    joined = pd.read_csv(project.folder / "results/private/cohort/current/visits_ecg.csv", dtype=str)
    more = joined[~joined["visit"].isin(usable["visit"])]
    assert flow["pretraining"]["ecg"] == len(more) >= 4 and {p.stem for p in wfdb} & set(more["participant"])
    assert "test" not in set(more["split"]) and not set(more["participant"]) & set(usable["participant"])
    samples = int((joined["split"] == "train").sum())
    assert f"{samples} training" in (project.folder / "results/logs/train/ecg_mae-0.log").read_text()
    assert project.planned() != [] and project.jobs("--cores", "2", "data") == []


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
        target, "--profile", "profiles/slurm", "--workflow-profile", "none", "--slurm-init-seconds-before-status-checks", "1"
    )
    assert "SLURM jobid" in text or "jobid" in text
    jobs = subprocess.run(["scontrol", "show", "job"], capture_output=True, text=True, check=True).stdout
    assert "gres:gpu:1" in jobs and "JobState=COMPLETED" in jobs
