#!/usr/bin/env python3
"""Keep the results of a run in a folder of a DNAnexus project, so that a worker can be replaced.

    sync.py restore PROJECT:/FOLDER [--new]      start: fetch what earlier workers saved
    sync.py watch PROJECT:/FOLDER [--every 600]  save again and again, until it is killed
    sync.py save PROJECT:/FOLDER                 save once more, at the end
    sync.py release PROJECT:/FOLDER              give the run back to other jobs
    sync.py check PROJECT:/FOLDER                write, list and remove an object, and find this job

It works in the current folder, which holds `results` and `.snakemake`. Objects of the platform
never change, so nothing is replaced. Finished outputs of more than 5 MB are uploaded once,
checkpoints when they changed, and all small files every time, as tar files. An index that lists
these tar files with their sizes and hashes is uploaded last. The newest complete index is the state
of the run; objects that the last two indexes do not list are removed.

A worker that the platform has given up may still be running. Every start of a worker therefore has
an identifier that contains its time. A save that finds the index of a later worker stops, and
removes nothing.

Exit status: 0 success, 2 wrong use, 3 the project cannot be read or holds no run, 4 an object is
not what the index says, 5 the run belongs to another job or a later worker.

It needs `dx` and Python 3.8 or later, and nothing else.
"""

import argparse
import errno
import json
import os
import secrets
import sys
import tempfile
import time

import lock
from outputs import checkpoints, finished, pack, records, size_of, unpack
from remote import DIFFERENT, TAKEN, UNREADABLE, Failure, Remote, indexes, say

LOCAL = ".sync.json"  # what this worker restored and saved last
LARGE = 5_000_000  # bytes from which an output is uploaded on its own, once
# Files and folders that belong to the run although no rule declares them as outputs.
UNDECLARED = (
    "results/private/cohort/current",
    "results/private/cohort/shards",
    "results/logs",
    "results/benchmarks",
    "results/tensorboard",
)
PACKING_TRIES = 5
EMPTY = {"outputs": {}, "checkpoints": {}}


class Changed(Exception):
    """A job wrote or removed files while they were packed."""


class Run:
    """The run in the project, and what this worker knows of it."""

    def __init__(self, remote, *, large=LARGE):
        self.remote, self.large = remote, large
        self.worker, self.previous, self.index = "", None, None
        self.kept = []  # identifiers of the last two indexes
        self.uploaded = {}  # large outputs that no index lists yet, as a save failed after them

    def load(self):
        """Read what this worker did last."""
        try:
            with open(LOCAL) as file:
                known = json.load(file)
        except FileNotFoundError:
            raise Failure(2, f"there is no {LOCAL} here: restore first") from None
        self.worker, self.uploaded = known["worker"], known["uploaded"]
        self.kept = known["kept"]
        self.previous, self.index = known["previous"], known["index"]

    def store(self):
        """Remember what this worker did last."""
        known = {
            "worker": self.worker,
            "uploaded": self.uploaded,
            "kept": self.kept,
            "previous": self.previous,
            "index": self.index,
        }
        with open(LOCAL + ".partial", "w") as file:
            json.dump(known, file)
        os.replace(LOCAL + ".partial", LOCAL)

    def restore(self, *, new):
        """Lock the run for this job, and fetch the state of its newest index."""
        if os.path.exists(".snakemake/metadata") or os.path.exists("results/private"):
            raise Failure(2, "this folder holds results already: restore into an empty one")
        lock.acquire(self.remote)
        objects = self.remote.list()
        found = indexes(objects)
        if not found and not new:
            raise Failure(UNREADABLE, f"{self.remote.where} holds no run; --new begins one")
        # later than all others, even if the clock of this worker is behind
        last = max((int(worker.split("-")[0]) for _, worker, _ in found), default=0)
        self.worker = f"{max(int(time.time()), last + 1)}-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(dir=".") as folder:
            index = self.fetch_index(found[-1], folder) if found else EMPTY
            self.kept = [one[2] for one in found[-1:]]
            self.index = index
            # This index tells a worker that was given up, and is still saving, to stop. It comes
            # before the downloads, or that worker could remove what is being downloaded.
            self.write(dict(index, number=next_number(objects)), folder)
            local = os.path.join(folder, "object")
            for entry in entries(index):
                self.remote.download(entry, local)
                unpack(local)
        # without it, Snakemake takes the folder for one of an old version
        os.makedirs(".snakemake/incomplete", exist_ok=True)
        self.store()
        if not found:
            say("a new run")
            return
        say(
            f"restored save {found[-1][0]}: {len(index['outputs'])} large outputs, "
            f"{len(index['checkpoints'])} checkpoints"
        )

    def fetch_index(self, found, folder):
        """Return the content of an index."""
        local = os.path.join(folder, "index.json")
        self.remote.fetch(found[2], local)
        if not os.path.exists(local):
            raise Failure(DIFFERENT, f"index {found[0]} cannot be downloaded")
        with open(local) as file:
            return json.load(file)

    def save(self):
        """Upload what is new, then an index, and remove what is no longer needed."""
        objects = self.remote.list()
        self.require_latest(objects)
        number = next_number(objects)
        with tempfile.TemporaryDirectory(dir=".") as folder:
            for attempt in range(PACKING_TRIES):
                try:
                    index = self.upload_all(os.path.join(folder, "archive.tar"), number)
                    break
                except (Changed, OSError) as error:
                    if (
                        attempt == PACKING_TRIES - 1
                        or getattr(error, "errno", None) == errno.ENOSPC
                    ):
                        raise Failure(UNREADABLE, f"nothing was saved: {error}") from None
                    time.sleep(1)
            self.write(index, folder)
        self.store()
        self.clean()
        say(
            f"save {index['number']}: {len(index['outputs'])} large outputs, "
            f"{len(index['checkpoints'])} checkpoints"
        )

    def upload_all(self, archive, number):
        """Upload what changed since the last index; return the new index."""
        done = finished()
        index = {"number": number, "outputs": {}, "checkpoints": {}}
        for path, ended in sorted(done.items()):
            known = self.uploaded.get(path) or self.index["outputs"].get(path)
            if known and known["ended"] == ended:
                index["outputs"][path] = known
            elif size_of(path) >= self.large:
                pack(archive, [path])
                if finished().get(path) != ended:
                    raise Changed(f"{path} changed while it was packed")
                entry = self.remote.upload(archive, f"{slug(path)}.{number:06}.tar")
                index["outputs"][path] = dict(entry, ended=ended)
                self.uploaded[path] = index["outputs"][path]
                self.store()
        for folder, changed in checkpoints().items():
            known = self.index["checkpoints"].get(folder)
            if known and known["changed"] == changed:
                index["checkpoints"][folder] = known
                continue
            pack(archive, [f"{folder}/identity.json", f"{folder}/checkpoint.pt"])
            if checkpoints().get(folder) != changed:
                raise Changed(f"{folder} changed while it was packed")
            entry = self.remote.upload(archive, f"{slug(folder)}.{number:06}.tar")
            index["checkpoints"][folder] = dict(entry, changed=changed)
        kept = records(".snakemake/metadata")
        small = [path for path in done if path not in index["outputs"]]
        pack(
            archive,
            [
                *(kept[path] for path in done if path in kept),
                *small,
                *(path for path in UNDECLARED if os.path.exists(path)),
            ],
        )
        now = finished()
        if any(now.get(path) != ended for path, ended in done.items()):
            raise Changed("an output was made again while small files were packed")
        index["small"] = self.remote.upload(archive, f"small.{number:06}.tar")
        return index

    def write(self, index, folder):
        """Upload an index, which makes it the state of the run."""
        local = os.path.join(folder, "index.json")
        with open(local, "w") as file:
            json.dump(index, file, indent=1)
        entry = self.remote.upload(local, f"index-{index['number']:06}-{self.worker}.json")
        self.previous, self.index, self.uploaded = self.index, index, {}
        self.kept = [*self.kept, entry["id"]][-2:]

    def require_latest(self, objects):
        """Stop if a later worker has taken over the run."""
        for _, worker, _ in indexes(objects):
            if worker > self.worker:
                raise Failure(TAKEN, "a later worker has taken over this run: nothing was saved")

    def clean(self):
        """Remove other indexes than the last two, and what these do not list."""
        objects = self.remote.list()
        self.require_latest(objects)
        needed = {entry["id"] for known in (self.previous, self.index) for entry in entries(known)}
        unneeded = []
        for one in objects:
            if one["name"].startswith("lock-"):
                continue
            if one["name"].startswith("index-"):
                needless = one["id"] not in self.kept
            else:
                needless = one["id"] not in needed
            if needless:
                unneeded.append(one["id"])
        self.remote.remove(unneeded)


def next_number(objects):
    """Return a number above those of all indexes, also of incomplete ones."""
    names = [one["name"] for one in objects if one["name"].startswith("index-")]
    return 1 + max((int(name.split("-")[1]) for name in names), default=0)


def entries(index):
    """Return the entries of all objects that an index lists."""
    if index is None:
        return []
    small = [index["small"]] if "small" in index else []
    return [*index["outputs"].values(), *index["checkpoints"].values(), *small]


def slug(path):
    """Return the name of an archive for a path."""
    return path.replace("results/", "", 1).replace("/", "-")


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["restore", "watch", "save", "release", "check"])
    parser.add_argument("where", metavar="PROJECT:/FOLDER")
    parser.add_argument("--new", action="store_true", help="begin a run if there is none")
    parser.add_argument("--every", type=float, default=600, metavar="S", help="seconds")
    parser.add_argument(
        "--large", type=int, default=LARGE, metavar="BYTES", help="size of outputs saved once"
    )
    given = parser.parse_args()
    run = Run(Remote(given.where), large=given.large)
    try:
        if given.action == "restore":
            run.restore(new=given.new)
        elif given.action == "save":
            run.load()
            run.save()
        elif given.action == "release":
            lock.release(run.remote)
        elif given.action == "check":
            lock.check(run.remote)
        while given.action == "watch":
            time.sleep(given.every)
            run.load()
            try:
                run.save()
            except Exception as error:
                if isinstance(error, Failure) and error.status == TAKEN:
                    raise
                say(f"not saved, next try in {given.every:.0f} s: {error!r}")
    except Failure as error:
        print(f"sync.py: {error}", file=sys.stderr, flush=True)
        sys.exit(error.status)


if __name__ == "__main__":
    main()
