"""Read the diseases of the participants of each split, before and after the visit."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl.config import Outcomes
from ptacl.disease.risk import After, Before, Outcome
from ptacl.evaluation import inputs

Mask = NDArray[np.bool_]
When = Literal["before", "after"]


@dataclass(frozen=True)
class Target:
    """A disease before or after the visit.

    horizon : years after the visit up to which it is evaluated. members : by split, which of its
    participants (n,) are evaluated. outcomes : by split, the outcomes of these members only.
    """

    disease: str
    when: When
    horizon: float
    members: Mapping[str, Mask]
    outcomes: Mapping[str, Outcome]

    @property
    def name(self) -> str:
        """The disease and its time, for messages."""
        return f"{self.disease} {self.when} the visit"

    def num(self, split: str) -> int:
        """Return the number of members of a split."""
        return int(self.members[split].sum())

    def cases(self, split: str) -> Mask:
        """Return which members (n,) of a split have the disease, if after, until the horizon."""
        outcome = self.outcomes[split]
        if isinstance(outcome, Before):
            return outcome.positive
        return np.asarray(outcome.cases & (outcome.years <= self.horizon))

    def num_cases(self, split: str) -> int:
        """Return the number of members of a split with the disease."""
        return int(self.cases(split).sum())

    def is_evaluable(self, least_events: int) -> bool:
        """Return whether there are enough people with and without the disease.

        Both are needed in the training and in the test split, and anybody for validation.
        """
        enough = all(self.is_measurable(split, least_events) for split in ("train", "test"))
        return enough and self.num("validation") > 0

    def is_measurable(self, split: str, least_events: int) -> bool:
        """Return whether enough members of a split have the disease, and enough have not."""
        cases = self.num_cases(split)
        return min(cases, self.num(split) - cases) >= least_events


def read(
    path: Path, *, settings: Outcomes, splits: Mapping[str, inputs.SplitTargets]
) -> list[Target]:
    """Read the table of :mod:`ptacl.cohort.outcomes` for the participants of some splits.

    Raises ValueError if the table lacks a column.
    """
    table = pd.read_csv(path, dtype={"visit": str}).set_index("visit")
    of_split = {name: table.reindex(split.visits) for name, split in splits.items()}
    found = []
    for disease in settings.listed:
        for when in times(disease.only_before):
            members, outcomes = {}, {}
            for name, rows in of_split.items():
                members[name], outcomes[name] = _outcome(rows, disease.name, when)
            found.append(Target(disease.name, when, settings.horizon_years, members, outcomes))
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of stages that read diseases."""
    parser.add_argument("--outcomes", required=True, type=Path, help="outcomes.csv")
    parser.add_argument("--outcome-settings", required=True, help="section outcomes, as JSON")


def of_values(values: pd.DataFrame, disease: str, when: When, *, horizon: float) -> Target:
    """Return the outcomes of one group of people, as those of a split `test`.

    The columns are those of :mod:`ptacl.cohort.outcomes` for the disease, NaN where unknown.
    """
    members, outcome = _outcome(values, disease, when)
    return Target(disease, when, horizon, {"test": members}, {"test": outcome})


def times(only_before: bool) -> Sequence[When]:
    """Return when a disease is evaluated."""
    return ("before",) if only_before else ("before", "after")


def _outcome(rows: pd.DataFrame, disease: str, when: When) -> tuple[Mask, Outcome]:
    columns = (
        [f"{disease} before"] if when == "before" else [f"{disease} years", f"{disease} event"]
    )
    if lacking := [name for name in columns if name not in rows]:
        raise ValueError(f"the table of outcomes has no column {lacking[0]}: run its rule again")
    values = rows[columns].to_numpy(np.float64)
    members = np.isfinite(values).all(axis=1)
    if when == "before":
        return members, Before(values[members, 0] == 1)
    return members, After(values[members, 0], values[members, 1])
