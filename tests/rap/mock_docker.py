#!/usr/bin/env python3
"""A mock of `docker` for rehearsals: a command of the image runs with the Python of the tests.

`docker load` only checks that the file of the image is there. `docker run` translates the paths of
the container into those of this machine and starts the command in a process group of its own.
`docker stop` sends SIGTERM to this group, as `--init` with TINI_KILL_PROCESS_GROUP does. All else
about containers is not rehearsed.
"""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

IMAGE = "ptacl:latest"
ROOT = Path(__file__).resolve().parents[2]


def run(arguments: list[str]) -> int:
    options, command = arguments[: arguments.index(IMAGE)], arguments[arguments.index(IMAGE) + 1 :]
    paths = {"/opt/ptacl": str(ROOT)}
    for option, value in pairwise(options):
        if option == "--volume":
            outside, inside, *_ = value.split(":")
            paths[inside] = outside
        if option == "--name":
            running = state(value)
    command = [_outside(part, paths) for part in command]
    process = subprocess.Popen(command, cwd=paths["/work"], start_new_session=True)
    running.write_text(str(process.pid))
    status = process.wait()
    running.unlink()
    return status


def _outside(text: str, paths: dict[str, str]) -> str:
    """The path on this machine of a path of the container."""
    for inside, outside in paths.items():
        if text == inside or text.startswith(f"{inside}/"):
            return text.replace(inside, outside, 1)
    return text


def stop(name: str) -> int:
    if not state(name).exists():
        return 1
    group = int(state(name).read_text())
    os.killpg(group, signal.SIGTERM)
    for _ in range(600):
        if not state(name).exists():
            return 0
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return 0


def state(name: str) -> Path:
    """The file that holds the process of a running container, one per worker."""
    return Path(os.environ["PTACL_WORK"]).with_suffix(f".{name}")


def main() -> int:
    action, *arguments = sys.argv[1:]
    if action == "load":
        return 0 if Path(arguments[-1]).stat().st_size else 1
    if action == "run":
        return run(arguments)
    assert action == "stop", f"the mock knows no docker {action}"
    return stop(arguments[-1])


if __name__ == "__main__":
    sys.exit(main())
