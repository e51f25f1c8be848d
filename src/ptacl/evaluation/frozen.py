"""Measure predictions of a model that is not fitted again, for another cohort.

Shapes: n participants, B bootstrap draws, of which the first is the sample itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl.evaluation import outcome_statistics, probes, saved_risk, uncertainty
from ptacl.evaluation.outcome_targets import Target
from ptacl.evaluation.summary import NOTHING, Summary, stated
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

_TENTHS = 10


@dataclass(frozen=True)
class Measured:
    """A statistic of a phenotype or disease.

    num, num_cases : participants with a known value, and those with the disease. here : the
    statistic in this cohort. home : that of the test participants of the model's own cohort, NaN if
    the model does not state it.
    """

    target: str
    statistic: str
    num: int
    num_cases: int | None
    here: Summary
    home: Summary


def calibration_line(observed: Array, predicted: Array, *, counts: Array) -> tuple[Array, Array]:
    """Return intercept and slope (B,) of the least-squares line of observed on predicted values.

    They are 0 and 1 for a calibrated model.
    """
    total = counts.sum(axis=1)
    mean_x, mean_y = counts @ predicted / total, counts @ observed / total
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = counts @ predicted**2 / total - mean_x**2
        slope = (counts @ (predicted * observed) / total - mean_x * mean_y) / spread
    return np.asarray(mean_y - slope * mean_x), np.asarray(slope)


def of_phenotype(
    name: str,
    observed: Array,
    predicted: Array,
    *,
    counts: Array,
    home_r2: Summary,
    confidence: float,
) -> Iterator[Measured]:
    """Yield R², calibration intercept and slope of a phenotype; NaN marks missing values (n,)."""
    known = np.isfinite(observed) & np.isfinite(predicted)
    y, x, of_known = observed[known], predicted[known], counts[:, known]
    r2 = probes.r2(y[:, None], x[:, None], counts=of_known)[:, 0]
    intercept, slope = calibration_line(y, x, counts=of_known)
    statistics = {"R2": r2, "calibration intercept": intercept, "calibration slope": slope}
    for statistic, values in statistics.items():
        home = home_r2 if statistic == "R2" else NOTHING
        found = _summary(values, num=len(y), confidence=confidence)
        yield Measured(name, statistic, len(y), None, found, home)


def of_disease(
    name: str,
    stored: Mapping[str, Any],
    features_nd: Array,
    target: Target,
    *,
    counts: Array,
    least_events: int,
    confidence: float,
) -> Iterator[Measured]:
    """Yield the statistics of a disease, or only the number of cases if there are few.

    `target` has the outcomes of one split, `test`.
    """
    members, outcome = target.members["test"], target.outcomes["test"]
    num, cases = target.num("test"), target.num_cases("test")
    if not target.is_measurable("test", least_events):
        yield Measured(name, "cases", num, cases, NOTHING, NOTHING)
        return
    scores = saved_risk.model_of(stored).score(features_nd[members])
    measured = outcome_statistics.of_scores(
        scores, outcome, horizon=target.horizon, counts=counts[:, members]
    )
    for statistic, values in measured.items():
        home = stored["test"].get(statistic)
        at_home = stated(home) if home else NOTHING
        found = _summary(values, num=num, confidence=confidence)
        yield Measured(name, statistic, num, cases, found, at_home)


def share(marked: NDArray[np.bool_], *, counts: Array, confidence: float) -> Summary:
    """Return the share of marked participants (n,)."""
    values = counts @ marked / counts.sum(axis=1)
    return _summary(values, num=len(marked), confidence=confidence)


def tenths(observed: Array, predicted: Array, *, least: int) -> list[tuple[float, float]]:
    """Return mean predicted and observed values by tenth of the predicted value.

    With fewer people than ten times `least`, the groups are larger than a tenth.
    """
    known = np.isfinite(observed) & np.isfinite(predicted)
    order = np.argsort(predicted[known], kind="stable")
    num = min(_TENTHS, len(order) // least)
    found = []
    for people in np.array_split(order, num) if num else []:
        means = predicted[known][people].mean(), observed[known][people].mean()
        found.append((float(means[0]), float(means[1])))
    return found


def _summary(values: Array, *, num: int, confidence: float) -> Summary:
    return uncertainty.summarise(Estimates(values[None], [None], num), confidence=confidence)
