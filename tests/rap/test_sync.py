"""Saving and restoring, with the real `dx` against a stand-in."""

import base64
from pathlib import Path

import pytest
from disk import BIG, JOBS, SMALL, WHERE, Disk, numbers, without_waits
from stand_in import Fault, Platform


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
    # the first index is that of the start
    assert numbers(platform) == [4, 5]
    others = {o["name"] for o in platform.objects.values() if not o["name"].startswith("index-")}
    assert others == {
        f"lock-{JOBS[0]}",
        "private-ecg-0-data.000002.tar",
        "private-state-ecg_mae-0.000002.tar",
        "small.000004.tar",
        "small.000005.tar",
    }


def test_a_killed_upload_leaves_an_open_object_that_is_not_used(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    for name in ("index-000009-9999999999-aaaa.json", "small.000009.tar"):
        platform.create({"folder": WHERE, "name": name, "parents": True})
    second = Disk(tmp_path / "second", platform, dx)
    assert "restored save 2:" in second.done("restore")
    second.done("save")
    assert not platform.named("*000009*.tar")


def test_the_check_writes_and_removes_an_object(
    tmp_path: Path, platform: Platform, dx: Path
) -> None:
    platform.jobs[JOBS[0]] = {"id": JOBS[0], "class": "job", "state": "running"}
    disk = Disk(tmp_path / "first", platform, dx)
    disk.done("check")
    assert not platform.objects
    platform.faults = [Fault("file/new", 401, 9)]
    assert disk.sync("check").returncode == 3


def test_busy_servers_are_waited_for(disk: Disk, platform: Platform) -> None:
    platform.faults = [Fault("file/new", 503, 2), Fault("findDataObjects", 503, 1)]
    disk.done("save")
    assert [fault.times for fault in platform.faults] == [0, 0]


def test_objects_that_close_late_are_waited_for(disk: Disk, platform: Platform) -> None:
    platform.closing_seconds = 0.5
    disk.done("save")
    assert all(platform.describe(o)["state"] == "closed" for o in platform.named("small*"))


@pytest.mark.parametrize("damage", ["other bytes", "open"])
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
        path.write_bytes(content[:-1] + b"?")
        large["parts"] = {}
    second = Disk(tmp_path / "second", platform, dx)
    ended = without_waits(second, "restore", "--new")
    assert ended.returncode in (3, 4), ended.stdout + ended.stderr
    assert not (second.folder / ".sync.json").exists()
    assert platform.named("index-000002*")
