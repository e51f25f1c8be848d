"""Let only one job of the platform work on a run.

A lock is an object `lock-JOB` in the folder of the run. It counts as long as its job lives, so a
job that ended without removing it does no harm.
"""

import json
import os
import tempfile

from remote import TAKEN, WAITS, Failure, dx

LIVE = {"idle", "waiting_on_input", "runnable", "running", "waiting_on_output", "terminating"}


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
    place = next(order(one) for one in locks if one["id"] == own)
    for one in locks:
        other = one["name"][len("lock-") :]
        if other == job() or order(one) > place:
            continue
        state = state_of(other, remote)
        if state in LIVE:
            remote.remove([own])
            raise Failure(
                TAKEN, f"{other} works on this run (it is {state}): wait, or dx terminate it"
            )


def release(remote):
    """Remove the locks of this job."""
    remote.remove([one["id"] for one in remote.list(f"lock-{job()}")])


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
