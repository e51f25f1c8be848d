"""Write statistics of diseases as lines of a long table, as in :mod:`ptacl.evaluation.results`.

The table has the columns `disease` and `when` (`before` or `after` the visit) in place of the
phenotype, and the numbers of people and of those with the disease.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ptacl.cohort import small_counts
from ptacl.config import RegressionRow
from ptacl.evaluation import results
from ptacl.evaluation.outcome_targets import Target
from ptacl.evaluation.results import Line, Reference
from ptacl.evaluation.summary import ALL
from ptacl.evaluation.uncertainty import Estimates

_FIRST = ["input", "method", "model", "disease", "when"]


def columns(
    row: RegressionRow,
    target: Target,
    *,
    seeds: Sequence[int | None],
    confidence: float,
    smallest_count: int,
) -> dict[str, object]:
    """Return the columns that say which row and disease a line is about.

    Counts below `smallest_count` are hidden.
    """
    counts = {
        "n_train": target.num("train"),
        "n_test": target.num("test"),
        "cases_train": target.num_cases("train"),
        "cases_test": target.num_cases("test"),
    }
    hidden: dict[str, object] = small_counts.hidden(counts, least=smallest_count)
    named = {"input": row.group, "method": row.label, "model": row.model or "", "when": target.when}
    num_seeds = 0 if list(seeds) == [None] else len(seeds)
    return named | hidden | {"seeds": num_seeds, "confidence": confidence}


def of_statistic(
    columns: Mapping[str, object],
    name: str,
    estimates: Estimates,
    *,
    disease: str,
    reference: Reference | None,
    group: str = ALL,
) -> Iterator[Line]:
    """Yield the lines of one statistic with values (S, B) of a disease."""
    if reference is not None:
        reference = replace(reference, estimates=_as_column(reference.estimates))
    return results.lines(
        columns,
        name,
        _as_column(estimates),
        phenotypes=[disease],
        reference=reference,
        confidence=float(str(columns["confidence"])),
        group=group,
    )


def _as_column(estimates: Estimates) -> Estimates:
    """Return values (S, B) as (S, B, 1): those of one disease."""
    return replace(estimates, values=estimates.values[:, :, None])


def table(lines: Sequence[Line]) -> pd.DataFrame:
    """Return the lines as a table, in which the disease comes after the method."""
    if not lines:
        return pd.DataFrame(columns=[*_FIRST, "group", "seed", "statistic", "reference", "value"])
    long = results.table(lines).rename(columns={"phenotype": "disease"})
    return long[[*_FIRST, *(name for name in long if name not in _FIRST)]]
