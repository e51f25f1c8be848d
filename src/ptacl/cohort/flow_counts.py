"""Count what the flow diagram shows, without any ids."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ptacl.cohort.prepared import Prepared
from ptacl.exclusions import Reason

SPLITS = ("train", "validation", "test")
_KEYS = ("visit", "participant", "instance", "split", "shard")
_COVARIATES = ("sex", "age", "height_cm", "weight_kg")
_ORDER = {reason.value: i for i, reason in enumerate(Reason)}


def describe(
    manifest: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    ecg: Prepared,
    cmr: Prepared,
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the counts in the order of the diagram, without any ids.

    `visits` of a step is the number that remains after its `excluded`. All columns of `manifest`
    and `participants` are text; an empty cell is a missing value.
    """
    paired = set(manifest["visit"])  # leaves out visits that are only used for pre-training
    reasons = {"ecg": ecg.reasons(paired), "cmr": cmr.reasons(paired)}
    by_split = {split: participants[participants["split"] == split] for split in SPLITS}
    phenotypes: dict[str, dict[str, int]] = {}
    for name in manifest.columns:
        if name not in _KEYS + _COVARIATES:
            counts = {split: int((rows[name] != "").sum()) for split, rows in by_split.items()}
            phenotypes[name] = counts
    crops: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    interpolated = 0
    for visit in participants["visit"]:
        crops[str(cmr.quality[visit]["crop"]["source"])] += 1
        interpolated += "interpolated_from_frames" in cmr.quality[visit]
        for prepared in (ecg, cmr):
            flags.update(prepared.quality[visit].get("flags", []))
    return {
        "files": summary["files"],
        "steps": _steps(manifest, participants, reasons=reasons, summary=summary),
        "splits": {split: _count(rows) for split, rows in by_split.items()},
        "phenotypes": phenotypes,
        "crop": dict(sorted(crops.items())),
        "interpolated": interpolated,
        "flags": dict(sorted(flags.items())),
        "exclusions": {stage: _tally(by_visit.values()) for stage, by_visit in reasons.items()},
        "tables": summary["tables"],
    }


def _steps(
    manifest: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    reasons: Mapping[str, Mapping[str, str]],
    summary: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the steps of the diagram; `reasons` are those of each modality by visit."""
    excluded, found = summary["excluded"], summary["found"]
    withdrawn = excluded[Reason.WITHDRAWN.value]
    kept = {key: found[key] - withdrawn[key] for key in ("visits", "participants")}
    with_ecg = manifest[~manifest["visit"].isin(list(reasons["ecg"]))]
    only_cmr = {visit: r for visit, r in reasons["cmr"].items() if visit not in reasons["ecg"]}
    single = {r.value: excluded[r.value]["visits"] for r in (Reason.NO_ECG, Reason.NO_CMR)}
    return [
        _step("found", "Visits with an ECG or a cine", found, {}),
        _step("kept", "Consent not withdrawn", kept, {"withdrawn": withdrawn["visits"]}),
        _step("paired", "ECG and cine of the same visit", summary["paired"], single),
        _step("ecg", "ECG usable", _count(with_ecg), _tally(reasons["ecg"].values())),
        _step("usable", "ECG and cine usable", _count(participants), _tally(only_cmr.values())),
    ]


def _step(
    name: str, title: str, left: Mapping[str, int], excluded: Mapping[str, int]
) -> dict[str, Any]:
    counts = {"visits": left["visits"], "participants": left["participants"]}
    some = {reason: count for reason, count in excluded.items() if count}
    return {"step": name, "title": title, **counts, "excluded": some}


def _count(rows: pd.DataFrame) -> dict[str, int]:
    return {"visits": len(rows), "participants": int(rows["participant"].nunique())}


def _tally(reasons: Iterable[str]) -> dict[str, int]:
    """Count by reason, in the order of the enum."""
    counts = Counter(reasons)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (_place(name), name))}


def _place(reason: str) -> int:
    return _ORDER.get(reason, len(_ORDER))
