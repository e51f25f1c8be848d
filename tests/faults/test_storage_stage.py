"""Stages on a mount that fails, as processes of their own: status, message, and what is left."""

import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mounted_cohort import members
from mounts import Mount
from storage import NO_LIMITS

from ptacl import config


@pytest.fixture
def stage(settings: config.Config, tmp_path: Path) -> Callable[..., Any]:
    """Run the preparation of ECGs as a stage, in a process of its own."""

    def run(rows: list[dict[str, str]]) -> subprocess.CompletedProcess[str]:
        with (tmp_path / "0.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        options = ["--members", str(tmp_path / "0.csv"), "--store", str(tmp_path / "store")]
        options += ["--manifest", str(tmp_path / "0.json"), "--sheet", str(tmp_path / "0.png")]
        options += ["--settings", config.dump(settings.ecg), "--storage", NO_LIMITS]
        return subprocess.run(
            [sys.executable, "-m", "ptacl.ecg.prepare", *options], capture_output=True, text=True
        )

    return run


def test_the_stage_ends_with_status_75_and_one_line_without_an_id(
    mount: Mount, settings: config.Config, stage: Callable[..., Any], tmp_path: Path
) -> None:
    rows = members(settings, mount.place)
    mount.faults({"path": r"9000004_20205.*xml", "on": "open", "errno": "EPERM"})
    ended = stage(rows)
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert ended.returncode == 75 and len(errors) == 1, ended.stderr
    assert errors[0].startswith("error: record 4 of the list: EPERM (Operation not permitted): ")
    assert errors[0].endswith("log in again, or mount again")
    assert "Traceback" not in ended.stderr and not re.search(r"90000\d\d", ended.stderr)
    assert not (tmp_path / "0.json").exists()
    mount.faults()
    assert stage(rows).returncode == 0
    assert len(json.loads((tmp_path / "0.json").read_text())["visits"]) == 6


def test_a_mount_that_is_killed_midway_stops_the_stage(
    source: Path, settings: config.Config, stage: Callable[..., Any], tmp_path: Path
) -> None:
    mount = Mount(source, tmp_path / "m")
    rows = members(settings, mount.place)
    mount.faults({"path": "xml", "on": "open", "slow": 1.0})
    killer = threading.Thread(target=lambda: (time.sleep(3.0), mount.kill()))
    killer.start()
    try:
        ended = stage(rows)
    finally:
        killer.join()
        mount.stop()
    assert ended.returncode == 75, ended.stderr
    assert "ENOTCONN" in ended.stderr and "mount it again" in ended.stderr
    assert not os.path.exists(tmp_path / "0.json")
