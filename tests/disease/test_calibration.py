"""Calibration of risks, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from ptacl.disease import calibration, risk
from ptacl.disease.risk import After, Before


def test_slope_and_brier_score_are_those_of_scikit_learn_in_every_draw() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, 400)
    positive = rng.random(400) < risk.probability(0.6 * odds)
    counts = np.r_[np.ones((1, 400)), rng.multinomial(400, np.full(400, 1 / 400), size=30)]
    slopes = calibration.slope(odds, positive, counts=counts)
    scores = calibration.brier(risk.probability(odds), positive, counts=counts)
    for slope, score, weights in zip(slopes, scores, counts, strict=True):
        logistic = LogisticRegression(C=np.inf, tol=1e-10)
        logistic.fit(odds[:, None], positive, sample_weight=weights)
        assert slope == pytest.approx(logistic.coef_[0, 0], abs=1e-4)
        expected = brier_score_loss(positive, risk.probability(odds), sample_weight=weights)
        assert score == pytest.approx(expected, abs=1e-12)
    assert slopes[0] == pytest.approx(0.6, abs=0.2)


def test_slope_of_a_draw_without_cases_is_missing() -> None:
    counts = np.array([[1.0, 1, 1, 1], [0, 0, 2, 2]])
    positive, odds = np.array([True, False, True, True]), np.array([1.0, 2, 3, 0])
    assert np.isnan(calibration.slope(odds, positive, counts=counts)[1])


def test_observed_over_expected_by_hand() -> None:
    risks, once = np.array([0.1, 0.2, 0.3, 0.4]), np.ones((1, 4))
    sick = Before(np.array([False, False, True, True]))
    found = calibration.observed_over_expected(risks, sick, horizon=5, counts=once)
    assert found[0] == pytest.approx(0.5 / 0.25)
    # one event in year 1, one death in year 2, one censored in year 3, one event in year 4, of
    # which each stands for two: 1/4 + 2/4 have the event until year 5
    after = After(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 0, 1]))
    found = calibration.observed_over_expected(risks, after, horizon=5, counts=once)
    assert found[0] == pytest.approx(0.75 / 0.25)
    found = calibration.observed_over_expected(risks, after, horizon=3.5, counts=once)
    assert found[0] == pytest.approx(0.25 / 0.25)


def test_flagged_by_hand() -> None:
    risks, once = np.array([0.4, 0.2, 0.3, 0.1]), np.ones((1, 4))
    how = {"threshold": 0.25, "horizon": 5.0, "counts": once}
    sick = Before(np.array([True, True, False, False]))
    sensitivity, false_positives = calibration.flagged(risks, sick, **how)
    assert sensitivity[0] == 0.5 and false_positives[0] == 0.5
    # the first has the event, the second dies, the third is censored early, the last is free
    after = After(np.array([1.0, 2, 3, 9]), np.array([1.0, 2, 0, 0]))
    sensitivity, false_positives = calibration.flagged(risks, after, **how)
    assert sensitivity[0] == 1 and false_positives[0] == 0


def test_groups_are_equal_and_in_the_order_of_risk() -> None:
    risks = np.random.default_rng(0).random(103)
    groups = list(calibration.groups(risks, num=10))
    assert sorted(np.concatenate(groups)) == list(range(103))
    assert {len(people) for people in groups} == {10, 11}
    highest = [risks[people].max() for people in groups[:-1]]
    assert all(h <= risks[people].min() for h, people in zip(highest, groups[1:], strict=True))
