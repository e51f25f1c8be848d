"""Uncertainty of every number of the tables: over participants by the bootstrap, and over seeds by variance components.

A draw of participants with replacement is a row of counts. Every statistic here takes counts, so that one matrix product gives
all draws, and all rows of a table share the same draws, which pairs them. The first row of counts is the sample itself: the
first estimate is the value of the table, the others are its draws.

A few seeds are too few to draw again: three of them are all the lowest one in 1 of 27 draws. So where a model was trained with
several seeds, their spread enters as a variance component, with a t distribution for its few degrees of freedom.

Shapes: B draws (the first is the sample), n participants, K statistics, S seeds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

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


@dataclass(frozen=True)
class Estimates:
    """A statistic of a row of a table, by seed of the model and draw of participants.

    Parameters
    ----------
    values : (S, B, ...); the first draw is the sample itself.
    seeds : the S seeds; `[None]` for what needs no training, such as a probe of covariates or chance.
    participants : number of participants that are drawn.
    """

    values: Array
    seeds: Sequence[int | None]
    participants: int

    @property
    def value(self) -> Array:
        """(...) the statistic of the sample, averaged over seeds."""
        mean: Array = self.values[:, 0].mean(axis=0)
        return mean

    @property
    def num_seeds(self) -> int:
        """Seeds of a trained model; 0 for what needs no training."""
        return 0 if list(self.seeds) == [None] else len(self.seeds)

    def at(self, *index: int) -> "Estimates":
        """One of several statistics, by its place in the axes behind seeds and draws."""
        values = self.values
        for i in index:
            values = values[:, :, i]
        return replace(self, values=values)

    def with_mean(self) -> "Estimates":
        """The same with the mean over the first axis behind the draws added to that axis, as its last entry."""
        mean = self.values.mean(axis=2, keepdims=True)
        return replace(self, values=np.concatenate([self.values, mean], axis=2))

    def minus(self, reference: "Estimates") -> "Estimates":
        """Differences over the same draws, seed by seed; what needs no training is compared with every seed.

        Only seeds that both have count. Without any the differences have no seed, and every number of them is NaN.
        """
        if not self.num_seeds:
            return replace(reference, values=self.values - reference.values)
        if not reference.num_seeds:
            return replace(self, values=self.values - reference.values)
        shared = [seed for seed in self.seeds if seed in reference.seeds]
        own = self.values[[list(self.seeds).index(seed) for seed in shared]]
        other = reference.values[[list(reference.seeds).index(seed) for seed in shared]]
        return replace(self, values=own - other, seeds=shared)

    def by_seed(self, reference: "Estimates | None") -> Iterator[tuple[int | None, Array, Array]]:
        """Seed, statistics (...) of the sample, and their differences from the reference at this seed, NaN without one."""
        of_sample = self.values[:, 0]
        nothing = np.full(of_sample.shape[1:], np.nan)
        differences: dict[int | None, Array] = {}
        if reference is not None:
            paired = self.minus(reference)
            differences = dict(zip(paired.seeds, paired.values[:, 0], strict=True))
        if not self.num_seeds:
            for seed in differences or self.seeds:
                yield seed, of_sample[0], differences.get(seed, nothing)
            return
        for seed, values in zip(self.seeds, of_sample, strict=True):
            yield seed, values, differences.get(seed, nothing)


@dataclass(frozen=True)
class Summary:
    """A number with its interval, and the two-sided p of its being zero."""

    value: float
    low: float
    high: float
    p: float


_NOTHING = Summary(math.nan, math.nan, math.nan, math.nan)


def summarise(estimates: Estimates, *, confidence: float) -> Summary:
    """The mean over seeds of a single statistic, values (S, B), with its interval.

    One seed gives the percentile interval over participants. Several seeds give a t interval from variance components: seeds and
    participants are crossed, as in a two-way table, and Satterthwaite (1946) gives the degrees of freedom.
    """
    values = estimates.values
    if not len(values) or not np.isfinite(values[:, 0]).all():
        return _NOTHING
    if len(values) == 1:
        low, high = interval(values[0], confidence=confidence)
        return Summary(float(values[0, 0]), low, high, p_value(values[0]))
    value = float(values[:, 0].mean())
    variance, freedom = _variance_of_mean(values, participants=estimates.participants)
    if variance == 0:
        return Summary(value, value, value, 1.0 if value == 0 else 0.0)
    error = math.sqrt(variance)
    half_width = error * float(special.stdtrit(freedom, (1 + confidence) / 2))  # of Student's t
    p = 2 * float(special.stdtr(freedom, -abs(value) / error))
    return Summary(value, value - half_width, value + half_width, p)


def _variance_of_mean(values_SB: Array, *, participants: int) -> tuple[float, float]:
    """Variance of the mean over seeds, and its degrees of freedom.

    With `a` what participants add to all seeds alike, `s` what a seed adds, and `i` what participants add to one seed only, the
    variance is var(a) + var(s) / S + var(i) / S. The spread over seeds of the sample estimates var(s) + var(i), the bootstrap of
    the mean var(a) + var(i) / S, and the bootstrap of what is left of each seed var(i), which would otherwise count twice.
    """
    num_seeds = len(values_SB)
    of_seeds = float(values_SB[:, 0].var(ddof=1)) / num_seeds
    draws_SB = values_SB[:, 1:]
    draws_SB = draws_SB[:, np.isfinite(draws_SB).all(axis=0)]
    mean_B = draws_SB.mean(axis=0)
    of_participants = float(mean_B.var(ddof=1))
    left_SB = draws_SB - mean_B
    of_both = float(left_SB.var(axis=1, ddof=1).mean()) / (num_seeds - 1)
    variance = max(of_seeds + of_participants - of_both, of_participants)
    others = participants - 1
    parts = of_seeds**2 / (num_seeds - 1) + of_participants**2 / others + of_both**2 / (others * (num_seeds - 1))
    return variance, variance**2 / parts if parts else math.inf


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


def columns(name: str, estimates: Estimates, *, confidence: float) -> dict[str, float]:
    """Value and interval of a single statistic as columns `name`, `name_low`, `name_high`."""
    found = summarise(estimates, confidence=confidence)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def paired_columns(name: str, estimates: Estimates, *, reference: Estimates | None, confidence: float) -> dict[str, float]:
    """Difference from the reference as columns `name_difference`, its interval, and `name_p`.

    The row that is the reference itself gives None and gets empty columns.
    """
    found = _NOTHING
    if reference is not None:
        found = summarise(estimates.minus(reference), confidence=confidence)
    name_difference = f"{name}_difference"
    return {
        name_difference: found.value,
        f"{name_difference}_low": found.low,
        f"{name_difference}_high": found.high,
        f"{name}_p": found.p,
    }
