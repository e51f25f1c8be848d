"""Workers that replace each other, with the real `dx` against a stand-in."""

import json
import subprocess
from pathlib import Path

from disk import JOBS, SMALL, WHERE, Disk, numbers, without_waits
from stand_in import PROJECT, Fault, Platform


def test_a_project_that_cannot_be_read_never_begins_a_new_run(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    disk.done("save")
    for fault in (Fault("findDataObjects", 401, 99), Fault("get/", 401, 99)):
        platform.faults = [fault]
        second = Disk(tmp_path / fault.path.strip("/"), platform, dx)
        # a token that has expired fails at once; the waits between tries are not rehearsed
        ended = without_waits(second, "restore", "--new")
        assert ended.returncode == 3, ended.stdout + ended.stderr
        assert not (second.folder / "results").exists()
        assert not (second.folder / ".sync.json").exists()


def test_a_folder_without_a_run_is_an_error_without_new(
    tmp_path: Path, platform: Platform, dx: Path
) -> None:
    ended = Disk(tmp_path / "first", platform, dx).sync("restore")
    assert ended.returncode == 3 and "holds no run; --new begins one" in ended.stderr


def test_a_worker_that_was_given_up_before_its_first_save_changes_nothing(
    tmp_path: Path, platform: Platform, dx: Path
) -> None:
    first, second = (Disk(tmp_path / name, platform, dx) for name in ("first", "second"))
    first.done("restore", "--new")
    second.done("restore", "--new")
    first.output("results/tables/a.csv", b"of the first")
    assert first.sync("save").returncode == 5
    second.output("results/tables/a.csv", SMALL)
    second.done("save")
    third = Disk(tmp_path / "third", platform, dx)
    third.done("restore")
    assert (third.folder / "results/tables/a.csv").read_bytes() == SMALL


def test_the_successor_is_known_before_it_downloads(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    """While it downloads, the worker that was given up removes nothing of it."""
    disk.done("save")
    second = Disk(tmp_path / "second", platform, dx)
    seen: list[tuple[int, ...]] = []
    answer = platform.answer

    def watched(path: str, body: dict) -> object:
        if path.endswith("/download"):
            seen.append(tuple(numbers(platform)))
        return answer(path, body)

    platform.answer = watched
    second.done("restore")
    index, *others = seen
    assert index == (1, 2) and set(others) == {(1, 2, 3)}


def test_a_save_that_was_killed_after_its_index_is_no_obstacle(
    disk: Disk, tmp_path: Path, platform: Platform, dx: Path
) -> None:
    known = (disk.folder / ".sync.json").read_bytes()
    disk.done("save")
    (disk.folder / ".sync.json").write_bytes(known)  # as if it had been killed just before
    disk.output("results/tables/b.csv", SMALL)
    disk.done("save")
    second = Disk(tmp_path / "second", platform, dx)
    second.done("restore")
    assert second.files().keys() == disk.files().keys()


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
    second = Disk(tmp_path / "second", platform, dx)
    second.done("restore")
    assert numbers(platform) == [1, 2, 3]
    # the first was in the middle of a save, and wrote the same number
    saved = next(o for o in platform.named("index-000002*"))
    late = tmp_path / "late.json"
    late.write_bytes(platform.path(saved["id"]).read_bytes())
    worker = json.loads((disk.folder / ".sync.json").read_text())["worker"]
    subprocess.run(
        [dx, "upload", late, "--path", f"{PROJECT}:{WHERE}/index-000003-{worker}.json", "--wait"],
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
