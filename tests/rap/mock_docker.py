#!/usr/bin/env python3
"""A mock of `docker` for rehearsals: a command of the image runs with the Python of the tests.

`docker load` only checks that the file of the image is there. `docker run` translates the paths of
the container into those of this machine and starts the command in a process group of its own, which
is killed when its first process ends. `docker exec` runs another command with the same paths, and
`docker kill` kills the group. All else about containers is not rehearsed.
"""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

IMAGE = "ptacl:latest"
ROOT = Path(__file__).resolve().parents[2]


def run(arguments: list[str]) -> int:
    """Run a command; when its first process ends, all others do, as in a container."""
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
    running.write_text(json.dumps({"group": process.pid, "paths": paths}))
    status = process.wait()
    _signal(process.pid, signal.SIGKILL)
    running.unlink()
    return status


def execute(name: str, command: list[str]) -> int:
    """Run another command in a running container."""
    if not state(name).exists():
        return 1
    paths = json.loads(state(name).read_text())["paths"]
    return subprocess.run([_outside(part, paths) for part in command]).returncode


def kill(name: str) -> int:
    if not state(name).exists():
        return 1
    _signal(json.loads(state(name).read_text())["group"], signal.SIGKILL)
    return 0


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _outside(text: str, paths: dict[str, str]) -> str:
    """The path on this machine of a path of the container."""
    for inside, outside in paths.items():
        if text == inside or text.startswith(f"{inside}/"):
            return text.replace(inside, outside, 1)
    return text


def state(name: str) -> Path:
    """The file that holds the process of a running container, one per worker."""
    return Path(os.environ["PTACL_WORK"]).with_suffix(f".{name}")


def main() -> int:
    action, *arguments = sys.argv[1:]
    if action == "load":
        return 0 if Path(arguments[-1]).stat().st_size else 1
    if action == "run":
        return run(arguments)
    if action == "exec":
        return execute(arguments[0], arguments[1:])
    assert action == "kill", f"the mock knows no docker {action}"
    return kill(arguments[-1])


if __name__ == "__main__":
    sys.exit(main())
