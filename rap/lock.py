"""Let only one job of the platform work on a run.

A lock is an object `lock-JOB` in the folder of the run. It counts as long as its job lives, so a
job that ended without removing it does no harm.
"""

import json
import os
import tempfile

from remote import TAKEN, UNREADABLE, WAITS, Failure, dx

ENDED = {"done", "failed", "terminated"}


def job():
    """Return the identifier of this job; it stays the same if the platform restarts the job."""
    return os.environ.get("DX_JOB_ID", "job-local")


def acquire(remote):
    """Refuse if another live job works on this run; of two that start at once, one stays."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(job().encode())
        file.flush()
        own = remote.upload(file.name, f"lock-{job()}")["id"]
    locks = remote.list("lock-*")
    places = [order(one) for one in locks if one["id"] == own]
    if not places:
        raise Failure(UNREADABLE, f"the lock of this job is not in {remote.where}")
    place = places[0]
    for one in locks:
        other = one["name"][len("lock-") :]
        if other == job() or order(one) > place:
            continue
        state = state_of(other, remote)
        if state not in ENDED:
            remote.remove([own])
            raise Failure(
                TAKEN, f"{other} works on this run (it is {state}): wait, or dx terminate it"
            )


def release(remote):
    """Remove the locks of this job."""
    remote.remove([one["id"] for one in remote.list(f"lock-{job()}")])


def check(remote):
    """Write, list and remove an object, and find this job; Failure if any of it is not allowed."""
    name = f"check-{job()}"
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"check")
        file.flush()
        own = remote.upload(file.name, name)["id"]
    if own not in [one["id"] for one in remote.list(name)]:
        raise Failure(UNREADABLE, f"an object that was written to {remote.where} is not listed")
    dx("rm", f"{remote.project}:{own}")
    if "DX_JOB_ID" in os.environ:
        dx("describe", job(), "--json")


def order(lock):
    """Return a key that sorts locks by their time."""
    return lock["modified"], lock["id"]


def state_of(other, remote):
    """Return the state of another job."""
    try:
        return json.loads(dx("describe", other, "--json", waits=WAITS))["state"]
    except Failure as error:
        raise Failure(
            TAKEN,
            f"{other} may be working on this run ({error}). If it is not, remove lock-{other} from "
            f"{remote.where} with dx rm",
        ) from None
