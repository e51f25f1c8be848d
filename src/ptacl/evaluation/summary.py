"""A number with its interval, and the names that lines of the tables use."""

import math
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


NOTHING = Summary(math.nan, math.nan, math.nan, math.nan)
