"""A read-only mount of a folder that fails on demand, as a network mount does.

    python failing_mount.py SOURCE MOUNTPOINT FAULTS.json

FAULTS.json is a list of faults, and is read again at every call:

    {"path": regular expression, "on": "open", "read", "getattr" or "readdir",
     "errno": "EIO", "times": 1}       an error, at most so many times
    {"path": ..., "on": "read", "short": 1000, "times": 1}     a file that ends after 1,000 bytes
    {"path": ..., "on": "open", "slow": 0.2}                   seconds
    {"path": ..., "on": "open", "slow": 0.2, "serial": true}   seconds, one call after the other

A folder is listed once and remembered, as dxfuse does.
"""

import errno
import json
import os
import re
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mfusepy


class FailingMount(mfusepy.Operations):
    """Passes every call on to the source folder, unless a fault applies."""

    use_ns = False

    def __init__(self, source: str, faults: str) -> None:
        self.source, self.faults = source, Path(faults)
        self.listed: dict[str, list[str]] = {}
        self.spent: dict[str, int] = {}
        self.lock, self.queue = threading.Lock(), threading.Lock()

    def fault(self, on: str, path: str) -> dict[str, Any]:
        """Return the fault that applies to a call, after its delay; raise its error."""
        try:
            known = json.loads(self.faults.read_text())
        except (OSError, ValueError):
            return {}
        for fault in known:
            if fault["on"] != on or not re.search(fault["path"], path):
                continue
            with self.lock:
                key = json.dumps(fault)
                self.spent[key] = self.spent.get(key, 0) + 1
                if self.spent[key] > fault.get("times", sys.maxsize):
                    continue
            with self.queue if fault.get("serial") else nullcontext():
                time.sleep(fault.get("slow", 0.0))
            if "errno" in fault:
                raise mfusepy.FuseOSError(getattr(errno, fault["errno"]))
            return dict(fault)
        return {}

    def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
        self.fault("getattr", path)
        try:
            status = os.stat(self.source + path)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None
        names = ("st_mode", "st_size", "st_nlink", "st_uid", "st_gid", "st_mtime")
        return {name: getattr(status, name) for name in names}

    def readdir(self, path: str, fh: Any) -> list[str]:
        self.fault("readdir", path)
        if path not in self.listed:
            self.listed[path] = os.listdir(self.source + path)
        return [".", "..", *self.listed[path]]

    def open(self, path: str, flags: int) -> int:
        self.fault("open", path)
        try:
            return os.open(self.source + path, os.O_RDONLY)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        fault = self.fault("read", path)
        if "short" in fault:
            size = max(0, min(size, fault["short"] - offset))
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0


if __name__ == "__main__":
    source, place, faults = sys.argv[1:]
    mfusepy.FUSE(
        FailingMount(source, faults),
        place,
        foreground=True,
        ro=True,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
    )
