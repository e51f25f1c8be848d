"""The real `dx` against a stand-in for the platform."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disk import BIG, SMALL, Disk
from server import serve
from stand_in import PROJECT, Platform

from ptacl import config
from ptacl.cohort import simulate


@pytest.fixture(scope="session")
def dx(root: Path) -> Path:
    """The `dx` client, which has an environment of its own (`make .venv/.dx`)."""
    own = root / ".venv/dx/bin/dx"
    found = str(own) if own.exists() else shutil.which("dx")
    if not found:
        pytest.skip("no dx here: make .venv/.dx")
    return Path(found)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    folder = tmp_path / "platform"
    folder.mkdir()
    made = Platform(folder)
    server = serve(made)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def upload(platform: Platform, dx: Path) -> Callable[[Path, str], str]:
    """Upload a file to a path of the project; the identifier of the object."""

    def do(path: Path, target: str) -> str:
        arguments = ["--path", f"{PROJECT}:{target}", "--parents", "--wait", "--brief"]
        return subprocess.run(
            [dx, "upload", path, *arguments, "--no-progress"],
            env=os.environ | platform.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    return do


@pytest.fixture
def image(upload: Callable[[Path, str], str], tmp_path: Path) -> str:
    """A file in place of the image, which the mock of docker does not read."""
    path = tmp_path / "ptacl.tar.gz"
    path.write_bytes(b"no image")
    return upload(path, "/ptacl/images/ptacl.tar.gz")


@pytest.fixture(scope="session")
def bulk(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The files of a simulated cohort, in the folders of the platform's projects."""
    folder = tmp_path_factory.mktemp("platform") / "project"
    settings = config.load(root / "config.yaml").simulation.model_copy(
        update={"participants": 16, "zip_fraction": 0.0, "second_visit_fraction": 0.0, "defects": 0}
    )
    simulate.simulate(folder, settings=settings, seed=0, processes=1)
    resting = folder / "Bulk/Electrocardiogram/Resting"
    resting.mkdir(parents=True, exist_ok=True)
    for ecg in folder.glob("ecg/*.xml"):
        ecg.rename(resting / ecg.name)
    axis = folder / "Bulk/Heart MRI/Short axis"
    axis.parent.mkdir()
    (folder / "nifti").rename(axis)
    return folder


@pytest.fixture
def disk(tmp_path: Path, platform: Platform, dx: Path) -> Disk:
    """A worker that has made a large output, a small one and a checkpoint."""
    made = Disk(tmp_path / "first", platform, dx)
    made.done("restore", "--new")
    made.output("results/private/ecg/0/data", BIG)
    made.output("results/tables/a.csv", SMALL)
    made.checkpoint("ecg_mae-0", b"one")
    made.write("results/logs/a.log", b"log")
    made.write("results/private/cohort/current/visits.csv", b"visit")
    return made
