"""Saving and restoring, with the real `dx` against a stand-in."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import PROJECT, Fault, Platform
from worker import RAP

WHERE = "/ptacl/run1"
JOBS = [f"job-{number:024d}" for number in (1, 2)]


class Disk:
    """The folder of a worker, with files that Snakemake would leave there."""

    def __init__(self, folder: Path, platform: Platform, dx: Path, *, job: str = JOBS[0]) -> None:
        folder.mkdir()
        self.folder = folder
        path = f"{dx.parent}{os.pathsep}{os.environ['PATH']}"
        own = {k: v for k, v in os.environ.items() if not k.startswith("DX_")}
        self.environment = own | platform.environment() | {"PATH": path, "DX_JOB_ID": job}

    def sync(self, *arguments: str, where: str = WHERE) -> subprocess.CompletedProcess[str]:
        action, *options = arguments
        return subprocess.run(
            [sys.executable, RAP / "sync.py", action, f"{PROJECT}:{where}", *options],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def done(self, *arguments: str) -> str:
        ended = self.sync(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def write(self, path: str, content: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(content)

    def record(self, kind: str, path: str, **content: object) -> Path:
        name = base64.urlsafe_b64encode(path.encode()).decode()
        record = self.folder / ".snakemake" / kind / name
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"incomplete": False, **content}))
        return record

    def output(self, path: str, content: bytes, *, ended: float = 1.0) -> None:
        self.write(path, content)
        self.record("metadata", path, endtime=ended)

    def checkpoint(self, name: str, content: bytes) -> None:
        folder = f"results/private/state/{name}"
        self.write(f"{folder}/identity.json", b"{}")
        self.write(f"{folder}/checkpoint.partial", content)
        (self.folder / folder / "checkpoint.partial").rename(self.folder / folder / "checkpoint.pt")

    def files(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.folder)): p.read_bytes()
            for p in self.folder.rglob("*")
            if p.is_file() and p.name != ".sync.json"
        }


BIG, SMALL = os.urandom(6_000_000), b"small"


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


def test_what_is_saved_is_restored_with_its_times(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    disk.done("release")
    second = Disk(tmp_path / "second", platform, dx, job=JOBS[1])
    assert "1 large outputs, 1 checkpoints" in second.done("restore")
    assert second.files() == disk.files()
    for name in disk.files():
        assert (second.folder / name).stat().st_mtime_ns == pytest.approx(
            (disk.folder / name).stat().st_mtime_ns, abs=1000
        )


def test_outputs_of_unfinished_jobs_stay_behind(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.output("results/private/ecg/1/data", BIG)
    disk.record("incomplete", "results/private/ecg/1/data")
    disk.write("results/tables/not_recorded.csv", SMALL)
    disk.done("save")
    second = Disk(tmp_path / "second", platform, dx)
    second.done("restore")
    missing = disk.files().keys() - second.files().keys()
    assert {name for name in missing if name.startswith("results")} == {
        "results/private/ecg/1/data",
        "results/tables/not_recorded.csv",
    }
    assert "results/private/ecg/1/data" not in {
        base64.urlsafe_b64decode(p.name).decode()
        for p in second.folder.glob(".snakemake/metadata/*")
    }


def test_large_outputs_go_up_once_and_checkpoints_when_they_change(
    disk: Disk, platform: Platform
) -> None:
    disk.done("save")
    (large,) = platform.named("private-ecg-0-data.*")
    (first,) = platform.named("private-state-ecg_mae-0.*")
    disk.done("save")
    assert platform.named("private-state-ecg_mae-0.*") == [first]
    disk.checkpoint("ecg_mae-0", b"two")
    disk.done("save")
    disk.done("save")
    (second,) = platform.named("private-state-ecg_mae-0.*")
    assert second["id"] != first["id"]
    assert platform.named("private-ecg-0-data.*") == [large]
    disk.output("results/private/ecg/0/data", BIG[::-1], ended=2.0)
    disk.done("save")
    assert len(platform.named("private-ecg-0-data.*")) == 2


def test_only_what_the_last_two_indexes_list_is_kept(disk: Disk, platform: Platform) -> None:
    for _ in range(4):
        disk.done("save")
    kept = sorted(o["name"].split("-2")[0] for o in platform.objects.values())
    assert kept == [
        "index-000003",
        "index-000004",
        f"lock-{JOBS[0]}",
        "private-ecg-0-data.000001.tar",
        "private-state-ecg_mae-0.000001.tar",
        "small.000003.tar",
        "small.000004.tar",
    ]


def test_a_killed_upload_leaves_an_open_object_that_is_not_used(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    for name in ("index-000009-29990101T000000-aaaa.json", "small.000009.tar"):
        platform.create({"folder": WHERE, "name": name, "parents": True})
    second = Disk(tmp_path / "second", platform, dx)
    assert "restored save 1:" in second.done("restore")
    second.done("save")
    assert not platform.named("*000009*.tar")


def test_a_project_that_cannot_be_read_never_begins_a_new_run(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    for fault in (Fault("findDataObjects", 401, 99), Fault("get/", 401, 99)):
        platform.faults = [fault]
        second = Disk(tmp_path / fault.path.strip("/"), platform, dx)
        # a token that has expired fails at once; the waits between tries are not rehearsed
        ended = _without_waits(second, "restore", "--new")
        assert ended.returncode == 3, ended.stdout + ended.stderr
        assert not (second.folder / "results").exists()
        assert not (second.folder / ".sync.json").exists()


def test_a_folder_without_a_run_is_an_error_without_new(
    tmp_path: Path, platform: Platform, dx: Path
) -> None:
    ended = Disk(tmp_path / "first", platform, dx).sync("restore")
    assert ended.returncode == 3 and "holds no run; --new begins one" in ended.stderr


def test_busy_servers_are_waited_for(disk: Disk, platform: Platform) -> None:
    platform.faults = [Fault("file/new", 503, 2), Fault("findDataObjects", 503, 1)]
    disk.done("save")
    assert [fault.times for fault in platform.faults] == [0, 0]


def test_objects_that_close_late_are_waited_for(disk: Disk, platform: Platform) -> None:
    platform.closing_seconds = 1.5
    disk.done("save")
    assert all(platform.describe(o)["state"] == "closed" for o in platform.named("small*"))


@pytest.mark.parametrize("damage", ["shorter", "other bytes", "open"])
def test_an_object_that_is_not_what_the_index_says_stops_the_worker(
    damage: str, disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    (large,) = platform.named("private-ecg-0-data.*")
    path = platform.path(large["id"])
    content = path.read_bytes()
    if damage == "open":
        large["state"] = "open"
    else:
        path.write_bytes(content[:-1] if damage == "shorter" else content[:-1] + b"?")
        large["parts"] = {}
    second = Disk(tmp_path / "second", platform, dx)
    ended = _without_waits(second, "restore", "--new")
    assert ended.returncode in (3, 4), ended.stdout + ended.stderr
    assert not (second.folder / ".sync.json").exists()
    assert platform.named("index-000001*")


def test_a_second_live_job_is_refused_and_a_dead_one_is_replaced(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    platform.jobs[JOBS[0]] = {"id": JOBS[0], "class": "job", "state": "running"}
    refused = Disk(tmp_path / "second", platform, dx, job=JOBS[1]).sync("restore")
    assert refused.returncode == 5 and f"{JOBS[0]} works on this run" in refused.stderr
    assert [o["name"] for o in platform.named("lock-*")] == [f"lock-{JOBS[0]}"]
    platform.jobs[JOBS[0]]["state"] = "failed"
    Disk(tmp_path / "third", platform, dx, job=JOBS[1]).done("restore")


def test_a_restarted_job_goes_on_and_the_worker_that_was_given_up_stops(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    """The platform can take a worker for dead that still runs: two indexes with one number."""
    disk.done("save")
    time.sleep(1.1)  # the time in a worker's identifier has seconds
    second = Disk(tmp_path / "second", platform, dx)
    second.done("restore")
    # the first was in the middle of a save, and wrote the same number
    number = [o["name"].split("-")[1] for o in platform.named("index-*")]
    assert number == ["000001", "000002"]
    content = platform.path(platform.named("index-000001*")[0]["id"]).read_bytes()
    late = tmp_path / "late.json"
    late.write_bytes(content)
    worker = json.loads((disk.folder / ".sync.json").read_text())["worker"]
    subprocess.run(
        [dx, "upload", late, "--path", f"{PROJECT}:{WHERE}/index-000002-{worker}.json", "--wait"],
        env=disk.environment,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    before = set(platform.objects)
    refused = disk.sync("save")
    assert refused.returncode == 5 and "a later worker has taken over" in refused.stderr
    assert set(platform.objects) == before
    second.output("results/tables/b.csv", SMALL)
    second.done("save")
    third = Disk(tmp_path / "third", platform, dx)
    third.done("restore")
    assert (third.folder / "results/tables/b.csv").read_bytes() == SMALL


def _without_waits(disk: Disk, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run sync.py with waits of no length between its tries."""
    scripts = disk.folder.parent / f"{disk.folder.name}-scripts"
    shutil.copytree(RAP, scripts)
    text = (scripts / "remote.py").read_text()
    assert "WAITS = (10, 60)" in text
    (scripts / "remote.py").write_text(text.replace("WAITS = (10, 60)", "WAITS = (0, 0)"))
    action, *options = arguments
    return subprocess.run(
        [sys.executable, scripts / "sync.py", action, f"{PROJECT}:{WHERE}", *options],
        cwd=disk.folder,
        env=disk.environment,
        capture_output=True,
        text=True,
    )
