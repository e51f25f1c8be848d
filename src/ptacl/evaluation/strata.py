"""Compute statistics by sex and age group, because a model can work better in some than in others.

R² of a group is relative to the mean of that group, so it gives no credit for differences between
groups that sex or age explain.

Shapes: n test participants, S seeds, B bootstrap draws, of which the first is the sample itself.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptacl import participants
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

LEAST = 10  # participants; smaller groups are omitted
_BANDS = (("below 55 years", 0, 55), ("55 to 64 years", 55, 65), ("65 years and above", 65, 200))


def read(path: Path, *, visits: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return the members (n,) of each group by its name.

    The result is empty if the table has neither sex nor age.
    """
    table = participants.read(path).set_index("visit").loc[list(visits)]
    found: dict[str, NDArray[np.bool_]] = {}
    if "sex" in table:
        found |= {"women": (table["sex"] == 0).to_numpy(), "men": (table["sex"] == 1).to_numpy()}
    if "age" in table:
        found |= {
            name: table["age"].between(low, high, inclusive="left").to_numpy()
            for name, low, high in _BANDS
        }
    return {name: members for name, members in found.items() if members.sum() >= LEAST}


def estimate(
    statistics: Callable[[Array, NDArray[np.bool_]], Mapping[str, Array]],
    predictions: Sequence[Array],
    *,
    members: NDArray[np.bool_],
    seeds: Sequence[int | None],
) -> dict[str, Estimates]:
    """Return statistics (S, B, ...) of the members (n,) of a group by name.

    `statistics` returns those (B, ...) of the predictions of one seed and of some members.
    `predictions` holds those of each seed.
    """
    values: dict[str, list[Array]] = {}
    for of_seed in predictions:
        for name, value in statistics(of_seed, members).items():
            values.setdefault(name, []).append(value)
    num = int(members.sum())
    return {name: Estimates(np.stack(found), seeds, num) for name, found in values.items()}
