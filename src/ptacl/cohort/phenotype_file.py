"""Read one phenotype table: its values by visit, and the faults that do not stop the run."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ptacl.cohort import csv_tables
from ptacl.cohort.column_names import CONVENTIONS, SEX, columns_of, id_column

LOG = logging.getLogger(__name__)

_SEX_CODES = {"female": 0.0, "male": 1.0, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}

_NAMED = 8  # columns that an error names

Names = Mapping[str, Sequence[str]]  # the columns of each value


@dataclass
class PhenotypeFile:
    """What one table holds.

    values : one row per visit, with the fields that the table has. sex : by participant.
    unreadable : cells that are not numbers, by column and reason. repeated : values or visits that
    the table holds twice. decimal_comma : whether numbers are written like 55,3.
    """

    path: Path
    values: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(dtype=float))
    sex: "pd.Series[float]" = field(default_factory=lambda: pd.Series(dtype=float))
    unreadable: dict[str, Counter[str]] = field(default_factory=dict)
    repeated: int = 0
    decimal_comma: bool = False


def read(path: Path, *, fields: Mapping[str, int], instances: Sequence[int]) -> PhenotypeFile:
    """Read the columns of `fields` of one table, in chunks to limit memory.

    ValueError is raised if the table has no id column, none of the fields, or no 7-digit id, if it
    is truncated or has shifted columns (:mod:`ptacl.cohort.csv_tables`), or contradicts itself.
    """
    header = csv_tables.header(path)
    found = PhenotypeFile(path, decimal_comma=csv_tables.decimal_comma(path))
    id_name = id_column(header)
    if id_name is None:
        raise ValueError(
            f"{path}: no id column: the first line must have eid, f.eid, participant.eid "
            f"or Participant ID, but it has {', '.join(header[:_NAMED])}"
            + (" and others" if len(header) > _NAMED else "")
        )
    columns = columns_of(header, fields={SEX, *fields.values()})
    by_instance: dict[int, Names] = {}
    for instance in instances:
        names = {
            k: columns[f, instance, 0] for k, f in fields.items() if (f, instance, 0) in columns
        }
        if names:
            by_instance[instance] = names
    sex_columns = [
        names for (number, _, array), names in columns.items() if (number, array) == (SEX, 0)
    ]
    sex_name = sex_columns[0][0] if sex_columns else None
    wanted = {sex_name} if sex_name else set()
    for columns_by_name in by_instance.values():
        wanted = wanted.union(*columns_by_name.values())
    if not wanted:
        raise ValueError(
            f"{path}: none of its {len(header)} columns is one of the fields "
            f"{sorted({SEX, *fields.values()})} at instance "
            f"{', '.join(map(str, instances))}. Names tried, with 24100 as the example: "
            f"{CONVENTIONS}. Export these fields, or remove the table from "
            "cohort.phenotype_tables"
        )
    visits, sexes, strange, people = [], [found.sex], 0, 0
    for piece in csv_tables.pieces(path, columns=[id_name, *sorted(wanted)]):
        ids = piece[id_name].astype("string").str.strip().str.removesuffix(".0")
        known = ids.str.fullmatch(r"\d{7}").fillna(False).to_numpy(dtype=bool)
        piece, ids = piece[known], ids[known].astype(str)
        strange += int((~known).sum())
        people += len(ids)
        for instance, of in by_instance.items():
            visits.append(_visits(piece, ids, names=of, instance=instance, found=found))
        if sex_name:
            codes = piece[sex_name].astype(str).str.strip().str.lower()
            sexes.append(codes.map(_SEX_CODES).astype(float).set_axis(ids))
    if strange and not people:
        raise ValueError(
            f"{path}: none of its {strange} rows has a 7-digit id in {id_name}: export the "
            "table again, with ids as numbers"
        )
    if strange:
        LOG.warning("%s: %d rows without a 7-digit id were ignored", path, strange)
    present = set().union(*by_instance.values())
    values = stack(visits).reindex(columns=[name for name in fields if name in present])
    found.values = _one_row_per_visit(values, found=found)
    found.sex = pd.concat(sexes)
    return found


def stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack all rows. Empty frames are dropped first, because they would change the types."""
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full) if full else pd.DataFrame(dtype=float)


def _visits(
    table: pd.DataFrame,
    ids: "pd.Series[str]",
    *,
    names: Names,
    instance: int,
    found: PhenotypeFile,
) -> pd.DataFrame:
    """Return one instance of a table, with one row for each visit that has any value."""
    values = {name: _column(table, columns, name, found) for name, columns in names.items()}
    rows = pd.DataFrame(values).dropna(how="all")
    return rows.set_axis(ids[rows.index] + f"_{instance}")


def _column(
    table: pd.DataFrame, columns: Sequence[str], name: str, found: PhenotypeFile
) -> "pd.Series[float]":
    """Return the values of a field, which has one column or several columns that agree."""
    values, reasons = csv_tables.numbers(table[columns[0]], decimal_comma=found.decimal_comma)
    found.unreadable.setdefault(name, Counter()).update(reasons)
    for other in columns[1:]:
        more, reasons = csv_tables.numbers(table[other], decimal_comma=found.decimal_comma)
        found.unreadable[name].update(reasons)
        both = values.notna() & more.notna()
        unlike = int((values[both] != more[both]).sum())
        if unlike:
            raise ValueError(
                f"{found.path}: the columns {columns[0]} and {other} hold the same field, "
                f"but differ in {unlike} rows: remove the wrong column"
            )
        found.repeated += int(both.sum())
        values = values.fillna(more)
    return values


def _one_row_per_visit(values: pd.DataFrame, *, found: PhenotypeFile) -> pd.DataFrame:
    """Merge the rows of the same visit, which must agree."""
    again = values.index.duplicated(keep=False)
    if not again.any():
        return values
    groups = values[again].groupby(level=0)
    unlike = (groups.max() != groups.min()) & (groups.count() > 1)
    if unlike.to_numpy().any():
        names = [str(name) for name in unlike.columns[unlike.any()]]
        raise ValueError(
            f"{found.path}: {int(unlike.any(axis=1).sum())} visits have several rows that "
            f"differ in {', '.join(names)}: keep only the correct row of each visit"
        )
    found.repeated += int(values.index.duplicated().sum())
    return values.groupby(level=0).first()
