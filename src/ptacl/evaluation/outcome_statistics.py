"""Compute the statistics of predicted diseases.

Shapes: n participants, B bootstrap draws, of which the first is the sample itself.
"""

import numpy as np
from numpy.typing import NDArray

from ptacl.disease import calibration, discrimination, risk
from ptacl.evaluation.summary import RANKINGS

Array = NDArray[np.float64]

_FLAGGED_SHARE = 0.1  # share of people with the highest risk who are flagged


def ranking(scores: Array, outcome: risk.Outcome, *, horizon: float, counts: Array) -> Array:
    """Return the main statistic (B,): AUROC before the visit, Uno's C after it."""
    if isinstance(outcome, risk.Before):
        return discrimination.auroc(scores, outcome.positive, counts=counts)
    return discrimination.uno(scores, outcome.years, outcome.event, horizon=horizon, counts=counts)


def of_scores(
    scores: Array, outcome: risk.Outcome, *, horizon: float, counts: Array
) -> dict[str, Array]:
    """Return the statistics (B,) of a model by name, the main one first.

    `scores` are log odds or log hazards, (n,).
    """
    risks = risk.of_score(scores, outcome, years=horizon)
    main = ranking(scores, outcome, horizon=horizon, counts=counts)
    over = calibration.observed_over_expected(risks, outcome, horizon=horizon, counts=counts)
    if isinstance(outcome, risk.Before):
        positive = outcome.positive
        return {
            RANKINGS["before"]: main,
            "average precision": discrimination.average_precision(scores, positive, counts=counts),
            "observed/expected": over,
            "calibration slope": calibration.slope(scores, positive, counts=counts),
            "Brier score": calibration.brier(risks, positive, counts=counts),
        }
    until = discrimination.auroc_at(
        scores, outcome.years, outcome.event, horizon=horizon, counts=counts
    )
    return {
        RANKINGS["after"]: main,
        f"AUROC at {horizon:g} years": until,
        "observed/expected": over,
    }


def in_group(
    scores: Array,
    people: NDArray[np.bool_],
    *,
    outcome: risk.Outcome,
    horizon: float,
    counts: Array,
) -> dict[str, Array]:
    """Return statistics (B,) of some of the people (n,) by name.

    They say how well the scores rank, how high the risks are, and whom a threshold flags that is
    common to all people: that of the tenth of them with the highest risk.
    """
    members, of_people = outcome.of(people), counts[:, people]
    risks = risk.of_score(scores, outcome, years=horizon)
    main = RANKINGS["before" if isinstance(outcome, risk.Before) else "after"]
    sensitivity, false_positives = calibration.flagged(
        risks[people],
        members,
        threshold=float(np.quantile(risks, 1 - _FLAGGED_SHARE)),
        horizon=horizon,
        counts=of_people,
    )
    over = calibration.observed_over_expected(
        risks[people], members, horizon=horizon, counts=of_people
    )
    return {
        main: ranking(scores[people], members, horizon=horizon, counts=of_people),
        "observed/expected": over,
        "sensitivity": sensitivity,
        "false-positive rate": false_positives,
    }
