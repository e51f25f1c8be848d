"""Read a cohort other than UK Biobank from one table of files and phenotypes.

Required columns are participant, visit, ecg, cine, and one column for each phenotype, under its
name in `cohort.phenotypes`. Optional columns are segmentation, split (train, validation or test),
sex (0 or female, 1 or male), age, height_cm and weight_kg. Paths are absolute or relative to the
folder of the table. An empty path means that the visit does not have this file.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import config, raw
from ptacl.cohort import csv_tables
from ptacl.cohort.column_names import COVARIATES, SEX_WORDS
from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.phenotypes import PhenotypeTable, drop_implausible

_NEEDED = ("participant", "visit", "ecg", "cine")
_SPLITS = ("train", "validation", "test")
_PARTICIPANT = re.compile(
    r"[A-Za-z0-9.-]+"
)  # the key of a visit is participant_number, so no underscore


@dataclass(frozen=True)
class TableSource:
    """The files, the phenotypes by visit, and the splits that the table assigns to participants."""

    ecgs: list[BulkFile]
    cines: list[BulkFile]
    values: PhenotypeTable
    splits: dict[str, str]


def read(path: Path, *, phenotypes: list[config.Phenotype]) -> TableSource:
    """Read the table.

    An invalid table raises ValueError, which names the file, the line if there is one, and the
    remedy.
    """
    path = Path(path)
    header = csv_tables.header(path)
    needed = [*_NEEDED, *[p.name for p in phenotypes]]
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; the table has {', '.join(header)}"
        )
    rows = text(path)
    require_keys(path, rows)
    rows.index = pd.Index(rows["participant"] + "_" + rows["visit"])
    values, unreadable = numbers(
        rows, [p.name for p in phenotypes], decimal_comma=csv_tables.decimal_comma(path)
    )
    implausible = {p.name: drop_implausible(values, p) for p in phenotypes}
    read = PhenotypeTable(values.sort_index(), implausible, {}, unreadable, repeated=0)
    return TableSource(
        _files(path, rows, "ecg"), _files(path, rows, "cine"), read, _splits(path, rows)
    )


def text(path: Path) -> pd.DataFrame:
    """Read all cells of the table as text; missing ones are empty."""
    if path.suffix == ".parquet":
        with raw.open_file(path) as file:
            return pd.read_parquet(file).astype("string").fillna("").astype(str)
    with csv_tables.open_text(path) as file:
        rows = pd.read_csv(file, sep=csv_tables.separator(path), dtype=str, keep_default_na=False)
    return rows.map(str.strip)


def require_keys(path: Path, rows: pd.DataFrame) -> None:
    """Require one row per visit, with a participant without underscores and a visit number."""
    for line, (participant, visit) in enumerate(
        zip(rows["participant"], rows["visit"], strict=True), start=2
    ):
        if not _PARTICIPANT.fullmatch(participant):
            raise ValueError(
                f"{path}, line {line}: a participant can only have letters, digits, dots "
                "and hyphens"
            )
        if not (visit.isascii() and visit.isdecimal()):
            raise ValueError(f"{path}, line {line}: the visit must be a number, such as 1")
    if twice := [
        k for k, n in Counter(zip(rows["participant"], rows["visit"], strict=True)).items() if n > 1
    ]:
        raise ValueError(
            f"{path}: {len(twice)} visits have more than one row: keep one row for each visit"
        )


def numbers(
    rows: pd.DataFrame, names: list[str], *, decimal_comma: bool
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Return sex, covariates and the named columns as numbers, and why cells could not be read."""
    values, unreadable = pd.DataFrame(index=rows.index), {}
    for name in ("sex", *COVARIATES, *names):
        given = name in rows
        text = rows[name].where(rows[name] != "") if given else pd.Series(np.nan, index=rows.index)
        if name == "sex":
            text = text.map(lambda cell: SEX_WORDS.get(str(cell).lower(), cell))
        values[name], reasons = csv_tables.numbers(text, decimal_comma=decimal_comma)
        if reasons:
            unreadable[name] = dict(sorted(reasons.items()))
    return values, unreadable


def _files(path: Path, rows: pd.DataFrame, kind: str) -> list[BulkFile]:
    labels = (
        rows["segmentation"]
        if "segmentation" in rows and kind == "cine"
        else pd.Series("", index=rows.index)
    )
    found = []
    for participant, visit, name, label in zip(
        rows["participant"], rows["visit"], rows[kind], labels, strict=True
    ):
        if name:
            place, beside = path.parent / name, str(path.parent / label) if label else None
            found.append(
                BulkFile(
                    participant,
                    int(visit),
                    str(place),
                    size=raw.size(place) or 0,
                    segmentation=beside,
                    array=0,
                    folder=0,
                    segmentation_size=(raw.size(beside) or 0) if beside else 0,
                )
            )
    return found


def _splits(path: Path, rows: pd.DataFrame) -> dict[str, str]:
    if "split" not in rows:
        return {}
    given = rows.loc[rows["split"] != "", ["participant", "split"]].drop_duplicates()
    if wrong := sorted(set(given["split"]) - set(_SPLITS)):
        raise ValueError(f"{path}: split {wrong[0]!r} is not one of {', '.join(_SPLITS)}")
    if given["participant"].duplicated().any():
        raise ValueError(
            f"{path}: a participant is in two splits: give all visits of a participant the "
            "same split"
        )
    return dict(zip(given["participant"], given["split"], strict=True))
