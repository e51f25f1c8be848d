"""Stop a long job at any moment and go on where it was: a state folder with an identity, a lock, and atomic checkpoints.

The folder lies where no rule of the workflow declares an output, since Snakemake deletes what a killed job declared.
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
    """A state folder that belongs to this process and this identity.

    The same identity finds the state of the interrupted run, another starts with an empty folder. Leaving without an error
    removes the folder; with one, or by a kill, it stays. RuntimeError if another run holds it.

    identity : JSON-able; all that decides the result: settings, seed, code, data.
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
    """Hold a lock file that names its holder. The kernel drops the lock with the process, however that ends."""
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
                f"{path.with_suffix('')} is in use by another run ({holder}): wait for it, or end that process, then run again"
            ) from None
        # The last holder may have unlinked the file between our open and our lock; then it locks nobody out.
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the checkpoint, whole or not at all: tensors, numbers, strings, and lists and dicts of them."""
    with files.whole(Path(folder) / CHECKPOINT) as partial:
        torch.save(dict(state), partial)


def load(folder: Path) -> dict[str, Any] | None:
    """The checkpoint on the CPU, or None if there is none. Holds no code, and none would be run."""
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Stop:
    """Whether the process was asked to end; the number of the signal, else 0."""

    signal = 0


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, SIGTERM and SIGINT (Ctrl-C) set a flag instead of ending the process; a second one ends it.

    A process that was started to ignore one of them, such as SIGINT in the background of a script, goes on ignoring it.
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
