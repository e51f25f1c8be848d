import fcntl
import os
from pathlib import Path

# before NumPy and torch are imported: several processes run tests
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from matplotlib.figure import Figure
from project import Project

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests start first."""
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it skip where it is absent."""
    path = Path(os.environ.get("PTACL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real recordings at {path}: set PTACL_REAL_DATA")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A finished run of the smallest cohort. Of several test processes one makes it, and each has a
    copy.
    """
    folder = tmp_path_factory.mktemp("project") / "with space"
    if worker_id == "master":
        return _run(Project(folder))
    shared = tmp_path_factory.getbasetemp().parent / "finished project"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            made = _run(Project(shared.with_suffix(".partial")))
            made.folder.rename(shared)
    return Project(folder, like=Project(shared, exists=True))


def _run(project: Project) -> Project:
    project.snakemake("--cores", "2")
    return project


@pytest.fixture
def project(finished: Project):
    """The finished project; its files are put back after the test."""
    kept = {
        p: p.read_bytes()
        for p in finished.folder.rglob("*")
        if p.is_file() and p.suffix in (".py", ".yaml", ".smk")
    }
    yield finished
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


@pytest.fixture
def scratch(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, results and all, for a test that runs something."""
    return Project(tmp_path / "scratch", like=finished)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were drawn, instead of their files."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    return kept
