"""A number with its interval, and the names that lines of the tables use."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

ALL = "all"  # group of all test participants
MEAN = "mean"  # over phenotypes
OWN_RANK = "own MdR"  # median rank of the own partner
RANKINGS = {"before": "AUROC", "after": "C"}  # main statistic of diseases, by time
OWN_RECALL = "own R@"  # recall of the own partner, at k


@dataclass(frozen=True)
class Summary:
    """A number with its interval and its two-sided p value against zero."""

    value: float
    low: float
    high: float
    p: float


def stated(numbers: Iterable[float]) -> Summary:
    """Return a stored value with both ends of its interval; it has no p value."""
    value, low, high = numbers
    return Summary(value, low, high, math.nan)


NOTHING = Summary(math.nan, math.nan, math.nan, math.nan)
