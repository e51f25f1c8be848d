"""Stage: list the usable visits, all exclusions, and the counts of the flow diagram.

The stage joins the manifest with the results of preparation. The counts follow CONSORT: an
excluded visit is counted once, at the step where it was excluded, under one reason. A visit whose
ECG and cine are both unusable is counted at the ECG step; `exclusions` of flow.json counts it for
both. No id leaves results/private.
"""

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ptacl import files, stage
from ptacl import participants as people
from ptacl.exclusions import Reason

LOG = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
_FIXED = (
    "visit",
    "participant",
    "instance",
    "split",
    "shard",
    "sex",
    "age",
    "height_cm",
    "weight_kg",
)
_LISTED = ["visit", "participant", "split"]
_ORDER = {reason.value: i for i, reason in enumerate(Reason)}


@dataclass(frozen=True)
class Prepared:
    """The merged manifests of all shards of one modality.

    `usable` are visits, `excluded` are rows (visit, reason, detail), and `quality` is by visit.
    `stored` is a digest of the visits and arrays that does not depend on their quality.
    """

    usable: frozenset[str]
    excluded: list[dict[str, str]]
    quality: dict[str, dict[str, Any]]
    stored: str = ""


def merge(shards: Iterable[Mapping[str, Any]]) -> Prepared:
    """Merge the shards of one modality."""
    usable: set[str] = set()
    excluded: list[dict[str, str]] = []
    quality: dict[str, dict[str, Any]] = {}
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(json.dumps([shard["visits"], shard.get("stored")]).encode())
        usable.update(shard["visits"])
        excluded.extend(shard["excluded"])
        quality.update(shard["quality"])
    return Prepared(
        frozenset(usable),
        sorted(excluded, key=lambda row: people.visit_order(row["visit"])),
        quality,
        digest.hexdigest(),
    )


def keep(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a folder, except those whose content has not changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        files.write_if_other(folder / name, text.encode())


def check(visits: Iterable[str], prepared: Prepared, *, stage: str) -> None:
    """Raise ValueError unless the shards hold exactly the visits of the manifest.

    Shards of an old run can hold more, for instance the visits of a withdrawn participant.
    """
    expected, seen = set(visits), prepared.usable | {row["visit"] for row in prepared.excluded}
    if seen != expected:
        raise ValueError(
            f"{stage}: {len(seen - expected)} prepared visits are not in the manifest "
            "(withdrawn, or of an old run) and "
            f"{len(expected - seen)} visits of the manifest are not prepared: run the "
            f"{stage} preparation of every shard again"
        )


def join(manifest: pd.DataFrame, *, ecg: Prepared, cmr: Prepared) -> pd.DataFrame:
    """Return the rows that are usable in both modalities.

    ECG measurements are added as columns `ecg_*`. `evaluate` marks the first usable visit of each
    participant.
    """
    rows = people.in_order(manifest[manifest["visit"].isin(ecg.usable & cmr.usable)])
    measured = pd.DataFrame(
        [ecg.quality[visit].get("measurements", {}) for visit in rows["visit"]], index=rows.index
    )
    rows = pd.concat([rows, measured.add_prefix("ecg_")], axis=1)
    return rows.assign(evaluate=~rows["participant"].duplicated())


def join_pretraining(
    participants: pd.DataFrame,
    manifest: pd.DataFrame,
    unpaired: pd.DataFrame,
    *,
    usable: frozenset[str],
    modality: str,
) -> pd.DataFrame:
    """Return the visits for pre-training one modality.

    These are the paired visits and the usable unpaired visits of this modality. If unpaired
    visits are wanted, visits of the manifest whose other modality is unusable are added as well,
    except those of the test split.
    """
    if unpaired.empty:
        return participants[_LISTED]
    alone = unpaired.loc[unpaired["modality"] == modality, _LISTED]
    half = manifest.loc[
        ~manifest["visit"].isin(participants["visit"]) & (manifest["split"] != "test"), _LISTED
    ]
    more = pd.concat([alone, half])
    rows = pd.concat([participants[_LISTED], more[more["visit"].isin(usable)]])
    return people.in_order(rows)


def exclusions(cohort: pd.DataFrame, *, ecg: Prepared, cmr: Prepared) -> pd.DataFrame:
    """Return the exclusions of all stages: visit, stage, reason, detail."""
    rows = [
        {"stage": stage, **row} for stage, p in (("ecg", ecg), ("cmr", cmr)) for row in p.excluded
    ]
    return pd.concat([cohort, pd.DataFrame(rows, columns=list(cohort.columns))], ignore_index=True)


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
    unpaired = summary["excluded"]
    kept = {
        key: summary["found"][key] - unpaired[Reason.WITHDRAWN.value][key]
        for key in ("visits", "participants")
    }
    paired = set(manifest["visit"])  # leaves out visits that are only used for pre-training
    reasons = {
        name: {row["visit"]: row["reason"] for row in p.excluded if row["visit"] in paired}
        for name, p in (("ecg", ecg), ("cmr", cmr))
    }
    with_ecg = manifest[~manifest["visit"].isin(list(reasons["ecg"]))]
    only_cmr = {
        visit: reason for visit, reason in reasons["cmr"].items() if visit not in reasons["ecg"]
    }
    single = {
        reason: unpaired[reason]["visits"] for reason in (Reason.NO_ECG.value, Reason.NO_CMR.value)
    }
    steps = [
        _step("found", "Visits with an ECG or a cine", summary["found"], {}),
        _step(
            "kept",
            "Consent not withdrawn",
            kept,
            {"withdrawn": unpaired[Reason.WITHDRAWN.value]["visits"]},
        ),
        _step("paired", "ECG and cine of the same visit", summary["paired"], single),
        _step("ecg", "ECG usable", _count(with_ecg), _tally(reasons["ecg"].values())),
        _step("usable", "ECG and cine usable", _count(participants), _tally(only_cmr.values())),
    ]
    parts = {split: participants[participants["split"] == split] for split in SPLITS}
    names = [name for name in manifest.columns if name not in _FIXED]
    return {
        "files": summary["files"],
        "steps": steps,
        "splits": {split: _count(rows) for split, rows in parts.items()},
        "phenotypes": {
            name: {split: int((rows[name] != "").sum()) for split, rows in parts.items()}
            for name in names
        },
        "crop": dict(
            sorted(
                Counter(
                    str(cmr.quality[v]["crop"]["source"]) for v in participants["visit"]
                ).items()
            )
        ),
        "flags": dict(
            sorted(
                Counter(
                    f
                    for p in (ecg, cmr)
                    for v in participants["visit"]
                    for f in p.quality[v].get("flags", [])
                ).items()
            )
        ),
        "exclusions": {stage: _tally(by_visit.values()) for stage, by_visit in reasons.items()},
        "tables": summary["tables"],
    }


def _step(
    name: str, title: str, left: Mapping[str, int], excluded: Mapping[str, int]
) -> dict[str, Any]:
    counts = {"visits": left["visits"], "participants": left["participants"]}
    return {
        "step": name,
        "title": title,
        **counts,
        "excluded": {k: n for k, n in excluded.items() if n},
    }


def _count(rows: pd.DataFrame) -> dict[str, int]:
    return {"visits": len(rows), "participants": int(rows["participant"].nunique())}


def _tally(reasons: Iterable[str]) -> dict[str, int]:
    """Count by reason, in the order of the enum."""
    return dict(
        sorted(
            Counter(reasons).items(), key=lambda item: (_ORDER.get(item[0], len(_ORDER)), item[0])
        )
    )


def main() -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--manifest",
        required=True,
        type=Path,
        help="folder with manifest.csv, exclusions.csv, summary.json",
    )
    parser.add_argument(
        "--ecg", required=True, nargs="+", type=Path, help="manifests k.json of all ECG shards"
    )
    parser.add_argument(
        "--cmr", required=True, nargs="+", type=Path, help="manifests k.json of all CMR shards"
    )
    parser.add_argument(
        "--participants", required=True, type=Path, help="CSV file to write, with the usable visits"
    )
    parser.add_argument(
        "--current",
        required=True,
        type=Path,
        help="folder of files that are rewritten only if their content changes",
    )
    parser.add_argument(
        "--exclusions",
        required=True,
        type=Path,
        help="CSV file to write, with the exclusions of all stages",
    )
    parser.add_argument(
        "--json", required=True, type=Path, help="JSON file to write, with the counts"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    manifest = pd.read_csv(args.manifest / "manifest.csv", dtype=str, keep_default_na=False)
    cohort = pd.read_csv(args.manifest / "exclusions.csv", dtype=str, keep_default_na=False)
    summary = json.loads((args.manifest / "summary.json").read_text())
    ecg, cmr = (
        merge(json.loads(path.read_text()) for path in paths) for paths in (args.ecg, args.cmr)
    )
    unpaired = pd.read_csv(args.manifest / "unpaired.csv", dtype=str, keep_default_na=False)
    for modality, prepared in (("ecg", ecg), ("cmr", cmr)):
        alone = unpaired.loc[unpaired["modality"] == modality, "visit"]
        check([*manifest["visit"], *alone], prepared, stage=modality)
    participants = join(manifest, ecg=ecg, cmr=cmr)
    pretraining = {
        modality: join_pretraining(
            participants, manifest, unpaired, usable=prepared.usable, modality=modality
        )
        for modality, prepared in (("ecg", ecg), ("cmr", cmr))
    }
    flow = describe(manifest, participants, ecg=ecg, cmr=cmr, summary=summary)
    for path in (args.participants, args.exclusions, args.json):
        path.parent.mkdir(parents=True, exist_ok=True)
    participants.to_csv(args.participants, index=False, lineterminator="\n")
    lists = {"participants": participants, "visits": participants[_LISTED]}
    lists |= {f"visits_{modality}": table for modality, table in pretraining.items()}
    texts = {
        f"{name}.csv": table.to_csv(index=False, lineterminator="\n")
        for name, table in lists.items()
    }
    keep(args.current, texts | {"ecg": ecg.stored, "cmr": cmr.stored})
    flow["pretraining"] = {
        modality: len(table) - len(participants) for modality, table in pretraining.items()
    }
    exclusions(cohort, ecg=ecg, cmr=cmr).to_csv(args.exclusions, index=False, lineterminator="\n")
    args.json.write_text(json.dumps(flow, indent=1) + "\n")
    LOG.info("%d of %d paired visits are usable", len(participants), len(manifest))


if __name__ == "__main__":
    stage.run(main)
