"""The folder of a worker, for tests of sync.py."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stand_in import PROJECT, Platform
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

    def sync(self, *arguments: str, scripts: Path = RAP) -> subprocess.CompletedProcess[str]:
        action, *options = arguments
        return subprocess.run(
            [sys.executable, scripts / "sync.py", action, f"{PROJECT}:{WHERE}", *options],
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


def numbers(platform: Platform) -> list[int]:
    """Numbers of the indexes in the project."""
    return sorted(int(o["name"].split("-")[1]) for o in platform.named("index-*"))


BIG, SMALL = os.urandom(6_000_000), b"small"


def without_waits(disk: Disk, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run sync.py with waits of no length between its tries."""
    scripts = disk.folder.parent / f"{disk.folder.name}-scripts"
    shutil.copytree(RAP, scripts)
    text = (scripts / "remote.py").read_text()
    assert "WAITS = (10, 60)" in text
    (scripts / "remote.py").write_text(text.replace("WAITS = (10, 60)", "WAITS = (0, 0)"))
    return disk.sync(*arguments, scripts=scripts)
