"""Stage: list the usable visits, all exclusions, and the counts of the flow diagram.

The stage joins the manifest with the results of preparation. The counts follow CONSORT: an
excluded visit is counted once, at the step where it was excluded, under one reason. A visit whose
ECG and cine are both unusable is counted at the ECG step; `exclusions` of flow.json counts it for
both. No id leaves results/private.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ptacl import config, files, lost_records, stage
from ptacl import participants as people
from ptacl.cohort import small_counts
from ptacl.cohort.flow_counts import describe
from ptacl.cohort.prepared import Prepared, check, merge

LOG = logging.getLogger(__name__)

_LISTED = ["visit", "participant", "split"]


def keep(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a folder, except those whose content has not changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        files.write_if_other(folder / name, text.encode())


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
    only_this = unpaired.loc[unpaired["modality"] == modality, _LISTED]
    half = manifest.loc[
        ~manifest["visit"].isin(participants["visit"]) & (manifest["split"] != "test"), _LISTED
    ]
    more = pd.concat([only_this, half])
    rows = pd.concat([participants[_LISTED], more[more["visit"].isin(usable)]])
    return people.in_order(rows)


def exclusions(cohort: pd.DataFrame, *, ecg: Prepared, cmr: Prepared) -> pd.DataFrame:
    """Return the exclusions of all stages: visit, stage, reason, detail."""
    rows = [{"stage": "ecg", **row} for row in ecg.excluded]
    rows += [{"stage": "cmr", **row} for row in cmr.excluded]
    table = pd.DataFrame(rows, columns=list(cohort.columns))
    return pd.concat([cohort, table], ignore_index=True)


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
    parser.add_argument(
        "--storage", required=True, help="section storage of the configuration, as JSON"
    )
    parser.add_argument(
        "--smallest-count", required=True, type=int, help="smaller counts are hidden in --json"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    manifest = pd.read_csv(args.manifest / "manifest.csv", dtype=str, keep_default_na=False)
    cohort = pd.read_csv(args.manifest / "exclusions.csv", dtype=str, keep_default_na=False)
    summary = json.loads((args.manifest / "summary.json").read_text())
    ecg = merge(json.loads(path.read_text()) for path in args.ecg)
    cmr = merge(json.loads(path.read_text()) for path in args.cmr)
    unpaired = pd.read_csv(args.manifest / "unpaired.csv", dtype=str, keep_default_na=False)
    for modality, prepared in (("ecg", ecg), ("cmr", cmr)):
        only_this = unpaired.loc[unpaired["modality"] == modality, "visit"]
        check([*manifest["visit"], *only_this], prepared, stage=modality)
    limits = config.Storage.model_validate_json(args.storage)
    lost_records.require_few(
        [*ecg.excluded, *cmr.excluded],
        of=sum(len(prepared.usable) + len(prepared.excluded) for prepared in (ecg, cmr)),
        share=limits.lost_of_cohort,
        setting="storage.lost_of_cohort",
        where=f"{args.ecg[0].parent}/*.json and {args.cmr[0].parent}/*.json",
    )
    participants = join(manifest, ecg=ecg, cmr=cmr)
    flow = describe(manifest, participants, ecg=ecg, cmr=cmr, summary=summary)
    flow["pretraining"] = {}
    lists = {"participants": participants, "visits": participants[_LISTED]}
    for modality, prepared in (("ecg", ecg), ("cmr", cmr)):
        table = join_pretraining(
            participants, manifest, unpaired, usable=prepared.usable, modality=modality
        )
        flow["pretraining"][modality] = len(table) - len(participants)
        lists[f"visits_{modality}"] = table
    for path in (args.participants, args.exclusions, args.json):
        path.parent.mkdir(parents=True, exist_ok=True)
    participants.to_csv(args.participants, index=False, lineterminator="\n")
    texts = {"ecg": ecg.stored, "cmr": cmr.stored}
    for name, table in lists.items():
        texts[f"{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
    keep(args.current, texts)
    exclusions(cohort, ecg=ecg, cmr=cmr).to_csv(args.exclusions, index=False, lineterminator="\n")
    flow = small_counts.hidden(flow, least=args.smallest_count)
    args.json.write_text(json.dumps(flow, indent=1) + "\n")
    LOG.info("%d of %d paired visits are usable", len(participants), len(manifest))


if __name__ == "__main__":
    stage.run(main)
