"""What somebody has who only ran `pip install ptacl`: the wheel, away from the sources."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT, checkout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with only the wheel; its dependencies come from the
    environment of the tests.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    checkout(source)
    how = [
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        folder / "site",
        source,
    ]
    subprocess.run([sys.executable, "-m", "pip", *how], check=True)
    return folder / "site"


def run(site: Path, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_workflow_is_laid_out_and_runs(site: Path, tmp_path: Path) -> None:
    laid = run(site, tmp_path, "ptacl.cli", "workflow", "my study")
    assert laid.returncode == 0, laid.stderr
    study = tmp_path / "my study"
    for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs"):
        pairs = [(ROOT / name, study / name)]
        if (ROOT / name).is_dir():
            pairs = [
                (p, study / name / p.relative_to(ROOT / name))
                for p in (ROOT / name).rglob("*")
                if p.is_file()
            ]
        assert all(
            b.read_bytes() == a.read_bytes() for a, b in pairs if "__pycache__" not in a.parts
        ), name
    assert os.access(study / "workflow/torchrun_node.sh", os.X_OK)
    planned = run(site, study, "snakemake", "-n", "--cores", "1")
    assert planned.returncode == 0, planned.stderr
    assert "prepare_cmr" in planned.stdout + planned.stderr
    few = [
        "--config",
        "simulation={participants: 12, defects: 0}",
        "cohort={shards: 1, test_fraction: 0.4}",
    ]
    made = run(site, study, "snakemake", "data", "--cores", "2", *few)
    assert made.returncode == 0, made.stdout + made.stderr
    assert re.search(r" left, until|Nothing is known yet of how long", made.stdout + made.stderr)
    assert (
        "Minutes by stage" in made.stdout and (study / "results/private/participants.csv").is_file()
    )
    again = run(site, tmp_path, "ptacl.cli", "workflow", "my study")
    assert again.returncode == 2 and "has Snakefile" in again.stderr


def test_commands_need_no_folder_of_the_project(site: Path, tmp_path: Path) -> None:
    made = run(
        site, tmp_path, "ptacl.cli", "simulate", "cohort", "--participants", "2", "--processes", "1"
    )
    assert made.returncode == 0, made.stderr
    ecg = next((tmp_path / "cohort").rglob("*.xml"))
    assert run(site, tmp_path, "ptacl.cli", "inspect", str(ecg)).returncode == 0
    where = run(site, tmp_path, "ptacl.cli", "config", "--explain", "seed")
    assert where.returncode == 0 and "seed" in where.stdout


def test_the_wheel_holds_no_test_and_no_result(site: Path) -> None:
    names = {p.relative_to(site).parts[0] for p in site.iterdir()}
    assert names == {"ptacl", "bin"} | {
        n for n in names if n.startswith("ptacl-") and n.endswith(".dist-info")
    }
