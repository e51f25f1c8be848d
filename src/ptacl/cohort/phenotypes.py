"""Read phenotype tables in every column convention of UK Biobank.

Values are checked for plausibility and for the identities that they must satisfy. Field 24103 at
visit 2 can be named in these ways:

`24103-2.0` (ukbconv csv, Table Exporter UKB-FORMAT), `f.24103.2.0` (ukbconv r), `X24103.2.0` (the
csv as an R data frame), `p24103_i2` (Table Exporter), `participant.p24103_i2` (dx
extract_dataset), and `LV ejection fraction | Instance 2` (Table Exporter FIELD-TITLE), optionally
followed by `(participant - p24103_i2)`, or as R mangles that name.
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl.cohort import tables
from ptacl.config import Phenotype

LOG = logging.getLogger(__name__)

SEX = 31
COVARIATES = {"age": 21003, "height_cm": 50, "weight_kg": 21002}
CONVENTIONS = (
    "24100-2.0, f.24100.2.0, X24100.2.0, p24100_i2, participant.p24100_i2, LV end diastolic "
    "volume | Instance 2"
)

_INLINE = range(22420, 22428)
_ID = re.compile(r"(?:.*\W)?eid\W*|participant[ .]id", re.IGNORECASE)
_NAMES = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:f\.|X)(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:.*\W)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?\W*"),
    re.compile(
        r"(?P<title>[^|]+?)(?: \| Instance (?P<instance>\d+))?(?: \| Array (?P<array>\d+))?"
    ),
)
_TITLES = {
    "sex": SEX,
    "age when attended assessment centre": 21003,
    "standing height": 50,
    "weight": 21002,
    "lv end diastolic volume": 24100,
    "lv end systolic volume": 24101,
    "lv stroke volume": 24102,
    "lv ejection fraction": 24103,
    "lv cardiac output": 24104,
    "lv myocardial mass": 24105,
    "rv end diastolic volume": 24106,
    "rv end systolic volume": 24107,
    "rv stroke volume": 24108,
    "rv ejection fraction": 24109,
}
_SEX_CODES = {"female": 0.0, "male": 1.0, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
# end-diastolic, end-systolic and stroke volume, ejection fraction, other values derived from SV
_CHAMBERS = {"LV": (24100, 24101, 24102, 24103, [24104]), "RV": (24106, 24107, 24108, 24109, [])}


@dataclass(frozen=True)
class PhenotypeTable:
    """The values of all phenotype tables, and the counts of their faults.

    `values` has one row per visit, with the columns sex (0 female, 1 male), age, height_cm,
    weight_kg and the phenotypes; NaN is a missing value. `implausible` counts by phenotype the
    values that were set to NaN, `inconsistent` by chamber the visits that violate an identity,
    `unreadable` by column and reason the cells that are not numbers, and `repeated` the values or
    visits that a table holds twice.
    """

    values: pd.DataFrame
    implausible: dict[str, int]
    inconsistent: dict[str, int]
    unreadable: dict[str, dict[str, int]]
    repeated: int


def parse_column(name: str) -> tuple[int, int | None, int] | None:
    """Return the field, instance and array of a column name.

    The instance is None if the field has no instances. For any other column, None is returned.
    """
    for pattern in _NAMES:
        if match := pattern.fullmatch(name.strip()):
            parts = match.groupdict()
            field = (
                int(parts["field"])
                if "field" in parts
                else _TITLES.get(parts["title"].strip().lower())
            )
            if field is not None:
                return (
                    field,
                    int(parts["instance"]) if parts["instance"] else None,
                    int(parts["array"] or 0),
                )
    return None


def read_tables(
    paths: Sequence[Path | str],
    *,
    phenotypes: Sequence[Phenotype],
    instances: Sequence[int],
    identity_tolerance: float,
) -> PhenotypeTable:
    """Read and merge CSV, TSV or parquet tables.

    The first finite value of a visit is used, in the order of `paths`. A value outside
    `low`..`high` becomes missing. If SV differs from EDV - ESV, or EF from (EDV - ESV) / EDV, by
    more than the fraction `identity_tolerance` of the expected value, all values derived from the
    stroke volume of this chamber (SV, EF and, for the LV, CO) become missing; the volumes are
    kept. Sex (field 31), age (21003), height (50) and weight (21002) are read if a table has
    them. Only the needed columns are read.

    ValueError is raised if a table has no id column, has none of the known columns, is truncated
    or has shifted columns (:mod:`ptacl.cohort.tables`), or contradicts itself. It is also raised
    if a phenotype is in none of the tables, or if its field is one of the old inline
    segmentation.
    """
    if old := [p.field for p in phenotypes if p.field in _INLINE]:
        raise ValueError(
            f"cohort.phenotypes: field {old[0]} is the inline segmentation of the scanner, "
            "which had no quality control: "
            "use fields 24100 to 24109"
        )
    fields = COVARIATES | {p.name: p.field for p in phenotypes if p.field is not None}
    read = [_read(Path(path), fields=fields, instances=instances) for path in paths]
    present = {name for visits, _, _ in read for name in visits}
    if absent := [f"{p.name} (field {p.field})" for p in phenotypes if p.name not in present]:
        raise ValueError(
            f"{', '.join(map(str, paths))}: no column for {', '.join(absent)} at instance "
            f"{', '.join(map(str, instances))}. "
            f"Names tried, with 24100 as the example: {CONVENTIONS}. Export these fields, "
            "or remove them from cohort.phenotypes"
        )
    values = (
        _stack([visits for visits, _, _ in read])
        .reindex(columns=list(fields))
        .groupby(level=0, sort=True)
        .first()
    )
    by_participant = pd.concat([sex for _, sex, _ in read]).groupby(level=0).first().to_dict()
    values.insert(
        0, "sex", [by_participant.get(visit.partition("_")[0], np.nan) for visit in values.index]
    )
    for name in COVARIATES:
        values.loc[values[name] <= 0, name] = (
            np.nan
        )  # codes such as -1 (do not know) are not measurements
    implausible = {p.name: _drop_implausible(values, p) for p in phenotypes}
    names = {p.field: p.name for p in phenotypes if p.field is not None}
    inconsistent = {
        c: _drop_inconsistent(values, c, names=names, tolerance=identity_tolerance)
        for c in _CHAMBERS
    }
    unreadable: dict[str, Counter[str]] = {}
    for _, _, faults in read:
        for name, reasons in faults.unreadable.items():
            unreadable.setdefault(name, Counter()).update(reasons)
    return PhenotypeTable(
        values=values,
        implausible=implausible,
        inconsistent=inconsistent,
        unreadable={
            name: dict(sorted(reasons.items())) for name, reasons in unreadable.items() if reasons
        },
        repeated=sum(faults.repeated for _, _, faults in read),
    )


def _drop_implausible(values: pd.DataFrame, phenotype: Phenotype) -> int:
    column = values[phenotype.name]
    wrong = (column < phenotype.low) | (column > phenotype.high)
    values.loc[wrong, phenotype.name] = np.nan
    return int(wrong.sum())


def _drop_inconsistent(
    values: pd.DataFrame, chamber: str, *, names: Mapping[int, str], tolerance: float
) -> int:
    edv, esv, sv, ef, also = _CHAMBERS[chamber]
    if edv not in names or esv not in names:
        return 0
    stroke = values[names[edv]] - values[names[esv]]
    wrong = pd.Series(False, index=values.index)
    for number, expected in ((sv, stroke), (ef, stroke / values[names[edv]] * 100)):
        if number in names:
            wrong |= (values[names[number]] - expected).abs() > tolerance * expected.abs()
    derived = [names[number] for number in (sv, ef, *also) if number in names]
    values.loc[wrong, derived] = np.nan
    return int(wrong.sum())


@dataclass
class _Faults:
    """Faults in one table that do not stop the run.

    These are unreadable cells, by column and reason, and the number of repeated values.
    """

    path: Path
    unreadable: dict[str, Counter[str]] = field(default_factory=dict)
    repeated: int = 0


def _read(
    path: Path, *, fields: Mapping[str, int], instances: Sequence[int]
) -> tuple[pd.DataFrame, "pd.Series[float]", _Faults]:
    """Read the columns of `fields` of one table by visit, and sex by participant.

    The table is read in chunks, to limit memory.
    """
    header, faults = tables.header(path), _Faults(path)
    ids = [name for name in header if _ID.fullmatch(name.strip())]
    if not ids:
        raise ValueError(
            f"{path}: no id column: the first line must have eid, f.eid, participant.eid "
            "or Participant ID"
        )
    columns = _columns(header, wanted={SEX, *fields.values()})
    sex = next(
        (names[0] for (number, _, array), names in columns.items() if number == SEX and array == 0),
        None,
    )
    by_visit = {
        i: {k: columns[f, i, 0] for k, f in fields.items() if (f, i, 0) in columns}
        for i in instances
    }
    wanted = {name for of in by_visit.values() for names in of.values() for name in names} | (
        {sex} if sex else set()
    )
    if not wanted:
        raise ValueError(
            f"{path}: none of its {len(header)} columns is one of the fields "
            f"{sorted({SEX, *fields.values()})} at instance "
            f"{', '.join(map(str, instances))}. Names tried, with 24100 as the example: "
            f"{CONVENTIONS}. "
            "Export these fields, or remove the table from cohort.phenotype_tables"
        )
    visits, sexes, strange, people = [], [], 0, 0
    for piece in tables.pieces(path, columns=[ids[0], *sorted(wanted)]):
        eid = piece[ids[0]].astype("string").str.strip().str.removesuffix(".0")
        known = eid.str.fullmatch(r"\d{7}").fillna(False).to_numpy(dtype=bool)
        piece, eid, strange = piece[known], eid[known].astype(str), strange + int((~known).sum())
        people += len(eid)
        visits += [
            _visits(piece, eid, names=names, instance=i, faults=faults)
            for i, names in by_visit.items()
            if names
        ]
        if sex:
            sexes.append(
                piece[sex]
                .astype(str)
                .str.strip()
                .str.lower()
                .map(_SEX_CODES)
                .astype(float)
                .set_axis(eid)
            )
    if strange and not people:
        raise ValueError(
            f"{path}: none of its {strange} rows has a 7-digit id in {ids[0]}: export the "
            "table again, with ids as numbers"
        )
    if strange:
        LOG.warning("%s: %d rows without a 7-digit id were ignored", path, strange)
    present = [name for name in fields if any(name in names for names in by_visit.values())]
    values = _one_row_a_visit(_stack(visits).reindex(columns=present), faults=faults)
    return values, pd.concat(sexes) if sexes else pd.Series(dtype=float), faults


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack all rows. Empty frames are dropped first, because they would change the types."""
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full) if full else pd.DataFrame(dtype=float)


def _visits(
    table: pd.DataFrame,
    eid: "pd.Series[str]",
    *,
    names: Mapping[str, Sequence[str]],
    instance: int,
    faults: "_Faults",
) -> pd.DataFrame:
    """Return one instance of a table, with one row for each visit that has any value."""
    values = pd.DataFrame(
        {name: _column(table, columns, name=name, faults=faults) for name, columns in names.items()}
    )
    values = values.dropna(how="all")
    return values.set_axis(eid[values.index] + f"_{instance}")


def _column(
    table: pd.DataFrame, columns: Sequence[str], *, name: str, faults: "_Faults"
) -> "pd.Series[float]":
    """Return the values of a field, which has one column or several columns that agree."""
    values, reasons = tables.numbers(table[columns[0]])
    faults.unreadable.setdefault(name, Counter()).update(reasons)
    for other in columns[1:]:
        more, reasons = tables.numbers(table[other])
        faults.unreadable[name].update(reasons)
        both = values.notna() & more.notna()
        if unlike := int((values[both] != more[both]).sum()):
            raise ValueError(
                f"{faults.path}: the columns {columns[0]} and {other} hold the same field, "
                f"but differ in {unlike} rows: "
                "remove the wrong column"
            )
        faults.repeated += int(both.sum())
        values = values.fillna(more)
    return values


def _one_row_a_visit(values: pd.DataFrame, *, faults: "_Faults") -> pd.DataFrame:
    """Merge the rows of the same visit, which must agree."""
    again = values.index.duplicated(keep=False)
    if not again.any():
        return values
    groups = values[again].groupby(level=0)
    unlike = (groups.max() != groups.min()) & (groups.count() > 1)
    if unlike.to_numpy().any():
        names = [str(name) for name in unlike.columns[unlike.any()]]
        raise ValueError(
            f"{faults.path}: {int(unlike.any(axis=1).sum())} visits have several rows that "
            f"differ in {', '.join(names)}: "
            "keep only the correct row of each visit"
        )
    faults.repeated += int(values.index.duplicated().sum())
    return values.groupby(level=0).first()


def _columns(
    header: Sequence[str], *, wanted: Collection[int]
) -> dict[tuple[int, int | None, int], list[str]]:
    columns: dict[tuple[int, int | None, int], list[str]] = {}
    for name in header:
        if (key := parse_column(name)) and key[0] in wanted:
            columns.setdefault(key, []).append(name)
    return columns
