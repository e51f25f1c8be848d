"""Measure how well scores tell people with a disease from others, and risks from what happens.

All measures of discrimination are the weighted share of comparable pairs in which the case has the
higher score. They differ in the pairs and weights:

- AUROC: each case with each other person.
- Harrell's C: each event with those who are followed for longer (Harrell et al. 1982).
- Uno's C up to a horizon: events before it, weighted by 1 / G², where G is the probability of not
  being censored until the event (Uno et al. 2011, Stat Med 30:1105).
- AUROC at a horizon: those with the event until then, and those without it (Uno et al. 2007, JASA
  102:527).

Death before the event is a competing event. The dead stay comparable with all later events, because
they never had the event, with the weights of Wolbers et al. 2014 (Biostatistics 15:526).

All functions take bootstrap counts, as in :mod:`ptacl.evaluation.uncertainty`. G is estimated once,
from the sample, by Kaplan and Meier.

Shapes: n participants, E cases, B draws, of which the first is the sample itself.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CENSORED, EVENT, DIED = 0, 1, 2  # values of `event`
_BLOCK = 256  # cases per matrix product


def concordance(
    scores: Array,
    *,
    counts: Array,
    cases: NDArray[np.intp],
    weights: Array,
    comparable: Callable[[NDArray[np.intp]], Array] | Array,
) -> Array:
    """Return the weighted share (B,) of comparable pairs in which the case scores higher.

    Ties count half. A draw without any pair gives NaN.

    Parameters
    ----------
    scores : (n,), higher for a higher risk.
    cases : positions (E,) of the cases.
    weights : of each case, (E,).
    comparable : the weights of pairs, zero for pairs that are not comparable. Either a function
        that returns those (e, n) of some cases with all participants, or those (n,) of every case.
    """
    if not callable(comparable):
        return _share_by_rank(scores, counts, cases=cases, weights=weights, others=comparable)
    right, total = np.zeros(len(counts)), np.zeros(len(counts))
    tied = len(np.unique(scores)) < len(scores)
    for start in range(0, len(cases), _BLOCK):
        rows = cases[start : start + _BLOCK]
        pairs, of_cases = comparable(rows), scores[rows][:, None]
        ordered = np.where(of_cases > scores, pairs, 0.0)
        if tied:
            ordered += 0.5 * pairs * (of_cases == scores)
        of_case = counts[:, rows] * weights[start : start + _BLOCK]
        right += (of_case * (counts @ ordered.T)).sum(axis=1)
        total += (of_case * (counts @ pairs.T)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / total)


def _share_by_rank(
    scores: Array, counts: Array, *, cases: NDArray[np.intp], weights: Array, others: Array
) -> Array:
    """Return the share (B,) if the weights (n,) of a pair only depend on the other participant.

    Each case then needs the weight of all people below its score, which is a cumulative sum.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    below = np.zeros((len(counts), len(scores) + 1))
    np.cumsum(counts[:, order] * others[order], axis=1, out=below[:, 1:])
    lower = below[:, np.searchsorted(ordered, scores[cases], side="left")]
    upper = below[:, np.searchsorted(ordered, scores[cases], side="right")]
    of_case = counts[:, cases] * weights
    right = (of_case * (lower + upper)).sum(axis=1) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(right / (of_case.sum(axis=1) * below[:, -1]))


def auroc(scores: Array, positive: Mask, *, counts: Array) -> Array:
    """Return the area (B,) under the ROC curve of a disease that people have or have not."""
    cases = np.flatnonzero(positive)
    return concordance(
        scores,
        counts=counts,
        cases=cases,
        weights=np.ones(len(cases)),
        comparable=(~positive).astype(np.float64),
    )


def harrell(scores: Array, years: Array, event: Array, *, counts: Array) -> Array:
    """Return Harrell's C (B,). The dead count as never ill."""
    cases = np.flatnonzero(event == EVENT)
    followed = np.where(event == DIED, np.inf, years)
    return concordance(
        scores,
        counts=counts,
        cases=cases,
        weights=np.ones(len(cases)),
        comparable=lambda rows: _later(followed, event, rows),
    )


def uno(scores: Array, years: Array, event: Array, *, horizon: float, counts: Array) -> Array:
    """Return Uno's C (B,) for events before the horizon."""
    cases = np.flatnonzero((event == EVENT) & (years < horizon))
    uncensored = free_of_censoring(years, event, at=years)
    dead = np.flatnonzero(event == DIED)

    def comparable(rows: NDArray[np.intp]) -> Array:
        pairs = _later(years, event, rows)
        died_before = years[dead] <= years[rows][:, None]
        pairs[:, dead] += died_before * (uncensored[rows][:, None] / uncensored[dead])
        return pairs

    return concordance(
        scores,
        counts=counts,
        cases=cases,
        weights=1 / np.square(uncensored[cases]),
        comparable=comparable,
    )


def auroc_at(scores: Array, years: Array, event: Array, *, horizon: float, counts: Array) -> Array:
    """Return the AUROC (B,) of having the event until the horizon."""
    cases = np.flatnonzero((event == EVENT) & (years <= horizon))
    uncensored = free_of_censoring(years, event, at=np.minimum(years, horizon))
    free = (years > horizon) | (event == DIED)
    return concordance(
        scores,
        counts=counts,
        cases=cases,
        weights=1 / uncensored[cases],
        comparable=free / uncensored,
    )


def average_precision(scores: Array, positive: Mask, *, counts: Array) -> Array:
    """Return the average precision (B,): the mean precision at each case, weighted by recall."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    cases = np.add.reduceat(counts[:, order] * positive[order], starts, axis=1)
    people = np.add.reduceat(counts[:, order], starts, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.cumsum(cases, axis=1) / np.cumsum(people, axis=1)
        shares = cases / cases.sum(axis=1, keepdims=True)
    return np.asarray(np.where(cases > 0, shares * precision, 0 * shares).sum(axis=1))


def incidence(years: Array, event: Array, *, horizon: float, counts: Array) -> Array:
    """Return the cumulative incidence (B,) of the event at the horizon, with death as competitor.

    Each event is weighted by the probability of not being censored before it, which for the sample
    is the estimate of Aalen and Johansen.
    """
    happened = (event == EVENT) & (years <= horizon)
    weights = happened / free_of_censoring(years, event, at=years)
    return np.asarray(counts @ weights / counts.sum(axis=1))


def free_of_censoring(years: Array, event: Array, *, at: Array) -> Array:
    """Return the probability (n,) of not being censored before the times `at` (Kaplan-Meier).

    Events and deaths at the time of a censoring are before it.
    """
    times, censored = np.unique(years[event == CENSORED], return_counts=True)
    ordered = np.sort(years)
    at_risk = len(years) - np.searchsorted(ordered, times, side="left")
    before = np.sort(years[event != CENSORED])
    ties = np.searchsorted(before, times, side="right") - np.searchsorted(before, times)
    survival = np.cumprod(1 - censored / (at_risk - ties))
    return np.asarray(np.r_[1.0, survival][np.searchsorted(times, at, side="left")])


def aalen_johansen(years: Array, event: Array, *, at: Array) -> Array:
    """Return the cumulative incidence of the event at the times `at` (Aalen and Johansen 1978)."""
    times, place = np.unique(years, return_inverse=True)
    num_events = np.bincount(place, weights=event == EVENT)
    num_ends = np.bincount(place, weights=event != CENSORED)
    at_risk = len(years) - np.searchsorted(np.sort(years), times, side="left")
    free = np.cumprod(1 - num_ends / at_risk)
    free_before = np.r_[1.0, free[:-1]]
    cumulative = np.r_[0.0, np.cumsum(free_before * num_events / at_risk)]
    return np.asarray(cumulative[np.searchsorted(times, at, side="right")])


def _later(years: Array, event: Array, rows: NDArray[np.intp]) -> Array:
    """Return which people (e, n) are followed for longer than each case.

    Someone who is censored on the day of the event did not have it until then.
    """
    until = np.where(event == CENSORED, np.nextafter(years, np.inf), years)
    return (until > years[rows][:, None]).astype(np.float64)
