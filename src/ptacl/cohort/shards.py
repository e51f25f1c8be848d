"""Divide participants into splits and shards, and list the files of every shard.

Nothing is random: split and shard follow from a hash of the participant's id. They do not change
when other participants are added or removed, and both visits of a participant are in the same
split.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ptacl import files, seeds
from ptacl.cohort.inventory import BulkFile

SHARD_COLUMNS = [
    "visit",
    "ecg",
    "ecg_bytes",
    "cmr",
    "cmr_bytes",
    "segmentation",
    "segmentation_bytes",
    "version",
]


def divide(participant: str, *, validation_fraction: float, test_fraction: float) -> str:
    """Return the split of a participant, which depends only on the id.

    The test set does not depend on the validation fraction.
    """
    position = seeds.uniform("split", participant)
    if position < test_fraction:
        return "test"
    return "validation" if position < test_fraction + validation_fraction else "train"


def place(participant: str, *, shards: int) -> int:
    """Return the shard of a participant, which depends only on the id."""
    return int(seeds.uniform("shard", participant) * shards)


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
        other: tuple[str | int, ...] = ("", "", "", "")
        if cine:
            other = (cine.path, cine.size, cine.segmentation or "", cine.segmentation_size or "")
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
    kept = {folder / f"{k}.csv" for k in range(len(texts))}
    for path in set(folder.glob("*.csv*")) - kept:
        path.unlink()
    return written
