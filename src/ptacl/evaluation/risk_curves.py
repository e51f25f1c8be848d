"""Describe predicted risks by group, for figures: calibration, and incidence over time.

Everything is an aggregate of test participants. Groups with fewer people with the disease than the
smallest count that can be published are left out.

Shapes: n test participants with a known outcome.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl import config
from ptacl.cohort import small_counts
from ptacl.disease import calibration, discrimination, risk
from ptacl.evaluation.outcome_targets import Target

Array = NDArray[np.float64]

_TENTHS, _THIRDS = 10, 3
_POINTS = 41  # of a curve over time


def of_rows(
    rows: Sequence[tuple[str, str]],
    targets: Sequence[Target],
    *,
    scores: Sequence[Mapping[str, Sequence[Array]]],
    settings: config.Outcomes,
    smallest_count: int,
) -> dict[str, Any]:
    """Return counts of each disease, and the curves of each row, as JSON values.

    rows : input and label. scores : by row and name of the target, the scores (n,) of each seed;
    risks are averaged over seeds. Diseases without scores are only counted.
    """
    diseases = []
    for target in targets:
        counts = {}
        for split in target.members:
            counts[split] = {"people": target.num(split), "cases": target.num_cases(split)}
        diseases.append(
            {
                "disease": target.disease,
                "when": target.when,
                "counts": small_counts.hidden(counts, least=smallest_count),
                "evaluated": bool(scores) and target.name in scores[0],
            }
        )
    of_methods = []
    for (group, label), of_row in zip(rows, scores, strict=True):
        of_diseases = []
        for target in targets:
            if target.name not in of_row:
                continue
            outcome = target.outcomes["test"]
            horizon = settings.horizon_years
            of_seed = [risk.of_score(s, outcome, years=horizon) for s in of_row[target.name]]
            risks = np.mean(of_seed, axis=0)
            found: dict[str, Any] = {"disease": target.disease, "when": target.when}
            found["tenths"] = tenths(risks, outcome, horizon=horizon, least=smallest_count)
            if isinstance(outcome, risk.After):
                found |= thirds(risks, outcome, horizon=horizon, least=smallest_count)
            of_diseases.append(found)
        of_methods.append({"input": group, "method": label, "diseases": of_diseases})
    return {"horizon_years": settings.horizon_years, "diseases": diseases, "rows": of_methods}


def tenths(
    risks: Array, outcome: risk.Outcome, *, horizon: float, least: int
) -> list[dict[str, float]]:
    """Return mean predicted risk and observed share of each tenth, from low to high risk."""
    found = []
    for people in calibration.groups(risks, num=_TENTHS):
        of_group = outcome.of(people)
        if _is_small(of_group, horizon=horizon, least=least):
            continue
        once = np.ones((1, len(people)))
        observed = calibration.observed(of_group, horizon=horizon, counts=once)
        found.append({"predicted": float(risks[people].mean()), "observed": float(observed[0])})
    return found


def thirds(risks: Array, outcome: risk.After, *, horizon: float, least: int) -> dict[str, Any]:
    """Return the cumulative incidence over time of each third, from low to high risk."""
    years = np.linspace(0, horizon, _POINTS)
    curves: list[list[float] | None] = []
    for people in calibration.groups(risks, num=_THIRDS):
        of_group = outcome.of(people)
        if _is_small(of_group, horizon=horizon, least=least):
            curves.append(None)
            continue
        curve = discrimination.aalen_johansen(of_group.years, of_group.event, at=years)
        curves.append([round(float(value), 5) for value in curve])
    return {"years": years.round(3).tolist(), "incidence": curves}


def _is_small(outcome: risk.Outcome, *, horizon: float, least: int) -> bool:
    """Return whether a group has few people, or a few with or without the disease."""
    cases, people = outcome.cases, len(outcome.cases)
    if isinstance(outcome, risk.After):
        cases = cases & (outcome.years <= horizon)
    num = int(cases.sum())
    return people < max(least, 1) or 0 < num < least or 0 < people - num < least
