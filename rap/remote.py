"""The folder of a DNAnexus project that holds a run, reached with `dx`."""

import hashlib
import json
import os
import subprocess
import time

UNREADABLE, DIFFERENT, TAKEN = 3, 4, 5  # exit statuses of sync.py
LONGEST = 3600  # seconds of one call of dx
WAITS = (10, 60)  # seconds before a request is repeated that must not fail


class Failure(Exception):
    """An error with the exit status of the program."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def dx(*arguments, waits=()):
    """Run `dx` and return what it prints; Failure if it fails, and fails again after `waits`."""
    for wait in (*waits, None):
        try:
            done = subprocess.run(
                ["dx", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            raise Failure(UNREADABLE, f"dx {arguments[0]} took more than {LONGEST} s") from None
        if done.returncode == 0:
            return done.stdout.strip()
        if wait is None:
            raise Failure(UNREADABLE, f"dx {arguments[0]} failed: {done.stderr.strip()[-800:]}")
        time.sleep(wait)


class Remote:
    """The folder of the project that holds the run."""

    def __init__(self, where):
        self.where = where.rstrip("/")
        self.project = where.partition(":")[0]

    def list(self, name="*"):
        """Return the descriptions of all objects with a name, also of incomplete ones."""
        query = ["--class", "file", "--state", "any", "--path", self.where, "--norecurse"]
        found = dx("find", "data", *query, "--name", name, "--json", waits=WAITS)
        return [one["describe"] for one in json.loads(found)]

    def upload(self, path, name):
        """Upload a file; return its entry for the index."""
        target = ["--path", f"{self.where}/{name}", "--parents"]
        entry = {"name": name, "bytes": os.path.getsize(path), "sha256": sha256(path)}
        entry["id"] = dx("upload", path, *target, "--wait", "--brief", "--no-progress")
        return entry

    def download(self, entry, path):
        """Download an object and compare it with its entry; Failure if it stays different.

        `dx` skips an object that is not closed yet with status 0, and writes nothing.
        """
        for wait in (*WAITS, None):
            if os.path.exists(path):
                os.remove(path)
            self.fetch(entry["id"], path)
            complete = os.path.exists(path) and os.path.getsize(path) == entry["bytes"]
            if complete and sha256(path) == entry["sha256"]:
                return
            if wait is not None:
                time.sleep(wait)
        raise Failure(
            DIFFERENT,
            f"{entry['name']} ({entry['id']}) is not what the index says. Nothing was changed. To "
            "return to the save before it, remove the newest index of the folder with dx rm",
        )

    def fetch(self, identifier, path):
        """Download an object by its identifier; there can be several with one name."""
        target = f"{self.project}:{identifier}"
        dx("download", target, "-o", path, "-f", "--no-progress", waits=WAITS)

    def remove(self, identifiers):
        """Remove objects; what cannot be removed now is removed by a later save."""
        for start in range(0, len(identifiers), 100):
            some = [f"{self.project}:{one}" for one in identifiers[start : start + 100]]
            try:
                dx("rm", "-f", *some)
            except Failure as error:
                say(f"some old objects were not removed: {error}")


def indexes(objects):
    """Return the complete indexes as (number, worker, identifier), oldest first."""
    found = []
    for one in objects:
        if one["name"].startswith("index-") and one["state"] == "closed":
            _, number, worker = one["name"][: -len(".json")].split("-", 2)
            found.append((int(number), worker, one["id"]))
    return sorted(found)


def sha256(path):
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def say(text):
    """Print a line with the time."""
    print(time.strftime("%H:%M:%S ", time.gmtime()) + text, flush=True)
