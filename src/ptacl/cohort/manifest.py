"""Stage: list the paired visits with their split and shard, and the files of every shard.

Splits and shards follow from the id of the participant (:mod:`ptacl.cohort.shards`). A shard list
is rewritten only if its content changes, so preparation reruns only for that shard. Stored data of
withdrawn participants, and of shards that no longer exist, is deleted.
"""

import argparse
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ptacl import config, participants, stage
from ptacl.cohort import explanations, phenotypes, vanished, withdrawal
from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.pairing import Pairing, pair
from ptacl.cohort.shards import divide, place, shard_lists, write_shard_lists
from ptacl.cohort.sources import Sources, list_files, locate

LOG = logging.getLogger(__name__)

OUTCOMES = "outcomes.csv"  # of the rule outcomes, next to the folder of embeddings
EXCLUSION_COLUMNS = ["visit", "stage", "reason", "detail"]


def table(
    pairs: Sequence[tuple[BulkFile, BulkFile]],
    values: pd.DataFrame,
    *,
    settings: config.Cohort,
    given: Mapping[str, str],
) -> pd.DataFrame:
    """Return the manifest, with one row per pair.

    Its columns are visit, participant, instance, split, shard, sex, age, height_cm, weight_kg and
    the phenotypes. `given` holds the splits that the source assigns to participants; all other
    splits follow from the id.
    """
    fractions = {
        "validation_fraction": settings.validation_fraction,
        "test_fraction": settings.test_fraction,
    }
    people = [ecg.participant for ecg, _ in pairs]
    split = {p: given.get(p) or divide(p, **fractions) for p in set(people)}
    shard = {p: place(p, shards=settings.shards) for p in set(people)}
    rows = pd.DataFrame(
        {
            "visit": [ecg.visit for ecg, _ in pairs],
            "participant": people,
            "instance": [ecg.instance for ecg, _ in pairs],
            "split": [split[p] for p in people],
            "shard": [shard[p] for p in people],
        }
    )
    values = values.assign(sex=values["sex"].astype("Int64")).reindex(rows["visit"])
    return pd.concat([rows, values.reset_index(drop=True)], axis=1)


def unpaired(
    single: Sequence[tuple[BulkFile | None, BulkFile | None]],
    *,
    settings: config.Cohort,
    given: Mapping[str, str],
) -> tuple[list[tuple[BulkFile | None, BulkFile | None]], pd.DataFrame]:
    """Return the visits with only one modality that are used for its pre-training.

    Participants of the test split are left out. The result is the list of files, and a table with
    the columns visit, participant, split and modality.
    """
    fractions = {
        "validation_fraction": settings.validation_fraction,
        "test_fraction": settings.test_fraction,
    }
    files: list[tuple[BulkFile | None, BulkFile | None]] = []
    rows = []
    if settings.unpaired != "pretrain":
        single = []
    for ecg, cine in single:
        file = ecg or cine
        assert file is not None
        split = given.get(file.participant) or divide(file.participant, **fractions)
        if split != "test":
            files.append((ecg, cine))
            rows.append((file.visit, file.participant, split, "ecg" if ecg else "cmr"))
    return files, pd.DataFrame(rows, columns=["visit", "participant", "split", "modality"])


def build(
    settings: config.Cohort, source: Sources, *, withdrawn: Collection[str]
) -> tuple[pd.DataFrame, Pairing, dict[str, Any]]:
    """Return the manifest, the pairing, and the counts for the flow diagram.

    ValueError is raised if no visit has both files, or if the tables hold none of the participants.
    """
    listed = list_files(settings, source)
    settings = settings.model_copy(update={"instances": listed.instances})
    paired = pair(listed.ecgs, listed.cines, withdrawn=withdrawn, instances=settings.instances)
    if not paired.pairs:
        raise ValueError(explanations.nothing_paired(listed, settings.instances))
    values = listed.values
    if values is None:
        values = phenotypes.read_tables(
            source.tables,
            phenotypes=settings.phenotypes,
            instances=settings.instances,
            identity_tolerance=settings.identity_tolerance,
        )
    manifest = table(paired.pairs, values.values, settings=settings, given=listed.splits)
    names = [p.name for p in settings.phenotypes]
    if not manifest[names].notna().to_numpy().any():
        paths = source.tables or [str(settings.table)]
        raise ValueError(explanations.no_phenotype(paths, names, manifest, values))
    _require_values(manifest, names, unreadable=values.unreadable)
    paired = replace(paired, splits=listed.splits)
    checks = {
        "implausible": values.implausible,
        "inconsistent": values.inconsistent,
        "unreadable": values.unreadable,
        "repeated": values.repeated,
    }
    summary = {
        **paired.counts,
        "source": settings.source,
        "version": source.version,
        "tables": checks,
    }
    return manifest, paired, summary


def _require_values(
    manifest: pd.DataFrame,
    names: Sequence[str],
    *,
    unreadable: Mapping[str, Mapping[str, int]],
) -> None:
    """Require values of every phenotype at the first visit, which is the one that is evaluated.

    ValueError names the phenotypes that a split lacks, and the cells that are not numbers.
    """
    first = participants.in_order(manifest).drop_duplicates("participant")
    for split in ("train", "test"):
        values = first.loc[first["split"] == split, names]
        empty = [name for name in names if values[name].notna().sum() < 2]
        if len(values) > 1 and empty:
            instances = sorted(first["instance"].unique().tolist())
            unread = explanations.unreadable(unreadable, names=empty)
            raise ValueError(
                f"{', '.join(empty)}: fewer than two of the {len(values)} {split} "
                f"participants have a value at their first visit (instances {instances}"
                f"{'; ' if unread else ''}{unread}); add the columns of these "
                "instances to the table, give numbers, or remove the phenotypes from "
                "cohort.phenotypes"
            )


def write(out: Path, *, manifest: pd.DataFrame, paired: Pairing, summary: dict[str, Any]) -> None:
    """Write manifest.csv, exclusions.csv and summary.json."""
    out.mkdir(parents=True, exist_ok=True)
    manifest.to_csv(out / "manifest.csv", index=False, lineterminator="\n")
    rows = [(visit, "cohort", reason.value, detail) for visit, reason, detail in paired.exclusions]
    pd.DataFrame(rows, columns=EXCLUSION_COLUMNS).to_csv(
        out / "exclusions.csv", index=False, lineterminator="\n"
    )
    (out / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings", required=True, help="the `cohort` section of the configuration, as JSON"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="folder to write manifest.csv, exclusions.csv, summary.json and shards/ to",
    )
    parser.add_argument(
        "--stores",
        nargs="*",
        default=[],
        type=Path,
        help=(
            "folders of prepared shards; obsolete ones and those that can hold a withdrawn "
            "participant are deleted"
        ),
    )
    parser.add_argument(
        "--embeddings",
        type=Path,
        help="folder of embeddings; files with a withdrawn participant are deleted",
    )
    parser.add_argument(
        "--maps",
        metavar="JSON",
        help="the `maps` section of the configuration; maps are deleted along with shards",
    )
    parser.add_argument(
        "--storage", required=True, help="the `storage` section of the configuration, as JSON"
    )
    parser.add_argument("--simulated", type=Path, help="folder of the simulated cohort")
    parser.add_argument("--simulated-summary", type=Path, help="summary of the simulated cohort")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = config.Cohort.model_validate_json(args.settings)
    source = locate(settings, simulated=args.simulated, summary=args.simulated_summary)
    withdrawn = withdrawal.read_lists(source.withdrawals)
    purged = withdrawal.purge_shards(
        args.stores, shards=settings.shards, withdrawn=withdrawn
    )  # before anything that can fail
    withdrawal.purge_embeddings(args.embeddings, withdrawn=withdrawn)
    if args.embeddings:
        withdrawal.purge_outcomes(args.embeddings.parent / OUTCOMES, withdrawn=withdrawn)
    withdrawal.purge_maps(
        config.Maps.model_validate_json(args.maps).folder if args.maps else "", purged=purged
    )
    limits = config.Storage.model_validate_json(args.storage)
    manifest, paired, summary = build(settings, source, withdrawn=withdrawn)
    single, alone = unpaired(paired.single, settings=settings, given=paired.splits)
    texts = shard_lists([*paired.pairs, *single], shards=settings.shards, version=source.version)
    if settings.source != "simulated":
        vanished.require_few(
            args.out, texts, settings=settings, withdrawn=withdrawn, share=limits.vanished
        )
    written = write_shard_lists(args.out / "shards", texts)
    write(args.out, manifest=manifest, paired=paired, summary=summary)
    alone.to_csv(args.out / "unpaired.csv", index=False, lineterminator="\n")
    LOG.info(
        "%d paired visits; %d of %d shard lists written, %d stored shards purged",
        len(manifest),
        written,
        len(texts),
        purged,
    )


if __name__ == "__main__":
    stage.run(main)
