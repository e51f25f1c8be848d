"""Every shell command of README and docs is run: in full, or as far as it goes without the hours,
cluster or GPU it is for.

The reader's world is a finished run with the files that the pages name: a bulk folder in the
platform's layout, my.yaml, an ECG.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from project import ROOT, Project
from test_docs import PAGES

from ptacl import config
from ptacl.learning.board import board

pytestmark = pytest.mark.pipeline


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.S | re.M)


ANOTHER_COHORT = "other-cohorts.md"  # tests/test_other_cohorts.py runs its commands

COMMANDS = {
    line: page
    for page in PAGES
    if page.name != ANOTHER_COHORT
    for block in blocks(page, "sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
}


@pytest.fixture(scope="module")
def world(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the project with results, and what the commands name."""
    folder = Project(tmp_path_factory.mktemp("world") / "study", like=finished).folder
    for name in ("benchmarks", "pyproject.toml", "README.md", "LICENSE", "setup.py", "Makefile"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    simulated, data = folder / "results/private/simulated", folder / "data"
    resting, axis = (
        data / "Bulk/Electrocardiogram/Resting/90",
        data / "Bulk/Heart MRI/Short axis/90",
    )
    shutil.copytree(simulated / "Bulk", data / "Bulk")
    for path in (simulated / "ecg").iterdir():
        shutil.copy(path, resting)
    for path in (simulated / "nifti").iterdir():
        shutil.copytree(path, axis / path.name)
    shutil.copy(simulated / "phenotypes/table_exporter.csv", data / "phenotypes.csv")
    (data / "w12345_20260101.csv").write_text("")
    mine = next(
        block for block in blocks(ROOT / "README.md", "yaml") if block.startswith("# my.yaml")
    )
    small = (ROOT / "tests/tiny.yaml").read_text()
    settings = yaml.safe_load(mine.replace("/data/", f"{data}/")) | {
        k: v for k, v in yaml.safe_load(small).items() if k != "cohort"
    }
    settings["cohort"] |= {"shards": 2, "test_fraction": 0.3}
    with board(folder / "results/tensorboard/ptacl-0") as watch:
        watch({"epoch": 1, "step": 3, "train_loss": 1.0})
    (folder / "my.yaml").write_text(yaml.safe_dump(settings))
    for block in (block for page in PAGES for block in blocks(page, "yaml")):
        named = re.match(r"# (\w+\.yaml)\n", block)
        if named and named[1] != "my.yaml":
            (folder / named[1]).write_text(block)
    shutil.copy(next(resting.glob("9000001_*.xml")), folder / "9000001_20205_2_0.xml")
    shutil.copy(folder / "9000001_20205_2_0.xml", folder / "my_ecg.xml")
    (folder / "more_ecgs").mkdir()
    shutil.copy(folder / "9000001_20205_2_0.xml", folder / "more_ecgs")
    return folder


def adapted(line: str, folder: Path) -> list[str]:
    """The command as it is run here: what would take hours, install or submit is planned in place
    of being done.
    """
    words = [os.path.expandvars(word) for word in shlex.split(line, comments=True)]
    while re.match(r"[A-Z]+=", words[0]):
        words.pop(0)
    program, *arguments = words
    if program == "make":
        return ["make", "-n", *arguments]
    if program == "pip":
        return [
            sys.executable,
            "-m",
            "pip",
            *arguments,
            "--dry-run",
            "--no-build-isolation",
            "--no-index",
            "--quiet",
        ]
    if program == "snakemake":
        planned = [] if {"-n", "--unlock"} & set(arguments) else ["-n"]
        return [sys.executable, "-m", "snakemake", *arguments, *planned]
    if program == "tensorboard":
        return [sys.executable, "-m", "tensorboard.main", *arguments, "--inspect"]
    if program == "python":
        return [sys.executable, *arguments]
    assert program == "ptacl", f"nothing is known of {program}: say here how it is run"
    return [sys.executable, "-m", "ptacl.cli", *arguments]


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.partition("#")[0].strip())
def test_command_runs(line: str, world: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": f"{world / 'src'}:{world}",
        "COLUMNS": "200",
        "TMPDIR": str(world),
    }
    command = adapted(line, world)
    run = subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True)
    said = run.stdout[-2000:] + run.stderr[-3000:]
    if "gpu.py" in line and not torch.cuda.is_available():
        assert run.returncode == 2 and "no GPU is seen by torch" in run.stderr, said
        return
    assert run.returncode == 0, said
    assert "Traceback" not in said
    if "predict" in line:
        assert list((world / "my_predictions").glob("*.png"))
    if line.startswith("ptacl check"):
        assert re.search(r"paired visits +[1-9]", run.stdout)
    if line.startswith("ptacl simulate"):
        assert len(list((world / "my_cohort").rglob("*_20205_*.xml"))) >= 19


def test_my_yaml_runs_to_the_list_of_participants(world: Path) -> None:
    """The files of step 2, as far as the cohort and its stores: nothing of the simulation is left
    in it.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "data", "--configfile", "my.yaml"]
    run = subprocess.run(
        command,
        cwd=world,
        env=os.environ | {"PYTHONPATH": str(world / "src")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    assert len((world / "results/private/participants.csv").read_text().splitlines()) > 15


PLAN = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "-s", str(ROOT / "Snakefile")]


@pytest.mark.parametrize(
    "source", ["files", "table", "simulated", None]
)  # None: of a version that did not write it
def test_a_forgotten_configuration_replaces_nothing(source: str, tmp_path: Path) -> None:
    """The defaults are the simulated cohort: in a folder with results of somebody's files they stop
    before the first job.
    """
    (tmp_path / "results/private/cohort").mkdir(parents=True)
    (tmp_path / "results/private/cohort/summary.json").write_text(
        json.dumps({"source": source} if source else {})
    )
    (tmp_path / "results/private/simulated.json").write_text("{}")  # of a demonstration before
    run = subprocess.run([*PLAN, "--directory", str(tmp_path)], capture_output=True, text=True)
    refused = "results holds a cohort of your files" in run.stdout + run.stderr
    assert refused == (run.returncode != 0) == (source != "simulated")


def test_models_of_the_paper_are_not_replaced_by_those_of_the_demonstration(
    tmp_path: Path,
) -> None:
    """A run that was started with paper.yaml, and a second call without it."""
    folder = tmp_path / "results/models/global-0"
    folder.mkdir(parents=True)
    for name in ("ecgs", "cmrs"):
        (tmp_path / name).mkdir()
    (tmp_path / "table.csv").write_text("eid\n")
    cohort = {"source": "files", "ecg_folders": ["ecgs"], "cmr_folders": ["cmrs"]}
    cohort["phenotype_tables"] = ["table.csv"]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"cohort": cohort}))
    (tmp_path / "results/models/ptacl-0").mkdir()
    (tmp_path / "results/models/ptacl-0/config.json").write_text("{}")  # of an earlier version
    for name, refused in (("paper", True), ("quick", False)):
        sizes = config.stack(ROOT / "config.yaml", ROOT / f"workflow/config/{name}.yaml")
        inputs = sizes.inputs_of("global").model_dump(mode="json")
        (folder / "config.json").write_text(json.dumps({"description": {"inputs": inputs}}))
        run = subprocess.run(
            [*PLAN, "--configfile", "my.yaml"], cwd=tmp_path, capture_output=True, text=True
        )
        said = run.stdout + run.stderr
        assert ("results holds models of other sizes" in said) == refused == (run.returncode != 0)


@pytest.mark.parametrize("module", ["my_loss", "my_package.losses"])
def test_an_own_loss_that_is_not_found_stops_the_run_before_its_first_job(
    module: str, tmp_path: Path
) -> None:
    models = {"mine": {"like": "global", "title": "Mine", "loss": f"{module}:Loss"}}
    rows = [{"label": name, "model": name, "features": ["ecg"]} for name in ("global", "mine")]
    regression = {"rows": rows, "reference": "global", "whole_reference": None}
    settings = {"models": models, "regression": regression}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    run = subprocess.run(
        [*PLAN, "--configfile", "my.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    said = run.stdout + run.stderr
    assert run.returncode != 0 and f"models.mine: there is no module {module}: put" in said
    assert "Traceback" not in said


SETTINGS = [(page, block) for page in PAGES for block in blocks(page, "yaml")]


@pytest.mark.parametrize(
    ("page", "block"),
    SETTINGS,
    ids=[f"{p.name}-{b.split()[0]}{i}" for i, (p, b) in enumerate(SETTINGS)],
)
def test_settings_of_the_pages_are_taken(page: Path, block: str, tmp_path: Path) -> None:
    values = yaml.safe_load(block)
    if "set-resources" in values:  # of a profile
        rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
        assert all(f"rule {name}:" in rules for name in values["set-resources"])
        return
    (tmp_path / "my.yaml").write_text(block)
    before = [ROOT / "config.yaml", ROOT / "workflow/config/paper.yaml"]
    if page.name == "platform.md":
        before.append(ROOT / "workflow/config/ukb.yaml")
    settings = config.stack(*before, tmp_path / "my.yaml")
    assert settings != config.stack(*before)


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) > 15 and len(SETTINGS) > 5
