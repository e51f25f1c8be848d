"""Check that storage gives the same bytes twice, and report how much a run may lose."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ptacl import config, lost_records, raw
from ptacl.cohort.inventory import BulkFile
from ptacl.exclusions import Excluded

READ, DIFFERENT = "files read twice", "of these, different"  # keys of the facts
_PAIRS = 10


def facts(pairs: Sequence[tuple[BulkFile, BulkFile]], settings: config.Config) -> dict[str, Any]:
    """Read the files of some visits twice, and return how many differ, with the limits of a run.

    Folders are not read. Unavailable is raised if the storage fails.
    """
    rows = np.unique(np.linspace(0, len(pairs) - 1, _PAIRS).astype(int))
    files = [file for row in rows for file in pairs[row] if not raw.is_folder(file.path)]
    different = sum(_differs(file) for file in files)
    limits, visits = settings.storage, len(pairs)
    of_shard = lost_records.allowed(limits.lost_of_shard, of=visits // settings.cohort.shards)
    of_cohort = lost_records.allowed(limits.lost_of_cohort, of=2 * visits)
    vanished = lost_records.allowed(limits.vanished, of=visits)
    return {
        READ: len(files),
        DIFFERENT: different,
        "a job stops beyond": f"{of_shard:,} unreadable or missing files",
        "the run stops beyond": f"{of_cohort:,} unreadable or missing files",
        "the next run stops beyond": f"{vanished:,} vanished visits",
    }


def _differs(file: BulkFile) -> bool:
    with raw.listed({file.path: file.size}):
        try:
            first = raw.read(file.path, largest=raw.LARGEST_BYTES)
            return first != raw.read(file.path, largest=raw.LARGEST_BYTES)
        except Excluded:  # the sample of visits tells why
            return False
