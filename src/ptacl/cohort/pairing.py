"""Pair the ECG and the cine of each visit, and record why a visit is not paired."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptacl import participants
from ptacl.cohort import inventory
from ptacl.cohort.inventory import BulkFile
from ptacl.exclusions import Reason


@dataclass(frozen=True)
class Pairing:
    """The result of pairing.

    `pairs` holds ECG and cine in the order of visits, and `single` the visits that have only one of
    the two. `exclusions` are (visit, reason, detail), `counts` feeds the flow diagram, and `splits`
    are those that the source assigns to participants.
    """

    pairs: list[tuple[BulkFile, BulkFile]]
    single: list[tuple[BulkFile | None, BulkFile | None]]
    exclusions: list[tuple[str, Reason, str]]
    counts: dict[str, Any]
    splits: Mapping[str, str] = field(default_factory=dict)


def pair(
    ecgs: Sequence[BulkFile],
    cines: Sequence[BulkFile],
    *,
    withdrawn: Collection[str],
    instances: Collection[int],
) -> Pairing:
    """Pair the ECG and cine of the same visit.

    All other visits become exclusions with a reason. A duplicate file is noted as an exclusion too,
    although its visit is used.
    """
    exclusions: list[tuple[str, Reason, str]] = []
    used, counts = {}, {}
    for kind, files in (("ECG", ecgs), ("cine", cines)):
        used[kind], extra = inventory.first_of_each_visit(
            f for f in files if f.instance in instances
        )
        notes = [f for f in extra if f.participant not in withdrawn]
        exclusions += [
            (f.visit, Reason.DUPLICATE_FILE, _duplicate(kind, f, used[kind][f.visit]))
            for f in notes
        ]
        counts[kind] = {
            "files": len(files),
            "duplicates": len(extra),
            "other_instances": sum(f.instance not in instances for f in files),
            "visits": len(used[kind]),
        }
    visits = sorted({**used["ECG"], **used["cine"]}, key=participants.visit_order)
    reasons = {visit: _reason(visit, used["ECG"], used["cine"], withdrawn) for visit in visits}
    # withdrawn participants are counted, but never listed
    exclusions += [
        (visit, reason, "")
        for visit, reason in reasons.items()
        if reason and reason is not Reason.WITHDRAWN
    ]
    pairs = [
        (used["ECG"][visit], used["cine"][visit]) for visit, reason in reasons.items() if not reason
    ]
    alone = [visit for visit, reason in reasons.items() if reason in (Reason.NO_ECG, Reason.NO_CMR)]
    by_reason: dict[Reason, list[str]] = {
        reason: [] for reason in (Reason.WITHDRAWN, Reason.NO_ECG, Reason.NO_CMR)
    }
    for visit, reason in reasons.items():
        if reason is not None:
            by_reason[reason].append(visit)
    return Pairing(
        pairs=pairs,
        single=[(used["ECG"].get(visit), used["cine"].get(visit)) for visit in alone],
        exclusions=sorted(exclusions, key=lambda row: (participants.visit_order(row[0]), *row[1:])),
        counts={
            "files": counts,
            "found": _count(visits),
            "withdrawals_listed": len(withdrawn),
            "excluded": {reason.value: _count(members) for reason, members in by_reason.items()},
            "paired": _count([ecg.visit for ecg, _ in pairs]),
        },
    )


def _reason(
    visit: str, ecgs: Collection[str], cines: Collection[str], withdrawn: Collection[str]
) -> Reason | None:
    if visit.partition("_")[0] in withdrawn:
        return Reason.WITHDRAWN
    if visit not in ecgs:
        return Reason.NO_ECG
    return None if visit in cines else Reason.NO_CMR


def _duplicate(kind: str, extra: BulkFile, used: BulkFile) -> str:
    names = [
        f"array {f.array} of folder {f.folder + 1} ({f.path.rpartition('.')[2]})"
        for f in (extra, used)
    ]
    return f"{kind}: {names[0]} not used, {names[1]} is"


def _count(visits: Sequence[str]) -> dict[str, int]:
    return {"visits": len(visits), "participants": len({v.partition("_")[0] for v in visits})}
