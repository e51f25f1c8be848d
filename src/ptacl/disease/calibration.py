"""Measure whether predicted risks are as high as what happens.

All functions take bootstrap counts, as in :mod:`ptacl.evaluation.uncertainty`. A risk after the
visit is that of having the event until a horizon. Its observed counterpart is the cumulative
incidence with death as a competing event.

Shapes: n participants, B draws, of which the first is the sample itself.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ptacl.disease import discrimination, risk

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEPS = 25  # of Newton's method for the sample, most
_STEPS_OF_DRAWS = 4  # they start at the solution of the sample
_ENOUGH = 1e-10


def observed(outcome: risk.Outcome, *, horizon: float, counts: Array) -> Array:
    """Return the share (B,) of people with the disease, or its incidence until the horizon."""
    if isinstance(outcome, risk.Before):
        return np.asarray(counts @ outcome.positive / counts.sum(axis=1))
    return discrimination.incidence(outcome.years, outcome.event, horizon=horizon, counts=counts)


def observed_over_expected(
    risks: Array, outcome: risk.Outcome, *, horizon: float, counts: Array
) -> Array:
    """Return observed over mean predicted risk, (B,). It is 1 for a calibrated model."""
    expected = counts @ risks / counts.sum(axis=1)
    return np.asarray(observed(outcome, horizon=horizon, counts=counts) / expected)


def brier(risks: Array, positive: Mask, *, counts: Array) -> Array:
    """Return the mean squared error (B,) of the risks."""
    return np.asarray(counts @ np.square(risks - positive) / counts.sum(axis=1))


def slope(log_odds: Array, positive: Mask, *, counts: Array) -> Array:
    """Return the calibration slope (B,): the coefficient of the log odds in logistic regression.

    It is 1 for a calibrated model, and below 1 if high risks are too high and low ones too low. A
    draw without a case, or with cases only, gives NaN.
    """
    start = np.zeros((1, 2))
    of_sample = _logistic(log_odds, positive, counts=counts[:1], start=start, steps=_STEPS)
    start = np.repeat(of_sample, len(counts), axis=0)
    found = _logistic(log_odds, positive, counts=counts, start=start, steps=_STEPS_OF_DRAWS)
    cases, people = counts @ positive, counts.sum(axis=1)
    return np.asarray(np.where((cases > 0) & (cases < people), found[:, 1], np.nan))


def _logistic(x: Array, positive: Mask, *, counts: Array, start: Array, steps: int) -> Array:
    """Return intercepts and slopes (B, 2) by Newton's method."""
    found = start
    for _ in range(steps):
        p = risk.probability(found[:, :1] + found[:, 1:] * x)
        error = counts * (positive - p)
        weight = counts * p * (1 - p)
        gradient = np.stack([error.sum(axis=1), error @ x], axis=1)
        mixed = weight @ x
        curvature = np.stack(
            [np.stack([weight.sum(axis=1), mixed], 1), np.stack([mixed, weight @ x**2], 1)], axis=1
        )
        with np.errstate(invalid="ignore"):
            regular = np.linalg.det(curvature) > 0
        curvature[~regular] = np.eye(2)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        found = np.where(regular[:, None], found + step, np.nan)
        if np.nanmax(np.abs(step), initial=0) < _ENOUGH:
            break
    return found


def flagged(
    risks: Array, outcome: risk.Outcome, *, threshold: float, horizon: float, counts: Array
) -> tuple[Array, Array]:
    """Return sensitivity and false-positive rate (B,) of flagging risks above a threshold."""
    cases, free = _weights(outcome, horizon=horizon)
    above = risks > threshold
    with np.errstate(invalid="ignore"):
        sensitivity = (counts @ (cases * above)) / (counts @ cases)
        false_positives = (counts @ (free * above)) / (counts @ free)
    return sensitivity, false_positives


def _weights(outcome: risk.Outcome, *, horizon: float) -> tuple[Array, Array]:
    """Return how much each person counts as a case and as free of the disease, (n,) each."""
    if isinstance(outcome, risk.Before):
        return outcome.positive.astype(np.float64), (~outcome.positive).astype(np.float64)
    years, event = outcome.years, outcome.event
    until = np.minimum(years, horizon)
    uncensored = discrimination.free_of_censoring(years, event, at=until)
    cases = outcome.cases & (years <= horizon)
    free = (years > horizon) | (event == discrimination.DIED)
    return cases / uncensored, free / uncensored


def groups(risks: Array, *, num: int) -> Iterator[NDArray[np.intp]]:
    """Yield the people of each of `num` groups of about the same size, from low to high risk."""
    order = np.argsort(risks, kind="stable")
    yield from np.array_split(order, num)
