"""submit.sh with the real `dx`: what it starts, and that this runs on a worker."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from stand_in import Platform
from worker import RAP, Worker


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A configuration for a mount at `worker/mounted/mount`."""
    mount = tmp_path / "worker/mounted/mount"
    path = tmp_path / "my.yaml"
    path.write_text(
        "cohort:\n"
        f'  ecg_folders: ["{mount}/Bulk/Electrocardiogram/Resting"]\n'
        f'  cmr_folders: ["{mount}/Bulk/Heart MRI/Short axis"]\n'
        f'  phenotype_tables: ["{mount}/phenotypes/table_exporter.csv"]\n'
    )
    return path


def submit(platform: Platform, dx: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{dx.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(RAP / "submit.sh"), *arguments],
        env=os.environ | platform.environment() | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_a_submitted_job_runs_on_a_worker(
    mine: Path, platform: Platform, bulk: Path, dx: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "ptacl.tar.gz"
    archive.write_bytes(b"no image")
    refused = submit(platform, dx, "preflight", "--new", str(mine))
    assert refused.returncode == 2 and "the project has no image" in refused.stderr
    assert submit(platform, dx, "image", str(archive)).returncode == 0
    machine = "mem2_ssd1_v2_x16"
    submitted = submit(platform, dx, "preflight", "--new", "--machine", machine, str(mine))
    assert submitted.returncode == 0, submitted.stderr
    identifier = submitted.stdout.strip()
    job = platform.jobs[identifier]["run"]
    assert job["systemRequirements"] == {"*": {"instanceType": machine}}

    one = Worker(tmp_path / "worker", platform, bulk, number=0, job=identifier, dx=dx)
    given = one.folder / "given"
    given.mkdir()
    for link in job["input"]["in"]:
        found = platform.objects[link["$dnanexus_link"]]
        shutil.copy(platform.path(found["id"]), given / found["name"])
    try:
        one.start_in(given, ["bash", "-c", job["input"]["cmd"]])
        one.finish()
        assert "preflight: all checks passed" in one.log.read_text()
    finally:
        one.kill()


def test_the_jobs_that_are_submitted(mine: Path, image: str, platform: Platform, dx: Path) -> None:
    jobs = {}
    for kind in ("prepare", "train"):
        submitted = submit(platform, dx, kind, "--run", "run7", str(mine))
        assert submitted.returncode == 0, submitted.stderr
        jobs[kind] = platform.jobs[submitted.stdout.strip()]["run"]
    prepare, train = (jobs[kind]["input"]["cmd"] for kind in ("prepare", "train"))
    assert "--target data" in prepare and "--gpu" not in prepare
    assert "--gpu" in train and "--target" not in train
    assert f"--run {jobs['train']['project']}:/ptacl/run7/state --image {image} " in train
    assert jobs["prepare"]["systemRequirements"]["*"] == {"instanceType": "mem2_ssd1_v2_x16"}
    assert jobs["train"]["systemRequirements"]["*"] == {
        "instanceType": "mem2_ssd2_gpu1_v2_x16",
        "nvidiaDriver": "R535",
    }
    restarts = jobs["train"]["executionPolicy"]["restartOn"]
    assert "ExecutionError" not in restarts and restarts["SpotInstanceInterruption"] == 9
    assert jobs["train"]["costLimit"] == 100


def test_a_dry_run_uploads_and_starts_nothing(
    mine: Path, image: str, platform: Platform, dx: Path
) -> None:
    before = list(platform.objects)
    shown = submit(platform, dx, "train", "--dry-run", str(mine))
    assert shown.stdout.startswith("dx run swiss-army-knife"), shown.stderr
    assert list(platform.objects) == before and not platform.jobs


def page(root: Path, language: str) -> list[str]:
    """The blocks of docs/platform.md in a language."""
    text = (root / "docs/platform.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def test_the_template_is_that_of_the_page(root: Path) -> None:
    (shown,) = page(root, "yaml")
    template = (root / "rap/my_platform.yaml").read_text()
    assert yaml.safe_load(shown) == yaml.safe_load(template)


def test_the_commands_of_the_page_work(
    root: Path, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    """Those of submit.sh and dx, except the login and the app of the platform, in their order."""
    (tmp_path / "rap").symlink_to(root / "rap")
    (tmp_path / "ptacl.tar.gz").write_bytes(b"no image")
    shutil.copy(root / "rap/my_platform.yaml", tmp_path)
    environment = os.environ | platform.environment()
    environment["PATH"] = f"{dx.parent}{os.pathsep}{os.environ['PATH']}"
    done = []
    for block in page(root, "text"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] not in ("rap/submit.sh", "dx"):
                continue
            if words[1] in ("login", "select", "run"):
                continue
            if words[1] == "download":  # what the last job would have written
                platform.create({"folder": "/ptacl/run1/report", "name": "r.tar.gz", "parents": 1})
                platform.close(platform.named("r.tar.gz")[0])
            platform.add_folder("/ptacl/inputs")
            ended = subprocess.run(
                words, cwd=tmp_path, env=environment, capture_output=True, text=True, input=""
            )
            assert ended.returncode == 0, (line, ended.stderr)
            done.append(words[1])
    assert done == ["image", "preflight", "prepare", "train", "download", "rm", "rm", "rm"]
    assert (tmp_path / "r.tar.gz").exists() and not platform.objects
    assert len(platform.jobs) == 3
