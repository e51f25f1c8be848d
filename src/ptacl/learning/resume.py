"""Stop a long job at any moment and resume it later.

A state folder has an identity, a lock and atomic checkpoints. It is not a declared output of any
rule of the workflow, because Snakemake deletes the declared outputs of a killed job.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

import torch

from ptacl import files

IDENTITY, CHECKPOINT = "identity.json", "checkpoint.pt"


@contextmanager
def resumable(folder: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a state folder that belongs to this process and this identity.

    A run with the same identity finds the state of the interrupted run; a run with another identity
    starts with an empty folder. The folder is removed if the context ends without an error, and
    stays after an error or a kill. RuntimeError is raised if another run is using the folder.

    `identity` must be serialisable as JSON and contain everything that decides the result:
    settings, seed, code and data.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        text = json.dumps(identity, sort_keys=True, indent=2) + "\n"
        path = folder / IDENTITY
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            files.write(path, text.encode())
        yield folder
        shutil.rmtree(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file that names its holder.

    The kernel releases the lock when the process ends, however it ends.
    """
    file = _open(path)
    try:
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
        path.unlink(missing_ok=True)
    finally:
        file.close()


def _open(path: Path) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise RuntimeError(
                f"{path.with_suffix('')} is in use by another run ({holder}): wait for it, "
                "or end that process, then run again"
            ) from None
        # If the last holder unlinked the file before we locked it, this lock excludes nobody.
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the checkpoint, completely or not at all.

    It can contain tensors, numbers, strings, and lists and dicts of them.
    """
    with files.whole(Path(folder) / CHECKPOINT) as partial:
        torch.save(dict(state), partial)


def load(folder: Path) -> dict[str, Any] | None:
    """Return the checkpoint on the CPU, or None if there is no checkpoint.

    Only data are loaded, so a checkpoint cannot run code.
    """
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Stop:
    """Records a request to end the process: the number of the signal, or 0."""

    signal = 0


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Catch SIGTERM and SIGINT (Ctrl-C) inside the context.

    The first signal sets a flag instead of ending the process; a second one ends it. A process that
    was started to ignore one of them, such as SIGINT for a background job of a script, continues to
    ignore it.
    """
    stop, before = Stop(), dict[int, Any]()

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    for wanted in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(wanted) is not signal.SIG_IGN:
            before[wanted] = signal.signal(wanted, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
