"""Start and stop a mount that fails (failing_mount.py)."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


class Mount:
    """A folder that is mounted by a process of its own."""

    def __init__(self, source: Path, folder: Path) -> None:
        if not os.path.exists("/dev/fuse") or not shutil.which("fusermount3"):
            pytest.skip("no FUSE here: it needs /dev/fuse and fuse3")
        if importlib.util.find_spec("mfusepy") is None:
            pytest.skip("no mfusepy, which the mount needs")
        self.place, self._faults = folder / "mount", folder / "faults.json"
        self.place.mkdir(parents=True)
        self.faults()
        script = Path(__file__).with_name("failing_mount.py")
        arguments = [str(source), str(self.place), str(self._faults)]
        self._log = (folder / "mount.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(script), *arguments], stdout=self._log, stderr=self._log
        )
        for _ in range(100):
            if os.path.ismount(self.place):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        pytest.skip(f"cannot mount here: {(folder / 'mount.log').read_text().strip()}")

    def faults(self, *faults: dict[str, Any]) -> None:
        """Set the faults that apply from now on."""
        partial = self._faults.with_suffix(".partial")
        partial.write_text(json.dumps(faults))
        partial.replace(self._faults)

    def kill(self) -> None:
        """Kill the process; the folder then gives ENOTCONN."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Unmount the folder."""
        subprocess.run(["fusermount3", "-u", "-z", str(self.place)], capture_output=True)
        self._process.kill()
        self._process.wait()
        self._log.close()
