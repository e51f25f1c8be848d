#!/usr/bin/env python3
"""Ask the run in this container to stop: Snakemake starts no more jobs, and trainings save.

    stop.py FOLDER      folder in which the processes run

A training that receives a second signal ends without saving, so no process is signalled twice.
"""

import os
import signal
import sys
import tempfile


def arguments(process):
    """Return the command line of a process, empty if it has ended."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def is_ours(process, folder):
    """Return whether a process is Snakemake or a training, and runs in the folder."""
    words = arguments(process)
    if not os.path.basename(words[0] if words else "").startswith("python"):
        return False
    snakemake = os.path.basename(words[1]) == "snakemake" or words[1:3] == ["-m", "snakemake"]
    if not (snakemake or "ptacl.learning.train" in words):
        return False
    try:
        return os.readlink(f"/proc/{process}/cwd") == os.path.realpath(folder)
    except OSError:
        return False


def main():
    """Signal each process once."""
    folder = sys.argv[1]
    name = os.path.realpath(folder).replace(os.sep, "-")
    record = os.path.join(tempfile.gettempdir(), f"stopped{name}")
    try:
        with open(record) as file:
            done = set(file.read().split())
    except FileNotFoundError:
        done = set()
    found = [p for p in os.listdir("/proc") if p.isdigit() and p not in done]
    for process in found:
        if is_ours(process, folder):
            with open(record, "a") as file:
                file.write(f"{process}\n")
            os.kill(int(process), signal.SIGTERM)


if __name__ == "__main__":
    main()
