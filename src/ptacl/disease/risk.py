"""Fit linear models of the risk of a disease, from features such as an embedding.

A disease before the visit has a ridge logistic regression. The time to a disease after it has a
proportional hazard that is constant over time, which is Poisson regression of events per year of
follow-up. Its ranking is that of a ridge Cox regression, it is faster, and it gives absolute risks.
Death ends the follow-up, so the hazard is cause-specific.

Features are standardised by the training participants. The strength of the ridge is in units of
events: a strength of 1 weighs the squared coefficients like all events together. The first features
can be free of it, such as sex and age: their effects must not shrink because an embedding is next
to them.

Shapes: n participants, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.preprocessing import StandardScaler

from ptacl.disease.discrimination import EVENT

Array = NDArray[np.float64]

STRENGTHS: Sequence[float] = np.geomspace(100, 0.01, 8).tolist()
_SAFE, _LEAST_VALIDATION = STRENGTHS[2], 5
_FREE = 100.0
_MOST_STEPS, _TOLERANCE = 100, 1e-7


@dataclass(frozen=True)
class Before:
    """Who has a disease at the visit.

    positive : (n,) of bool.
    """

    positive: NDArray[np.bool_]

    @property
    def cases(self) -> NDArray[np.bool_]:
        """The people (n,) with the disease."""
        return self.positive

    def of(self, people: NDArray[Any]) -> "Before":
        """Select people by a mask or by position."""
        return Before(self.positive[people])


@dataclass(frozen=True)
class After:
    """What happens after the visit.

    years : follow-up (n,). event : (n,), 0 the end of follow-up, 1 the disease, 2 death.
    """

    years: Array
    event: Array

    @property
    def cases(self) -> NDArray[np.bool_]:
        """The people (n,) in whom the disease occurs."""
        return np.asarray(self.event == EVENT)

    def of(self, people: NDArray[Any]) -> "After":
        """Select people by a mask or by position."""
        return After(self.years[people], self.event[people])


Outcome = Before | After


@dataclass(frozen=True)
class RiskModel:
    """A fitted model.

    coefficients : (D,), of the features as they are. intercept : the log odds of a disease before
    the visit, or the log hazard per year.
    """

    coefficients: Array
    intercept: float

    def score(self, features_nd: Array) -> Array:
        """Return log odds or log hazards per year, (n,)."""
        return np.asarray(features_nd @ self.coefficients + self.intercept)


def probability(score: Array) -> Array:
    """Return the probability (n,) of a disease at the visit from its log odds."""
    return np.asarray(1 / (1 + np.exp(-score)))


def risk(score: Array, *, years: float) -> Array:
    """Return the risk (n,) of the disease within some years from its log hazard per year.

    It does not take into account that people can die before.
    """
    return np.asarray(-np.expm1(-years * np.exp(score)))


def of_score(score: Array, outcome: Outcome, *, years: float) -> Array:
    """Return the risk (n,) of the disease at the visit, or within some years after it."""
    return probability(score) if isinstance(outcome, Before) else risk(score, years=years)


def fit(features_nd: Array, outcome: Outcome, *, strength: float, free: int = 0) -> RiskModel:
    """Fit a model with the given strength of the ridge, from which the first features are free.

    Raises ValueError if nobody is a case.
    """
    scaler = _scaler(features_nd, free=free)
    return _unscaled(_fit(scaler.transform(features_nd), outcome, strength=strength), scaler)


def choose(
    features_nd: Array, outcome: Outcome, *, validation: tuple[Array, Outcome], free: int = 0
) -> tuple[RiskModel, float]:
    """Fit models of several strengths and return the best one with its strength.

    The best one has the lowest deviance for the validation participants, who are not used for the
    fit. With fewer than five cases among them, this says little, and a strong ridge is used. The
    first `free` features are not shrunk.
    """
    scaler = _scaler(features_nd, free=free)
    seen, unseen = scaler.transform(features_nd), scaler.transform(validation[0])
    if validation[1].cases.sum() < _LEAST_VALIDATION:
        return fit(features_nd, outcome, strength=_SAFE, free=free), _SAFE
    fitted = [_fit(seen, outcome, strength=strength) for strength in STRENGTHS]
    deviances = [_deviance(model.score(unseen), validation[1]) for model in fitted]
    place = int(np.argmin(deviances))
    return _unscaled(fitted[place], scaler), STRENGTHS[place]


def _fit(scaled_nd: Array, outcome: Outcome, *, strength: float) -> RiskModel:
    cases = int(outcome.cases.sum())
    if not cases:
        raise ValueError("nobody has the disease")
    if isinstance(outcome, Before):
        logistic = LogisticRegression(
            C=1 / (strength * cases), solver="newton-cholesky", max_iter=_MOST_STEPS, tol=_TOLERANCE
        )
        logistic.fit(scaled_nd, outcome.positive)
        return RiskModel(logistic.coef_[0], float(logistic.intercept_[0]))
    per_year = cases / outcome.years.sum()
    poisson = PoissonRegressor(
        alpha=strength * per_year, solver="newton-cholesky", max_iter=_MOST_STEPS, tol=_TOLERANCE
    )
    poisson.fit(scaled_nd, outcome.cases / outcome.years, sample_weight=outcome.years)
    return RiskModel(poisson.coef_, float(poisson.intercept_))


def _scaler(features_nd: Array, *, free: int) -> StandardScaler:
    """Return the standardisation, in which free features are so large that no ridge matters."""
    scaler = StandardScaler().fit(features_nd)
    scaler.scale_[:free] /= _FREE
    return scaler


def _unscaled(model: RiskModel, scaler: StandardScaler) -> RiskModel:
    coefficients = model.coefficients / scaler.scale_
    return RiskModel(coefficients, model.intercept - float(scaler.mean_ @ coefficients))


def _deviance(score: Array, outcome: Outcome) -> float:
    """Return minus the log likelihood, without its constant."""
    if isinstance(outcome, Before):
        signed = np.where(outcome.positive, score, -score)
        return float(np.logaddexp(0, -signed).sum())
    return float((np.exp(score) * outcome.years - outcome.cases * score).sum())
