"""Stage: list the paired visits with their split and shard, and the files of every shard.

Nothing is random: split and shard follow from a hash of the participant's id. They do not change
when other participants are added or removed, and both visits of a participant are in the same
split. A shard list is rewritten only if its content changes, so preparation reruns only for that
shard. Stored data of withdrawn participants, and of shards that no longer exist, is deleted.
"""

import argparse
import csv
import hashlib
import io
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ptacl import config, files, participants, seeds, stage
from ptacl.cohort import inventory, listing, phenotypes, withdrawal
from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.pairing import Pairing, pair
from ptacl.exclusions import Reason

LOG = logging.getLogger(__name__)

SHARD_COLUMNS = ["visit", "ecg", "ecg_bytes", "cmr", "cmr_bytes", "segmentation", "version"]
EXCLUSION_COLUMNS = ["visit", "stage", "reason", "detail"]


@dataclass(frozen=True)
class Sources:
    """Locations of the input.

    `version` changes if the files change but keep their names and sizes.
    """

    ecg_folders: Sequence[str]
    cmr_folders: Sequence[str]
    tables: Sequence[str]
    withdrawals: Sequence[str]
    version: str


def divide(participant: str, *, validation_fraction: float, test_fraction: float) -> str:
    """Return the split of a participant, which depends only on the id.

    The test set does not depend on the validation fraction.
    """
    position = seeds.uniform("split", participant)
    return (
        "test"
        if position < test_fraction
        else "validation"
        if position < test_fraction + validation_fraction
        else "train"
    )


def place(participant: str, *, shards: int) -> int:
    """Return the shard of a participant, which depends only on the id."""
    return int(seeds.uniform("shard", participant) * shards)


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
    for ecg, cine in single if settings.unpaired == "pretrain" else []:
        file = ecg or cine
        assert file is not None
        if (
            split := given.get(file.participant) or divide(file.participant, **fractions)
        ) != "test":
            files.append((ecg, cine))
            rows.append((file.visit, file.participant, split, "ecg" if ecg else "cmr"))
    return files, pd.DataFrame(rows, columns=["visit", "participant", "split", "modality"])


def shard_lists(
    pairs: Sequence[tuple[BulkFile | None, BulkFile | None]], *, shards: int, version: str
) -> list[str]:
    """Return the text of `shards/{k}.csv` for every k.

    It has one row per visit, with the paths and sizes of its files, or "" for a missing file.
    """
    texts = [io.StringIO() for _ in range(shards)]
    writers = [csv.writer(text, lineterminator="\n") for text in texts]
    for writer in writers:
        writer.writerow(SHARD_COLUMNS)
    for ecg, cine in pairs:
        file = ecg or cine
        assert file is not None
        one = (ecg.path, ecg.size) if ecg else ("", "")
        other = (cine.path, cine.size, cine.segmentation or "") if cine else ("", "", "")
        writers[place(file.participant, shards=shards)].writerow(
            [file.visit, *one, *other, version]
        )
    return [text.getvalue() for text in texts]


def write_shard_lists(folder: Path, texts: Sequence[str]) -> int:
    """Write the lists whose content has changed, and return how many were written.

    Lists of shards that no longer exist are deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for k, text in enumerate(texts):
        content = text.encode(errors="surrogateescape")  # file names are not always UTF-8
        written += files.write_if_other(folder / f"{k}.csv", content)
    for path in set(folder.glob("*.csv*")) - {folder / f"{k}.csv" for k in range(len(texts))}:
        path.unlink()
    return written


def sources(settings: config.Cohort, *, simulated: Path | None, summary: Path | None) -> Sources:
    """Return the folders and tables of the settings, or those of the simulated cohort."""
    if settings.source != "simulated":
        return Sources(
            settings.ecg_folders,
            settings.cmr_folders,
            settings.phenotype_tables,
            settings.withdrawals,
            version="",
        )
    if simulated is None or summary is None:
        raise ValueError(
            "cohort.source is simulated: give --simulated and --simulated-summary, or set "
            "source: files"
        )
    folders = {
        kind: [str(simulated / name) for name in names if (simulated / name).is_dir()]
        for kind, names in (
            ("ecg", ["ecg", "Bulk/Electrocardiogram"]),
            ("cmr", ["nifti", "Bulk/Heart MRI"]),
        )
    }
    lists = {
        name: sorted(map(str, (simulated / name).glob("*")))
        for name in ("phenotypes", "withdrawals")
    }
    version = simulation_version(json.loads(summary.read_text()))
    return Sources(
        folders["ecg"],
        folders["cmr"],
        lists["phenotypes"],
        [*lists["withdrawals"], *settings.withdrawals],
        version=version,
    )


def simulation_version(summary: Mapping[str, Any]) -> str:
    """Return a hash of everything that a simulated file depends on, except its id.

    This is the code version, the seed, and all settings except the number of participants.
    """
    others = {name: value for name, value in summary["settings"].items() if name != "participants"}
    text = json.dumps([summary["version"], summary["seed"], others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def build(
    settings: config.Cohort, source: Sources, *, withdrawn: Collection[str]
) -> tuple[pd.DataFrame, Pairing, dict[str, Any]]:
    """Return the manifest, the pairing, and the counts for the flow diagram.

    ValueError is raised if no visit has both files, or if the tables hold none of the participants.
    """
    unlisted: inventory.Unlisted = []
    listed = (
        listing.read(Path(settings.table), phenotypes=settings.phenotypes)
        if settings.table
        else None
    )
    if listed:
        ecgs, cines = listed.ecgs, listed.cines
        settings = settings.model_copy(
            update={"instances": sorted({f.instance for f in (*ecgs, *cines)})}
        )
    else:
        ecgs = inventory.find_ecgs(
            source.ecg_folders, ecg_format=settings.ecg_format, unlisted=unlisted
        )
        cines = inventory.find_cines(
            source.cmr_folders, default_instance=settings.default_instance, unlisted=unlisted
        )
    paired = pair(ecgs, cines, withdrawn=withdrawn, instances=settings.instances)
    if not paired.pairs:
        raise ValueError(
            f"no visit has both an ECG and a cine ({len(ecgs)} ECG and {len(cines)} cine "
            "files): check cohort.instances, "
            "and that both folders belong to the same UK Biobank application, because ids "
            "differ between applications"
        )
    if listed:
        read = listed.values
    else:
        read = phenotypes.read_tables(
            source.tables,
            phenotypes=settings.phenotypes,
            instances=settings.instances,
            identity_tolerance=settings.identity_tolerance,
        )
    paired = replace(paired, splits=listed.splits if listed else {})
    manifest = table(paired.pairs, read.values, settings=settings, given=paired.splits)
    names = [p.name for p in settings.phenotypes]
    if not manifest[names].notna().to_numpy().any():
        raise ValueError(
            f"{', '.join(source.tables)}: the tables have no phenotype of the "
            f"{len(manifest)} paired visits; "
            "ids differ between UK Biobank applications: use tables and files of the same "
            "application"
        )
    _require_values(manifest, names)
    paired = replace(
        paired,
        exclusions=[*paired.exclusions, *(("", Reason.UNLISTED, folder) for folder in unlisted)],
    )
    checks = {
        name: getattr(read, name)
        for name in ("implausible", "inconsistent", "unreadable", "repeated")
    }
    checks |= {"unlisted_folders": len(unlisted)}
    summary = paired.counts | {
        "source": settings.source,
        "version": source.version,
        "tables": checks,
    }
    return manifest, paired, summary


def _require_values(manifest: pd.DataFrame, names: Sequence[str]) -> None:
    """Require values of every phenotype at the first visit, which is the one that is evaluated.

    ValueError names the phenotypes that a split lacks.
    """
    first = participants.in_order(manifest).drop_duplicates("participant")
    for split in ("train", "test"):
        values = first.loc[first["split"] == split, names]
        if len(values) > 1 and (
            empty := [name for name in names if values[name].notna().sum() < 2]
        ):
            instances = sorted(first["instance"].unique().tolist())
            raise ValueError(
                f"{', '.join(empty)}: fewer than two of the {len(values)} {split} "
                "participants have a value at their first visit "
                f"(instances {instances}); add the columns of these instances to the "
                "table, or remove the phenotypes from "
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
    parser.add_argument("--simulated", type=Path, help="folder of the simulated cohort")
    parser.add_argument("--simulated-summary", type=Path, help="summary of the simulated cohort")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = config.Cohort.model_validate_json(args.settings)
    source = sources(settings, simulated=args.simulated, summary=args.simulated_summary)
    withdrawn = withdrawal.read_lists(source.withdrawals)
    purged = withdrawal.purge_shards(
        args.stores, shards=settings.shards, withdrawn=withdrawn
    )  # before anything that can fail
    withdrawal.purge_embeddings(args.embeddings, withdrawn=withdrawn)
    withdrawal.purge_maps(
        config.Maps.model_validate_json(args.maps).folder if args.maps else "", purged=purged
    )
    manifest, paired, summary = build(settings, source, withdrawn=withdrawn)
    single, alone = unpaired(paired.single, settings=settings, given=paired.splits)
    texts = shard_lists([*paired.pairs, *single], shards=settings.shards, version=source.version)
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
