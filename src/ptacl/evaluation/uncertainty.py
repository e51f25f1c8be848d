"""Uncertainty of every number of the tables: the percentile bootstrap over participants, and its paired test.

A draw of participants with replacement is a row of counts. Every statistic here takes counts, so that one matrix product gives
all draws, and all rows of a table share the same draws, which pairs them. The first row of counts is the sample itself: the
first estimate is the value of the table, the others are its draws. Where a model was trained with several seeds, a draw draws
seeds as well, and intervals are over both.

Shapes: B draws (the first is the sample), n participants, K statistics, S seeds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptacl import seeds

Array = NDArray[np.float64]


def draw_counts(num_participants: int, *, draws: int, generator: np.random.Generator) -> Array:
    """(1 + draws, n): how often each participant is drawn; the first row is the sample itself, once each."""
    counts = np.ones((1 + draws, num_participants))
    for row in counts[1:]:
        row[:] = np.bincount(generator.integers(num_participants, size=num_participants), minlength=num_participants)
    return counts


def means(values_nk: Array, *, counts: Array) -> Array:
    """(B, K) means over participants; a NaN does not count, and a draw without any value is NaN."""
    known = np.isfinite(values_nk)
    with np.errstate(invalid="ignore"):
        mean: Array = (counts @ np.where(known, values_nk, 0.0)) / (counts @ known.astype(np.float64))
    return mean


def medians(values_nk: Array, *, counts: Array) -> Array:
    """(B, K) medians over participants, the middle two averaged as in ``numpy.median``; a NaN does not count."""
    by_participant = np.ascontiguousarray(counts.T)  # rows of draws: gathering and summing them is contiguous
    result = np.full((len(counts), values_nk.shape[1]), np.nan)
    for k, values in enumerate(values_nk.T):
        known = np.flatnonzero(np.isfinite(values))
        if not known.size:
            continue
        order = known[np.argsort(values[known], kind="stable")]
        levels, starts = np.unique(values[order], return_index=True)
        below_ub = np.cumsum(np.add.reduceat(by_participant[order], starts, axis=0), axis=0)
        half = below_ub[-1] / 2
        middle = (levels[np.argmax(below_ub >= half, axis=0)] + levels[np.argmax(below_ub > half, axis=0)]) / 2
        result[:, k] = np.where(half > 0, middle, np.nan)
    return result


def over_seeds(of_seed: Sequence[Array], *, seed: int) -> Array:
    """(B, ...) means over seeds of estimates (B, ...); draws draw seeds again, those at the same place together in all rows."""
    estimates = np.stack(of_seed)
    generator = seeds.generator(seed, "bootstrap", "seeds", len(estimates))
    counts = draw_counts(len(estimates), draws=estimates.shape[1] - 1, generator=generator)
    mean: Array = np.einsum("bs,sb...->b...", counts / len(estimates), estimates)
    return mean


def interval(estimates: Array, *, confidence: float) -> tuple[float, float]:
    """Percentile interval of estimates (B,), of which the first is the sample; NaN if no draw is defined."""
    draws = estimates[1:][np.isfinite(estimates[1:])]
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def p_value(differences: Array) -> float:
    """Two-sided bootstrap p of differences (B,), of which the first is the sample.

    It is 1 where all differences are zero, and never below 2 / (draws + 1).
    """
    draws = differences[1:][np.isfinite(differences[1:])]
    if not draws.size:
        return float("nan")
    one_sided = min((draws <= 0).sum(), (draws >= 0).sum())
    return min(1.0, 2 * float(one_sided + 1) / (draws.size + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm 1979), in the order given; NaN stays, and does not count."""
    known = sorted((i for i, p in enumerate(p_values) if not np.isnan(p)), key=lambda i: p_values[i])
    adjusted, least = [float("nan")] * len(p_values), 0.0
    for rank, i in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def columns(name: str, estimates: Array, *, confidence: float) -> dict[str, float]:
    """Value and interval of estimates (B,) as columns `name`, `name_low`, `name_high`."""
    low, high = interval(estimates, confidence=confidence)
    return {name: float(estimates[0]), f"{name}_low": low, f"{name}_high": high}


def paired_columns(name: str, estimates: Array, *, reference: Array | None, confidence: float) -> dict[str, float]:
    """Difference from the reference over the same draws, as columns `name_difference`, its interval, and `name_p`.

    Both are (B,) estimates; the row that is the reference itself gives None and gets empty columns.
    """
    differences = np.full_like(estimates, np.nan) if reference is None else estimates - reference
    return {**columns(f"{name}_difference", differences, confidence=confidence), f"{name}_p": p_value(differences)}
