"""Phenotype tables in every column convention of UK Biobank, checked for plausibility and for the identities they must obey.

For field 24103 at visit 2: `24103-2.0` (ukbconv csv, Table Exporter UKB-FORMAT), `f.24103.2.0` (ukbconv r), `X24103.2.0` (an R
data frame of the csv), `p24103_i2` (Table Exporter), `participant.p24103_i2` (dx extract_dataset), `LV ejection fraction |
Instance 2` (Table Exporter FIELD-TITLE), also with `(participant - p24103_i2)` behind it, and as R mangles that.
"""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl.config import Phenotype

LOG = logging.getLogger(__name__)

SEX = 31
COVARIATES = {"age": 21003, "height_cm": 50, "weight_kg": 21002}
CONVENTIONS = "24100-2.0, f.24100.2.0, X24100.2.0, p24100_i2, participant.p24100_i2, LV end diastolic volume | Instance 2"

_ROWS = 20000
_INLINE = range(22420, 22428)
_ID = re.compile(r"(?:.*\W)?eid\W*|participant[ .]id", re.IGNORECASE)
_NAMES = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:f\.|X)(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:.*\W)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?\W*"),
    re.compile(r"(?P<title>[^|]+?)(?: \| Instance (?P<instance>\d+))?(?: \| Array (?P<array>\d+))?"),
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
# end-diastolic volume, end-systolic volume, stroke volume, ejection fraction, and what else follows from the stroke volume
_CHAMBERS = {"LV": (24100, 24101, 24102, 24103, [24104]), "RV": (24106, 24107, 24108, 24109, [])}


@dataclass(frozen=True)
class PhenotypeTable:
    """`values`: one row a visit; columns sex (0 female, 1 male), age, height_cm, weight_kg, then the phenotypes; NaN is missing.

    `implausible` counts the values set to NaN by phenotype, `inconsistent` the visits that break an identity, by chamber.
    """

    values: pd.DataFrame
    implausible: dict[str, int]
    inconsistent: dict[str, int]


def parse_column(name: str) -> tuple[int, int | None, int] | None:
    """Field, instance (None where the field has none) and array of a column name; None for any other column."""
    for pattern in _NAMES:
        if match := pattern.fullmatch(name.strip()):
            parts = match.groupdict()
            field = int(parts["field"]) if "field" in parts else _TITLES.get(parts["title"].strip().lower())
            if field is not None:
                return field, int(parts["instance"]) if parts["instance"] else None, int(parts["array"] or 0)
    return None


def read_tables(
    paths: Sequence[Path | str], *, phenotypes: Sequence[Phenotype], instances: Sequence[int], identity_tolerance: float
) -> PhenotypeTable:
    """Read and merge CSV, TSV or parquet tables; the first finite value of a visit wins, in the order of `paths`.

    A value outside `low`..`high` becomes missing. Where SV differs from EDV - ESV, or EF from (EDV - ESV) / EDV, by more than
    `identity_tolerance` of it, all values derived from the stroke volume of that chamber (SV, EF and, for the LV, CO) become
    missing; the volumes stay. Sex (field 31), age (21003), height (50) and weight (21002) are read where there are any.
    Only the columns needed are read. ValueError: a table without id or known column, a phenotype in no table, an old field.
    """
    if old := [p.field for p in phenotypes if p.field in _INLINE]:
        raise ValueError(
            f"cohort.phenotypes: field {old[0]} is the scanner's own inline segmentation, made without quality control: "
            "use fields 24100 to 24109"
        )
    fields = COVARIATES | {p.name: p.field for p in phenotypes}
    tables = [_read(Path(path), fields=fields, instances=instances) for path in paths]
    present = {name for visits, _ in tables for name in visits}
    if absent := [f"{p.name} (field {p.field})" for p in phenotypes if p.name not in present]:
        raise ValueError(
            f"{', '.join(map(str, paths))}: no column for {', '.join(absent)} at instance {', '.join(map(str, instances))}. "
            f"Names tried, with 24100 as the example: {CONVENTIONS}. Export these fields, or remove them from cohort.phenotypes"
        )
    values = _stack([visits for visits, _ in tables]).reindex(columns=list(fields)).groupby(level=0, sort=True).first()
    by_participant = pd.concat([sex for _, sex in tables]).groupby(level=0).first().to_dict()
    values.insert(0, "sex", [by_participant.get(visit.partition("_")[0], np.nan) for visit in values.index])
    for name in COVARIATES:
        values.loc[values[name] <= 0, name] = np.nan  # codes such as -1 (do not know) are no measurements
    implausible = {p.name: _drop_implausible(values, p) for p in phenotypes}
    names = {p.field: p.name for p in phenotypes}
    inconsistent = {c: _drop_inconsistent(values, c, names=names, tolerance=identity_tolerance) for c in _CHAMBERS}
    return PhenotypeTable(values=values, implausible=implausible, inconsistent=inconsistent)


def _drop_implausible(values: pd.DataFrame, phenotype: Phenotype) -> int:
    column = values[phenotype.name]
    wrong = (column < phenotype.low) | (column > phenotype.high)
    values.loc[wrong, phenotype.name] = np.nan
    return int(wrong.sum())


def _drop_inconsistent(values: pd.DataFrame, chamber: str, *, names: Mapping[int, str], tolerance: float) -> int:
    edv, esv, sv, ef, also = _CHAMBERS[chamber]
    if edv not in names or esv not in names:
        return 0
    stroke = values[names[edv]] - values[names[esv]]
    wrong = pd.Series(False, index=values.index)
    for field, expected in ((sv, stroke), (ef, stroke / values[names[edv]] * 100)):
        if field in names:
            wrong |= (values[names[field]] - expected).abs() > tolerance * expected.abs()
    derived = [names[field] for field in (sv, ef, *also) if field in names]
    values.loc[wrong, derived] = np.nan
    return int(wrong.sum())


def _read(path: Path, *, fields: Mapping[str, int], instances: Sequence[int]) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """The columns of `fields` of one table by visit, and sex by participant; in pieces, to hold the memory down."""
    header = _header(path)
    ids = [name for name in header if _ID.fullmatch(name.strip())]
    if not ids:
        raise ValueError(f"{path}: no id column: the first line must name eid, f.eid, participant.eid or Participant ID")
    columns = _columns(header, wanted={SEX, *fields.values()})
    sex = next((name for (field, _, array), name in columns.items() if field == SEX and array == 0), None)
    by_visit = {i: {k: columns[f, i, 0] for k, f in fields.items() if (f, i, 0) in columns} for i in instances}
    wanted = {name for names in by_visit.values() for name in names.values()} | ({sex} if sex else set())
    if not wanted:
        raise ValueError(
            f"{path}: among its {len(header)} columns is none of the fields {sorted({SEX, *fields.values()})} at instance "
            f"{', '.join(map(str, instances))}. Names tried, with 24100 as the example: {CONVENTIONS}. "
            "Export them, or remove the table from cohort.phenotype_tables"
        )
    visits, sexes, strange = [], [], 0
    for piece in _pieces(path, columns=[ids[0], *sorted(wanted)]):
        eid = piece[ids[0]].astype("string").str.strip().str.removesuffix(".0")
        known = eid.str.fullmatch(r"\d{7}").fillna(False).to_numpy(dtype=bool)
        piece, eid, strange = piece[known], eid[known].astype(str), strange + int((~known).sum())
        visits += [_visits(piece, eid, names=names, instance=i) for i, names in by_visit.items() if names]
        if sex:
            sexes.append(piece[sex].astype(str).str.strip().str.lower().map(_SEX_CODES).astype(float).set_axis(eid))
    if strange:
        LOG.warning("%s: %d rows without a 7-digit id are ignored", path, strange)
    present = [name for name in fields if any(name in names for names in by_visit.values())]
    return _stack(visits).reindex(columns=present), pd.concat(sexes) if sexes else pd.Series(dtype=float)


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows; frames without any are left out first, for they would set the types."""
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full) if full else pd.DataFrame(dtype=float)


def _visits(table: pd.DataFrame, eid: "pd.Series[str]", *, names: Mapping[str, str], instance: int) -> pd.DataFrame:
    """One instance of a table: a row a visit that has any value."""
    values = pd.DataFrame({name: _numeric(table[column]) for name, column in names.items()}).dropna(how="all")
    return values.set_axis(eid[values.index] + f"_{instance}")


def _columns(header: Sequence[str], *, wanted: Collection[int]) -> dict[tuple[int, int | None, int], str]:
    columns: dict[tuple[int, int | None, int], str] = {}
    for name in header:
        if (key := parse_column(name)) and key[0] in wanted:
            columns.setdefault(key, name)
    return columns


def _header(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet  # type: ignore[import-untyped]

            return list(pyarrow.parquet.read_schema(path).names)
        return list(pd.read_csv(path, sep=_separator(path), nrows=0, encoding="utf-8-sig", encoding_errors="replace").columns)
    except ValueError as error:  # pandas and pyarrow derive theirs from it, and name no file
        raise ValueError(f"{path}: not a CSV, TSV or parquet table ({error})") from error


def _pieces(path: Path, *, columns: list[str]) -> Iterator[pd.DataFrame]:
    """The columns asked for, some rows at a time; the first column is the id."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        batches = pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=_ROWS, columns=columns)
        yield from (batch.to_pandas(ignore_metadata=True) for batch in batches)
        return
    with pd.read_csv(
        path,
        sep=_separator(path),
        usecols=columns,
        dtype={columns[0]: "string"},
        encoding="utf-8-sig",
        encoding_errors="replace",
        low_memory=False,
        chunksize=_ROWS,
    ) as pieces:
        yield from pieces


def _separator(path: Path) -> str:
    """A tab if the header has one: titles may contain commas, never tabs."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        return "\t" if "\t" in lines.readline() else ","


def _numeric(column: "pd.Series[float]") -> "pd.Series[float]":
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    return numbers.where(np.isfinite(numbers))
