"""Probes agree with scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ptacl.evaluation import probes, uncertainty


def test_probe_agrees_with_scikit_learn_where_values_are_missing():
    rng = np.random.default_rng(1)
    x, y, unseen = (
        rng.normal(size=(120, 9)) + 4,
        rng.normal(size=(120, 4)) + 100,
        rng.normal(size=(30, 9)) + 4,
    )
    y[rng.random(y.shape) < 0.2] = np.nan
    predictions = probes.fit(x, y).predict(unseen)
    for p in range(4):
        known = np.isfinite(y[:, p])
        expected = LinearRegression().fit(x[known], y[known, p]).predict(unseen)
        np.testing.assert_allclose(predictions[:, p], expected, rtol=1e-10)


def test_probe_needs_no_participant_with_all_phenotypes():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    y[::2, 0], y[1::2, 1] = np.nan, np.nan
    expected = LinearRegression().fit(x[1::2], y[1::2, 0]).predict(x)
    np.testing.assert_allclose(probes.fit(x, y).predict(x)[:, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("width", [20, 90])
def test_collinear_and_constant_features_change_no_prediction(width: int):
    rng = np.random.default_rng(3)
    x, y, unseen = (
        rng.normal(size=(60, width)),
        rng.normal(size=(60, 2)),
        rng.normal(size=(25, width)),
    )
    more = [
        np.column_stack([z, z[:, 0], z[:, 1] + z[:, 2], np.full(len(z), 7.0)]) for z in (x, unseen)
    ]
    predictions = probes.fit(more[0], y).predict(more[1])
    assert np.abs(predictions).max() < 100
    if width < 60:  # enough participants: the fit is unique
        np.testing.assert_allclose(predictions, probes.fit(x, y).predict(unseen), atol=1e-9)
    else:  # the solution of least norm, as scikit-learn has it
        np.testing.assert_allclose(
            predictions, LinearRegression().fit(more[0], y).predict(more[1]), atol=1e-9
        )


@pytest.mark.parametrize("noise", [0.5, 20.0])
def test_the_strength_of_ridge_regression_is_the_best_on_validation(noise: float):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(160, 30)) * rng.uniform(0.1, 10, 30) + 3
    y = x @ rng.normal(size=(30, 2)) + noise * rng.normal(size=(160, 2)) * x.std()
    x = np.column_stack([x, np.full(160, 7.0)])  # a constant feature does no harm
    seen, unseen, new = x[:60], x[60:110], x[110:]
    probe, strength = probes.fit_ridge(seen, y[:60], validation=(unseen, y[60:110]))
    scores = {}
    for alpha in probes.STRENGTHS:
        model = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(seen, y[:60])
        scores[alpha] = r2_score(y[60:110], model.predict(unseen))
    assert strength == max(scores, key=lambda alpha: scores[alpha])
    expected = make_pipeline(StandardScaler(), Ridge(alpha=strength)).fit(seen, y[:60])
    np.testing.assert_allclose(probe.predict(new), expected.predict(new), rtol=1e-6)


def test_r2_agrees_with_scikit_learn_in_every_draw():
    rng = np.random.default_rng(4)
    y = rng.normal(loc=60, scale=6, size=(80, 2))
    predictions = y + rng.normal(scale=4, size=y.shape)
    y[:7, 1] = np.nan
    counts = uncertainty.draw_counts(80, draws=50, generator=rng)
    r2 = probes.r2(y, predictions, counts=counts)
    for p, first in ((0, 0), (1, 7)):
        expected = [
            r2_score(y[first:, p], predictions[first:, p], sample_weight=c[first:]) for c in counts
        ]
        np.testing.assert_allclose(r2[:, p], expected, rtol=1e-10)


def test_perfect_predictions_give_one_and_constant_targets_nan():
    counts = np.ones((1, 4))
    y = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0]])
    r2 = probes.r2(y, y, counts=counts)
    assert r2[0, 0] == 1 and np.isnan(r2[0, 1])
