"""Read the long tables of :mod:`ptacl.evaluation.results`, one record per row of the paper's table.

Only the numbers over all seeds and all test participants become records. The table also contains
those of single seeds and groups.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl.evaluation.summary import ALL, MEAN, NOTHING, Summary

_TEXTS = ("input", "method", "evaluation", "model", "paper", "note", "direction", "gallery")
_OPTIONAL = {"input": "ECG", "evaluation": "LP", "note": "", "direction": "", "gallery": ""}


@dataclass(frozen=True)
class Record:
    """The numbers of one method.

    values, differences : by phenotype and statistic; differences are those from `reference`, the
    name of the method that this one is compared with ("" for the reference itself). seeds : number
    of seeds, 0 without a trained model. shown : whether the settings choose this direction and
    gallery.
    """

    input: str
    method: str
    evaluation: str
    model: str
    paper: str
    note: str
    direction: str
    gallery: str
    shown: bool
    n_train: int
    n_test: int
    seeds: int
    confidence: float
    reference: str
    values: Mapping[tuple[str, str], Summary]
    differences: Mapping[tuple[str, str], Summary]

    @property
    def name(self) -> str:
        """The method, with its evaluation unless it is a linear probe."""
        return self.method if self.evaluation == "LP" else f"{self.method} ({self.evaluation})"

    def value(self, statistic: str, phenotype: str = MEAN) -> Summary:
        """Return a number with its interval; NaN if the table does not have it."""
        return self.values.get((phenotype, statistic), NOTHING)

    def difference(self, statistic: str, phenotype: str = MEAN) -> Summary:
        """Return the difference of a number from the reference; NaN for the reference itself."""
        return self.differences.get((phenotype, statistic), NOTHING)


def read(path: Path) -> pd.DataFrame:
    """Read a table; missing texts are ""."""
    table = pd.read_csv(path)
    texts = [name for name in (*_TEXTS, "group", "phenotype", "reference") if name in table]
    return table.fillna(dict.fromkeys(texts, ""))


def records(table: pd.DataFrame) -> list[Record]:
    """Return the rows of a table in its order."""
    overall = table[table["seed"].isna() & (table["group"] == ALL)]
    names = [name for name in (*_TEXTS, "shown", "n_train") if name in overall]
    keys = [*names, "n_test", "seeds", "confidence"]
    found = []
    for _, lines in overall.groupby(keys, sort=False, dropna=False):
        facts = lines.iloc[0]
        values: dict[tuple[str, str], Summary] = {}
        differences: dict[tuple[str, str], Summary] = {}
        places = zip(lines["phenotype"], lines["statistic"], lines["reference"], strict=True)
        numbers = lines[["value", "low", "high", "p"]].to_numpy(np.float64)
        for (phenotype, statistic, reference), number in zip(places, numbers, strict=True):
            chosen = differences if reference else values
            chosen[phenotype, statistic] = Summary(*number.tolist())
        texts = {name: str(facts.get(name, _OPTIONAL.get(name, ""))) for name in _TEXTS}
        found.append(
            Record(
                **texts,
                shown=bool(facts.get("shown", True)),
                n_train=int(facts.get("n_train", 0)),
                n_test=int(facts["n_test"]),
                seeds=int(facts["seeds"]),
                confidence=float(facts["confidence"]),
                reference=max(lines["reference"]),
                values=values,
                differences=differences,
            )
        )
    return found


def phenotypes(rows: Sequence[Record]) -> list[str]:
    """Return the phenotypes in the order of the table, without the mean."""
    names = dict.fromkeys(phenotype for phenotype, _ in rows[0].values)
    return [name for name in names if name not in (MEAN, "")]


def statistics(rows: Sequence[Record]) -> list[str]:
    """Return the statistics of phenotypes in the order of the table."""
    return list(dict.fromkeys(name for phenotype, name in rows[0].values if phenotype))


def own_statistics(rows: Sequence[Record]) -> list[str]:
    """Return the statistics of the own partner in the order of the table."""
    return [name for phenotype, name in rows[0].values if not phenotype]


def finite(summary: Summary) -> bool:
    """Return whether a number exists."""
    return math.isfinite(summary.value)
