"""Models of risk, against lifelines and scikit-learn, and whether they find what was simulated."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from scipy import optimize
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ptacl.disease import risk
from ptacl.disease.risk import After, Before


def followed(
    num: int, *, effects: np.ndarray, rate: float = 0.03, seed: int = 0
) -> tuple[np.ndarray, After]:
    """Features of unequal scales, and follow-up with a constant hazard."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((num, len(effects))) * np.geomspace(0.1, 10, len(effects)) + 3
    score = ((features - 3) / np.geomspace(0.1, 10, len(effects))) @ effects
    onset = rng.exponential(1 / (rate * np.exp(score)))
    end = rng.uniform(1, 8, num)
    return features, After(np.minimum(onset, end), (onset <= end).astype(float))


EFFECTS = np.array([0.6, -0.4, 0.0, 0.3, 0.0])


def test_ranking_is_that_of_cox_regression() -> None:
    features, outcome = followed(3000, effects=EFFECTS)
    model = risk.fit(features, outcome, strength=1e-4)
    table = pd.DataFrame(StandardScaler().fit_transform(features))
    table["years"], table["event"] = outcome.years, outcome.event
    cox = CoxPHFitter().fit(table, "years", "event")
    expected = cox.predict_log_partial_hazard(table).to_numpy()
    assert np.corrcoef(model.score(features), expected)[0, 1] > 0.9999
    cox_scaled = cox.params_.to_numpy()
    np.testing.assert_allclose(model.coefficients * features.std(axis=0), cox_scaled, atol=0.02)


def test_hazard_maximises_the_penalised_likelihood() -> None:
    """The strength is in units of events, whatever the number of people and years."""
    features, outcome = followed(800, effects=EFFECTS)
    scaled = StandardScaler().fit_transform(features)
    events, strength = outcome.cases.sum(), 0.3

    def loss(values: np.ndarray) -> float:
        score = scaled @ values[1:] + values[0]
        likelihood = (outcome.cases * score - np.exp(score) * outcome.years).sum()
        return float(-likelihood + strength * events * values[1:] @ values[1:] / 2)

    best = optimize.minimize(loss, np.r_[np.log(0.05), np.zeros(5)], tol=1e-10).x
    model = risk.fit(features, outcome, strength=strength)
    np.testing.assert_allclose(model.coefficients * features.std(axis=0), best[1:], atol=1e-4)
    np.testing.assert_allclose(model.score(features), scaled @ best[1:] + best[0], atol=1e-3)


def test_odds_maximise_the_penalised_likelihood() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((800, 3)) * [1, 20, 0.1]
    positive = rng.random(800) < risk.probability(features[:, 0] - 2)
    scaled = StandardScaler().fit_transform(features)
    model = risk.fit(features, Before(positive), strength=0.2)
    logistic = LogisticRegression(C=1 / (0.2 * positive.sum()), tol=1e-10, max_iter=1000)
    expected = logistic.fit(scaled, positive).decision_function(scaled)
    np.testing.assert_allclose(model.score(features), expected, atol=1e-5)


def test_the_strength_with_the_best_validation_deviance_is_chosen() -> None:
    """With 60 useless features, a strong ridge is better than the weakest one."""
    effects = np.r_[np.full(3, 0.4), np.zeros(60)]
    seen, outcome = followed(1500, effects=effects)
    unseen, unseen_outcome = followed(1500, effects=effects, seed=1)
    others, other_outcome = followed(6000, effects=effects, seed=2)
    chosen, strength = risk.choose(seen, outcome, validation=(unseen, unseen_outcome))
    assert strength in risk.STRENGTHS and strength > min(risk.STRENGTHS)
    refitted = risk.fit(seen, outcome, strength=strength)
    np.testing.assert_allclose(chosen.coefficients, refitted.coefficients, atol=1e-10)

    def likelihood(model: risk.RiskModel) -> float:
        score = model.score(others)
        hazard = np.exp(score)
        return float((other_outcome.cases * score - hazard * other_outcome.years).sum())

    assert likelihood(chosen) > likelihood(risk.fit(seen, outcome, strength=1e-4)) + 25


def test_risk_is_the_share_of_events() -> None:
    """Of a calibrated model of a constant hazard, without censoring."""
    features, _ = followed(20_000, effects=EFFECTS, seed=3)
    rng = np.random.default_rng(4)
    score = np.log(0.03) + ((features - 3) / np.geomspace(0.1, 10, 5)) @ EFFECTS
    onset = rng.exponential(np.exp(-score))
    model = risk.fit(features, After(onset, np.ones(20_000)), strength=1e-6)
    expected = np.mean(onset <= 5)
    assert risk.risk(model.score(features), years=5).mean() == pytest.approx(expected, rel=0.03)
    assert risk.risk(np.array([-800.0]), years=5)[0] == 0
    assert risk.of_score(np.zeros(1), Before(np.ones(1, bool)), years=5)[0] == 0.5


def test_few_validation_cases_choose_nothing() -> None:
    """Without them, the deviance would choose the weakest ridge."""
    seen, outcome = followed(600, effects=np.r_[0.5, np.zeros(40)])
    unseen, others = followed(200, effects=np.r_[0.5, np.zeros(40)], seed=1)
    free = others.of(others.event == 0)
    model, strength = risk.choose(seen, outcome, validation=(unseen[others.event == 0], free))
    assert strength == risk.STRENGTHS[2]
    refitted = risk.fit(seen, outcome, strength=strength)
    np.testing.assert_array_equal(model.coefficients, refitted.coefficients)


def test_free_features_are_not_shrunk() -> None:
    seen, outcome = followed(2000, effects=EFFECTS)
    strong = risk.fit(seen, outcome, strength=10, free=1)
    alone = risk.fit(seen[:, :1], outcome, strength=1e-6)
    assert strong.coefficients[0] == pytest.approx(alone.coefficients[0], rel=0.05)
    shrunk = risk.fit(seen, outcome, strength=10)
    assert abs(shrunk.coefficients[0]) < 0.3 * abs(strong.coefficients[0])


def test_without_cases_there_is_no_model() -> None:
    with pytest.raises(ValueError, match="nobody has the disease"):
        risk.fit(np.ones((3, 1)), Before(np.zeros(3, bool)), strength=1)
