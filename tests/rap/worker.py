"""A worker of the platform: an empty disk, a new mount, and the files that a job was given."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mounts import Mount
from stand_in import PROJECT, Platform

RAP = Path(__file__).parents[2] / "rap"
SCRIPTS = ("job.sh", "sync.py", "lock.py", "outputs.py", "remote.py", "stop.py")


class Worker:
    """One life of a worker; `kill` takes everything on it away at once, its disk too.

    All lives have the same paths, as on the platform.
    """

    def __init__(
        self, folder: Path, platform: Platform, source: Path, *, number: int, job: str, dx: Path
    ) -> None:
        folder.mkdir()
        self.folder, self.mount = folder, Mount(source, folder / "mounted")
        self.work, self.log = folder / "work", folder.with_suffix(f".{number}.log")
        programs = folder / "programs"
        programs.mkdir()
        (programs / "docker").symlink_to(Path(__file__).with_name("mock_docker.py"))
        (programs / "dx").symlink_to(dx)
        path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DX_", "PTACL_"))},
            **platform.environment(),
            "PATH": os.pathsep.join(path),
            "DX_JOB_ID": job,
            "PTACL_WORK": str(self.work),
            "PTACL_MOUNT": str(self.mount.place),
            "PTACL_DISK_GB": "1",
            "PTACL_SAVE_SECONDS": "600",
            "PTACL_REMOUNT": "true",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str], configuration: list[Path]) -> None:
        """Start a job with the scripts and these files in its folder."""
        files = [*(RAP / name for name in SCRIPTS), *configuration]
        given = self.folder / "given"
        given.mkdir()
        for path in files:
            shutil.copy(path, given)
        self.start_in(given, command)

    def start_in(self, given: Path, command: list[str]) -> None:
        """Start a job in the folder of the files that it was given."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=given,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for(self, pattern: str, *, times: int = 1, timeout: float = 120) -> None:
        """Wait until lines of the log have matched a pattern so many times."""
        for _ in range(int(timeout / 0.1)):
            if self.count(pattern) >= times:
                return
            assert self.wait(0.1) is None, self.log.read_text()[-4000:]
        raise AssertionError(f"no {pattern!r} in:\n{self.log.read_text()[-4000:]}")

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.log.read_text()))

    def finish(self, timeout: float = 300) -> None:
        """Wait until the job has ended well."""
        assert self.wait(timeout) == 0, self.log.read_text()[-6000:]

    def wait(self, timeout: float) -> int | None:
        """The exit status, or None if the job still runs."""
        assert self.process
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process of this worker, and unmount."""
        for _ in range(100):
            mine = [p for p in Path("/proc").glob("[0-9]*") if self._is_mine(p)]
            if not mine:
                break
            for process in mine:
                try:
                    os.kill(int(process.name), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        if self.process:
            self.process.wait()
        self.mount.stop()
        shutil.rmtree(self.folder)

    def _is_mine(self, process: Path) -> bool:
        try:
            return f"PTACL_WORK={self.work}\0".encode() in (process / "environ").read_bytes()
        except OSError:
            return False


def job_command(image: str, *arguments: str, run: str = "/ptacl/rehearsal") -> list[str]:
    """The command of a job, as submit.sh makes it."""
    where = ["--run", f"{PROJECT}:{run}", "--image", image]
    return ["bash", "job.sh", *where, *arguments]
