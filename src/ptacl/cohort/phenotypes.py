"""Read the phenotypes of a cohort from all its tables.

Values are checked for plausibility and for the identities that they must satisfy.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl.cohort import phenotype_file
from ptacl.cohort.column_names import CONVENTIONS, COVARIATES
from ptacl.config import Phenotype

_INLINE = range(22420, 22428)
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
    or has shifted columns (:mod:`ptacl.cohort.csv_tables`), or contradicts itself. It is also
    raised if a phenotype is in none of the tables, or if its field is one of the old inline
    segmentation.
    """
    old = [p.field for p in phenotypes if p.field in _INLINE]
    if old:
        raise ValueError(
            f"cohort.phenotypes: field {old[0]} is the inline segmentation of the scanner, "
            "which had no quality control: use fields 24100 to 24109"
        )
    fields = COVARIATES | {p.name: p.field for p in phenotypes if p.field is not None}
    found = [phenotype_file.read(Path(p), fields=fields, instances=instances) for p in paths]
    present = set().union(*(file.values.columns for file in found))
    absent = [f"{p.name} (field {p.field})" for p in phenotypes if p.name not in present]
    if absent:
        raise ValueError(
            f"{', '.join(map(str, paths))}: no column for {', '.join(absent)} at instance "
            f"{', '.join(map(str, instances))}. "
            f"Names tried, with 24100 as the example: {CONVENTIONS}. Export these fields, "
            "or remove them from cohort.phenotypes"
        )
    stacked = phenotype_file.stack([file.values for file in found])
    values = stacked.reindex(columns=list(fields)).groupby(level=0, sort=True).first()
    sex = pd.concat([file.sex for file in found]).groupby(level=0).first()
    people = [visit.partition("_")[0] for visit in values.index]
    values.insert(0, "sex", sex.reindex(people).to_numpy(float))
    for name in COVARIATES:
        # codes such as -1 (do not know) are not measurements
        values.loc[values[name] <= 0, name] = np.nan
    names = {p.field: p.name for p in phenotypes if p.field is not None}
    implausible = {p.name: drop_implausible(values, p) for p in phenotypes}
    inconsistent = {}
    for chamber in _CHAMBERS:
        inconsistent[chamber] = _drop_inconsistent(
            values, chamber, names=names, tolerance=identity_tolerance
        )
    unreadable: dict[str, Counter[str]] = {}
    for file in found:
        for name, reasons in file.unreadable.items():
            unreadable.setdefault(name, Counter()).update(reasons)
    return PhenotypeTable(
        values=values,
        implausible=implausible,
        inconsistent=inconsistent,
        unreadable={name: dict(sorted(of.items())) for name, of in unreadable.items() if of},
        repeated=sum(file.repeated for file in found),
    )


def drop_implausible(values: pd.DataFrame, phenotype: Phenotype) -> int:
    """Set the values outside `low`..`high` to NaN, and return their number.

    ValueError is raised if most values are outside: they are not in the unit of the phenotype.
    """
    column = values[phenotype.name]
    wrong = (column < phenotype.low) | (column > phenotype.high)
    if 2 * wrong.sum() > column.notna().sum():
        raise ValueError(
            f"{phenotype.name}: {wrong.sum():,} of {column.notna().sum():,} values are outside "
            f"{phenotype.low:g} to {phenotype.high:g} {phenotype.unit}, with a median of "
            f"{column[wrong].median():.3g}: give them in {phenotype.unit}, or correct low, high "
            "and unit in cohort.phenotypes"
        )
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
