"""What of a run is finished in the current folder, and how it is packed."""

import base64
import binascii
import json
import os
import tarfile

STATES = "results/private/state"  # checkpoints of trainings, a folder each


def records(folder):
    """Return the files of Snakemake's records in a folder, by the path of their output."""
    found = {}
    for place, _, names in os.walk(folder):
        above = os.path.relpath(place, folder).replace("@", "").replace(os.sep, "")
        for name in names:
            encoded = ("" if above == "." else above) + name
            try:
                path = base64.urlsafe_b64decode(encoded).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            found[path] = os.path.join(place, name)
    return found


def finished():
    """Return the outputs of finished jobs, with the time at which their job ended.

    Outputs of a job that is running or was interrupted are left out, so the next worker makes them.
    """
    unfinished = records(".snakemake/incomplete")
    found = {}
    for path, record in records(".snakemake/metadata").items():
        if path in unfinished or not os.path.exists(path):
            continue
        try:
            with open(record) as file:
                content = json.load(file)
        except (OSError, ValueError):  # being written or removed
            continue
        if not content.get("incomplete"):
            found[path] = content["endtime"]
    return found


def size_of(path):
    """Return the bytes of a file, or of all files of a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    inside = (os.path.join(folder, n) for folder, _, names in os.walk(path) for n in names)
    return sum(os.path.getsize(file) for file in inside)


def checkpoints():
    """Return the folders of trainings that have a checkpoint, with its time of change."""
    found = {}
    for name in sorted(os.listdir(STATES) if os.path.isdir(STATES) else []):
        folder = f"{STATES}/{name}"
        try:
            found[folder] = os.stat(f"{folder}/checkpoint.pt").st_mtime_ns
        except OSError:  # no checkpoint yet, or finished meanwhile
            continue
    return found


def pack(archive, paths):
    """Write a tar file of files and folders."""
    with tarfile.open(archive, "w") as tar:
        for path in paths:
            tar.add(path)


def unpack(archive):
    """Extract a tar file of our own here, with the times of its files."""
    how = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(".", **how)
