"""Discrimination: against scikit-learn, scikit-survival, and loops over all pairs."""

import itertools

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from sklearn.metrics import average_precision_score, roc_auc_score

from ptacl.disease import discrimination
from ptacl.disease.discrimination import CENSORED, DIED, EVENT

ONCE = np.ones((1, 200))


def censored_cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, years without ties, and events without deaths, of 200 people."""
    rng = np.random.default_rng(7)
    scores = np.round(rng.standard_normal(200), 1)
    onset = rng.exponential(6, 200) * np.exp(-0.7 * scores)
    end = rng.uniform(1, 9, 200)
    return scores, np.minimum(onset, end), np.where(onset <= end, EVENT, CENSORED).astype(float)


# From scikit-survival 0.28.0 (NumPy 2.4.6) for this cohort: concordance_index_censored,
# concordance_index_ipcw with tau, and cumulative_dynamic_auc, all with the cohort itself as the one
# that gives the weights.
SCIKIT_SURVIVAL = {
    "Harrell": 0.6478428351309707,
    ("Uno", 3.0): 0.6610747987209383,
    ("AUROC", 3.0): 0.7018097010833255,
    ("Uno", 5.0): 0.6394541931215335,
    ("AUROC", 5.0): 0.6960492926240389,
}


def test_values_are_those_of_scikit_survival() -> None:
    scores, years, event = censored_cohort()
    assert (event == EVENT).sum() == 100
    found = {"Harrell": discrimination.harrell(scores, years, event, counts=ONCE)[0]}
    for horizon in (3.0, 5.0):
        how = {"horizon": horizon, "counts": ONCE}
        found["Uno", horizon] = discrimination.uno(scores, years, event, **how)[0]
        found["AUROC", horizon] = discrimination.auroc_at(scores, years, event, **how)[0]
    for key, expected in SCIKIT_SURVIVAL.items():
        assert found[key] == pytest.approx(expected, abs=1e-12), key


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn_in_every_draw(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = np.round(rng.standard_normal(200), 1), rng.random(200) < 0.3
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=20).astype(float)
    areas = discrimination.auroc(scores, positive, counts=counts)
    precisions = discrimination.average_precision(scores, positive, counts=counts)
    for area, precision, weights in zip(areas, precisions, counts, strict=True):
        expected = roc_auc_score(positive, scores, sample_weight=weights)
        assert area == pytest.approx(expected, abs=1e-12)
        expected = average_precision_score(positive, scores, sample_weight=weights)
        assert precision == pytest.approx(expected, abs=1e-12)


def cohort_with_deaths(seed: int, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole months, so that many events, deaths and censorings are at the same time."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.standard_normal(num), 1)
    times = np.stack(
        [
            rng.uniform(1, 9, num),
            rng.exponential(9, num) * np.exp(-0.7 * scores),
            rng.exponential(15, num),
        ]
    )
    event = times.argmin(axis=0).astype(float)  # 0 censored, 1 event, 2 death
    return scores, np.ceil(times.min(axis=0) * 12) / 12, event


def uncensored_before(years: np.ndarray, event: np.ndarray, time: float) -> float:
    """The probability of not being censored before a time, by the definition."""
    product = 1.0
    for moment in np.unique(years[event == CENSORED]):
        if moment < time:
            at_risk = (years > moment).sum() + ((years == moment) & (event == CENSORED)).sum()
            product *= 1 - ((years == moment) & (event == CENSORED)).sum() / at_risk
    return float(product)


def by_pairs(scores, years, event, *, horizon: float, counts: np.ndarray, kind: str) -> float:
    """The weighted share of concordant pairs, pair by pair (Wolbers et al. 2014; Blanche 2013)."""
    g = [uncensored_before(years, event, time) for time in years]
    at_horizon = uncensored_before(years, event, horizon)
    right = total = 0.0
    for i, j in itertools.permutations(range(len(scores)), 2):
        if event[i] != EVENT:
            continue
        if kind == "Uno":
            later = years[j] > years[i] or (years[j] == years[i] and event[j] == CENSORED)
            died = event[j] == DIED and years[j] <= years[i]
            if years[i] >= horizon or not (later or died):
                continue
            weight = 1 / g[i] ** 2 if later else 1 / (g[i] * g[j])
        else:
            if years[i] > horizon:
                continue
            died = event[j] == DIED and years[j] <= horizon
            if not (died or years[j] > horizon):
                continue
            weight = 1 / (g[i] * (g[j] if died else at_horizon))
        weight *= counts[i] * counts[j]
        total += weight
        right += weight * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return right / total


@pytest.mark.parametrize("kind", ["Uno", "AUROC"])
@pytest.mark.parametrize("seed", range(3))
def test_deaths_and_ties_follow_the_definitions(kind: str, seed: int) -> None:
    scores, years, event = cohort_with_deaths(seed, 60)
    counts = np.random.default_rng(seed).integers(0, 3, (3, 60)).astype(float)
    statistic = discrimination.uno if kind == "Uno" else discrimination.auroc_at
    found = statistic(scores, years, event, horizon=5.0, counts=counts)
    for value, of_draw in zip(found, counts, strict=True):
        expected = by_pairs(scores, years, event, horizon=5.0, counts=of_draw, kind=kind)
        assert value == pytest.approx(expected, abs=1e-12)


def test_the_dead_count_as_never_ill() -> None:
    """A death before the event is a pair that a censoring is not."""
    scores, years = np.array([1.0, 2.0]), np.array([3.0, 1.0])
    for last, expected in ((DIED, 0.0), (CENSORED, np.nan)):
        event = np.array([EVENT, last], float)
        value = discrimination.harrell(scores, years, event, counts=np.ones((1, 2)))[0]
        assert value == pytest.approx(expected, nan_ok=True)


def test_the_censoring_curve_is_that_of_lifelines() -> None:
    _, years, event = censored_cohort()
    fitter = KaplanMeierFitter().fit(years, event == CENSORED)
    at = np.linspace(0.1, 8, 30)  # no time of the cohort
    expected = fitter.survival_function_at_times(at).to_numpy()
    found = discrimination.free_of_censoring(years, event, at=at)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_incidence_is_that_of_lifelines_and_without_ties_equals_its_weights() -> None:
    _, years, event = cohort_with_deaths(3, 500)
    years = years + np.random.default_rng(0).uniform(0, 1e-3, 500)
    fitter = AalenJohansenFitter(calculate_variance=False).fit(years, event, event_of_interest=1)
    at = np.array([0.01, 1.0, 2.5, 5.0, 8.0])
    curve = fitter.cumulative_density_["CIF_1"]
    expected = [curve[curve.index <= time].iloc[-1] for time in at]
    found = discrimination.aalen_johansen(years, event, at=at)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for time, value in zip(at, found, strict=True):
        once = np.ones((1, 500))
        weighted = discrimination.incidence(years, event, horizon=time, counts=once)
        assert weighted[0] == pytest.approx(value, abs=1e-12)


def test_a_draw_without_cases_has_no_value() -> None:
    counts = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    positive, scores = np.array([True, False, False]), np.array([2.0, 1.0, 3.0])
    assert np.isnan(discrimination.auroc(scores, positive, counts=counts)).tolist() == [False, True]
    found = discrimination.average_precision(scores, positive, counts=counts)
    assert np.isnan(found).tolist() == [False, True]
