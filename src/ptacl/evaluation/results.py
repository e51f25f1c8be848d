"""Write results as a long table, with one line per number.

A line says which row of the paper's table it belongs to (input, method, evaluation, ...), and then

- `group`: the test participants, `all` or a part of them,
- `seed`: the seed of the model; empty for the result over all seeds,
- `phenotype`: a phenotype, `mean` for the mean over phenotypes, or empty,
- `statistic`: R2, P@10, ...,
- `reference`: empty for the statistic itself; otherwise, the line holds the difference from this
  method, over the same participants and seeds,
- `value`, `low`, `high`: the number and its interval; seeds have no interval,
- `p`: two-sided, for differences; `p_holm` adjusts it for all phenotypes of the row (Holm 1979).

:mod:`ptacl.report.records` reads these tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ptacl.evaluation.summary import ALL, MEAN, Summary
from ptacl.evaluation.uncertainty import Estimates, holm, summarise

_PLACE = ["group", "seed", "phenotype", "statistic", "reference"]
_NUMBERS = [*_PLACE, "value", "low", "high", "p", "p_holm"]

Line = dict[str, object]


@dataclass(frozen=True)
class Reference:
    """The method from which differences are taken, and its estimates of the same statistic."""

    method: str
    estimates: Estimates


def lines(
    row: Mapping[str, object],
    statistic: str,
    estimates: Estimates,
    *,
    phenotypes: Sequence[str],
    reference: Reference | None,
    confidence: float,
    group: str = ALL,
) -> Iterator[Line]:
    """Yield the lines of one statistic of one row.

    Parameters
    ----------
    row : columns that name the row.
    estimates : values (S, B, P) of the phenotypes, in their order.
    reference : None for the reference itself, and for statistics that are not compared.
    """
    for p, phenotype in enumerate(phenotypes):
        here = {**row, "group": group, "phenotype": phenotype, "statistic": statistic}
        of_phenotype = estimates.at(p)
        yield _line(here, summarise(of_phenotype, confidence=confidence), compared=False)
        other = None
        if reference is not None:
            other = reference.estimates.at(p)
            difference = summarise(of_phenotype.minus(other), confidence=confidence)
            yield _line(here | {"reference": reference.method}, difference, compared=True)
        for seed, value, difference_of_seed in of_phenotype.by_seed(other):
            if seed is None:
                continue
            of_seed = here | {"seed": seed}
            yield of_seed | {"reference": "", "value": float(value)}
            if reference is not None:
                yield of_seed | {
                    "reference": reference.method,
                    "value": float(difference_of_seed),
                }


def _line(here: Line, found: Summary, *, compared: bool) -> Line:
    numbers = {"value": found.value, "low": found.low, "high": found.high}
    if compared:
        return here | numbers | {"p": found.p}
    return here | {"reference": ""} | numbers


def adjust(found: Sequence[Line]) -> None:
    """Add `p_holm` to the differences of one row over all seeds, except that of the mean."""
    tested = [line for line in found if "p" in line and line["phenotype"] != MEAN]
    adjusted = holm([float(str(line["p"])) for line in tested])
    for line, p in zip(tested, adjusted, strict=True):
        line["p_holm"] = p


def table(found: Sequence[Line]) -> pd.DataFrame:
    """Return the lines as a table; columns that a line lacks are empty in it."""
    frame = pd.DataFrame(found)
    named = [column for column in frame if column not in _NUMBERS]
    numbers = [column for column in _NUMBERS if column in frame or column != "p_holm"]
    return frame.reindex(columns=[*named, *numbers]).astype({"seed": "Int64"})


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, with six significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g")
