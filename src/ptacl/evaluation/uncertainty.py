"""Estimate the uncertainty of the numbers in the tables, over participants and over seeds.

Participants are resampled with the bootstrap. A draw with replacement is stored as a row of counts.
Every statistic takes counts, so one matrix product computes all draws. All rows of a table share
the same draws, which makes comparisons between them paired. The first row of counts is the sample
itself, so the first estimate is the value in the table and the others are its bootstrap draws.

Seeds are too few to be resampled: of three seeds, 1 draw in 27 would contain only the lowest. If a
model was trained with several seeds, their spread enters as a variance component instead, with a t
distribution for its few degrees of freedom.

Shapes: B draws (the first is the sample itself), n participants, K statistics, S seeds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ptacl import seeds
from ptacl.evaluation.summary import NOTHING, Summary

Array = NDArray[np.float64]


def draw_counts(num_participants: int, *, draws: int, generator: np.random.Generator) -> Array:
    """Draw how often each participant is sampled, (1 + draws, n).

    The first row is the sample itself, with every participant once.
    """
    counts = np.ones((1 + draws, num_participants))
    for row in counts[1:]:
        row[:] = np.bincount(
            generator.integers(num_participants, size=num_participants), minlength=num_participants
        )
    return counts


def shared_counts(num_participants: int, *, draws: int, seed: int) -> Array:
    """Draw the counts of the test participants that all probes share, (1 + draws, n).

    Numbers of Table 2, with few labels and of diseases therefore belong to the same draws.
    """
    generator = seeds.generator(seed, "bootstrap", "regression")
    return draw_counts(num_participants, draws=draws, generator=generator)


def means(values_nk: Array, *, counts: Array) -> Array:
    """Return means (B, K) over participants, ignoring NaN; a draw without any value gives NaN."""
    known = np.isfinite(values_nk)
    with np.errstate(invalid="ignore"):
        mean: Array = (counts @ np.where(known, values_nk, 0.0)) / (
            counts @ known.astype(np.float64)
        )
    return mean


def medians(values_nk: Array, *, counts: Array) -> Array:
    """Return medians (B, K) over participants, ignoring NaN.

    The middle two values are averaged, as in ``numpy.median``.
    """
    by_participant = np.ascontiguousarray(counts.T)  # rows are gathered and summed below
    result = np.full((len(counts), values_nk.shape[1]), np.nan)
    for k, values in enumerate(values_nk.T):
        known = np.flatnonzero(np.isfinite(values))
        if not known.size:
            continue
        order = known[np.argsort(values[known], kind="stable")]
        levels, starts = np.unique(values[order], return_index=True)
        below_ub = np.cumsum(np.add.reduceat(by_participant[order], starts, axis=0), axis=0)
        half = below_ub[-1] / 2
        middle = (
            levels[np.argmax(below_ub >= half, axis=0)] + levels[np.argmax(below_ub > half, axis=0)]
        ) / 2
        result[:, k] = np.where(half > 0, middle, np.nan)
    return result


@dataclass(frozen=True)
class Estimates:
    """A statistic of one row of a table, by seed of the model and draw of participants.

    Parameters
    ----------
    values : (S, B, ...); the first draw is the sample itself.
    seeds : the S seeds; `[None]` for rows without a trained model, such as a probe of covariates or
        chance.
    participants : number of participants in a draw.
    """

    values: Array
    seeds: Sequence[int | None]
    participants: int

    @property
    def value(self) -> Array:
        """The statistic (...) of the sample, averaged over seeds."""
        mean: Array = self.values[:, 0].mean(axis=0)
        return mean

    @property
    def num_seeds(self) -> int:
        """Number of seeds, 0 for rows without a trained model."""
        return 0 if list(self.seeds) == [None] else len(self.seeds)

    def at(self, *index: int) -> "Estimates":
        """Select one statistic by its index in the axes after seeds and draws."""
        values = self.values
        for i in index:
            values = values[:, :, i]
        return replace(self, values=values)

    def statistic(self, index: int | slice) -> "Estimates":
        """Select one or several statistics by their index in the last axis."""
        return replace(self, values=self.values[..., index])

    def with_mean(self) -> "Estimates":
        """Append the mean over the first axis after the draws to that axis, as its last entry."""
        mean = self.values.mean(axis=2, keepdims=True)
        return replace(self, values=np.concatenate([self.values, mean], axis=2))

    def minus(self, reference: "Estimates") -> "Estimates":
        """Return differences over the same draws, seed by seed.

        Rows without a trained model are compared with every seed of the other. Otherwise, only the
        seeds that both have are used. If they have none in common, the result has no seed, and all
        its summaries are NaN.
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
        """Yield each seed with the statistics (...) of the sample and their differences.

        The differences are from the reference with the same seed, and NaN if there is none.
        """
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


def summarise(estimates: Estimates, *, confidence: float) -> Summary:
    """Return the mean over seeds of a single statistic, with values (S, B), and its interval.

    With one seed, this is the percentile interval over participants. With several seeds, it is a t
    interval from variance components: seeds and participants are crossed, as in a two-way table.
    The degrees of freedom follow Satterthwaite (1946).
    """
    values = estimates.values
    if not len(values) or not np.isfinite(values[:, 0]).all():
        return NOTHING
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
    """Return the variance of the mean over seeds, and its degrees of freedom.

    Let `a` be the effect of participants on all seeds, `s` the effect of a seed, and `i` their
    interaction. The variance of the mean is var(a) + var(s) / S + var(i) / S. The spread of the
    sample over seeds estimates var(s) + var(i), and the bootstrap of the mean estimates
    var(a) + var(i) / S. The bootstrap of each seed's deviation from the mean estimates var(i),
    which
    is subtracted because it would otherwise count twice.
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
    parts = (
        of_seeds**2 / (num_seeds - 1)
        + of_participants**2 / others
        + of_both**2 / (others * (num_seeds - 1))
    )
    return variance, variance**2 / parts if parts else math.inf


def interval(estimates: Array, *, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of estimates (B,), of which the first is the sample.

    Both ends are NaN if no draw is finite.
    """
    draws = estimates[1:][np.isfinite(estimates[1:])]
    if not draws.size:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def p_value(differences: Array) -> float:
    """Return the two-sided bootstrap p value of differences (B,); the first is the sample.

    It is 1 if all differences are zero, and never below 2 / (draws + 1).
    """
    draws = differences[1:][np.isfinite(differences[1:])]
    if not draws.size:
        return float("nan")
    one_sided = min((draws <= 0).sum(), (draws >= 0).sum())
    return min(1.0, 2 * float(one_sided + 1) / (draws.size + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for multiple testing (Holm 1979), in the given order.

    NaN stays NaN and does not count as a test.
    """
    known = sorted(
        (i for i, p in enumerate(p_values) if not np.isnan(p)), key=lambda i: p_values[i]
    )
    adjusted, least = [float("nan")] * len(p_values), 0.0
    for rank, i in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted
