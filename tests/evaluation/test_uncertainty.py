import itertools

import numpy as np
import pytest

from ptacl.evaluation import uncertainty


def draw(n: int, draws: int, seed: int = 0) -> np.ndarray:
    return uncertainty.draw_counts(n, draws=draws, generator=np.random.default_rng(seed))


def repeated(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The participants of a draw, one by one, as a loop would have them."""
    drawn = np.repeat(values, counts.astype(int))
    return drawn[np.isfinite(drawn)]


def test_each_draw_has_as_many_participants_as_the_sample():
    counts = draw(17, 200)
    assert counts.shape == (201, 17)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == 17).all()
    assert (counts[1:] != 1).any(axis=1).all()


def test_means_and_medians_agree_with_a_loop():
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.integers(1, 5, size=14).astype(float), rng.normal(size=14), rng.normal(size=14)])
    values[[2, 5, 11], 1] = np.nan
    counts = draw(14, 100)
    mean, median = uncertainty.means(values, counts=counts), uncertainty.medians(values, counts=counts)
    for b in range(len(counts)):
        for k in range(values.shape[1]):
            drawn = repeated(values[:, k], counts[b])
            assert mean[b, k] == pytest.approx(drawn.mean(), rel=1e-12)
            assert median[b, k] == np.median(drawn)


def test_a_statistic_without_any_value_is_nan():
    nothing = np.full((5, 1), np.nan)
    counts = draw(5, 3)
    assert np.isnan(uncertainty.means(nothing, counts=counts)).all()
    assert np.isnan(uncertainty.medians(nothing, counts=counts)).all()
    assert np.isnan(uncertainty.interval(np.full(4, np.nan), confidence=0.95)).all()
    assert np.isnan(uncertainty.p_value(np.full(4, np.nan)))


def test_interval_of_known_draws():
    estimates = np.concatenate([[1e9], np.arange(1001.0)])  # the sample itself is no draw
    assert uncertainty.interval(estimates, confidence=0.9) == pytest.approx((50, 950))


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(400):
        values = rng.normal(loc=2, size=(100, 1))
        low, high = uncertainty.interval(uncertainty.means(values, counts=draw(100, 200, trial))[:, 0], confidence=0.9)
        covered += low <= 2 <= high
    assert 0.85 < covered / 400 < 0.94


def test_p_value_is_one_without_a_difference_and_small_with_a_clear_one():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(200, 1))
    counts = draw(200, 999)
    mean = uncertainty.means(values, counts=counts)[:, 0]
    assert uncertainty.p_value(mean - mean) == 1
    better = uncertainty.means(values + rng.normal(loc=0.2, scale=0.1, size=(200, 1)), counts=counts)[:, 0]
    assert uncertainty.p_value(better - mean) == pytest.approx(2 / 1000)
    assert uncertainty.p_value(mean - better) == pytest.approx(2 / 1000)


def test_p_values_are_rarely_small_under_the_null():
    rng = np.random.default_rng(5)
    p = []
    for trial in range(300):
        pair = rng.normal(size=(80, 2))
        mean = uncertainty.means(pair, counts=draw(80, 199, trial))
        p.append(uncertainty.p_value(mean[:, 0] - mean[:, 1]))
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.10
    assert 0.4 < np.mean(p) < 0.6


def test_pairing_gives_a_narrower_interval_than_two_separate_bootstraps():
    rng = np.random.default_rng(6)
    base = rng.normal(size=(150, 1))
    other = base + rng.normal(scale=0.1, size=(150, 1))
    counts, separate = draw(150, 500), draw(150, 500, seed=1)
    reference = uncertainty.means(base, counts=counts)[:, 0]
    paired = uncertainty.paired_columns("x", uncertainty.means(other, counts=counts)[:, 0], reference=reference, confidence=0.95)
    loose = uncertainty.paired_columns("x", uncertainty.means(other, counts=separate)[:, 0], reference=reference, confidence=0.95)
    assert paired["x_difference_high"] - paired["x_difference_low"] < 0.3 * (
        loose["x_difference_high"] - loose["x_difference_low"]
    )


def test_the_reference_itself_has_no_difference():
    columns = uncertainty.paired_columns("x", np.arange(4.0), reference=None, confidence=0.95)
    assert list(columns) == ["x_difference", "x_difference_low", "x_difference_high", "x_p"]
    assert np.isnan(list(columns.values())).all()


def test_seeds_are_drawn_again_in_every_draw_and_alike_in_all_rows():
    rng = np.random.default_rng(0)
    spread = [np.full((401, 2), value) for value in (0.1, 0.2, 0.6)]
    mean = uncertainty.over_seeds(spread, seed=3)
    assert mean[0] == pytest.approx([0.3, 0.3]) and set(np.unique(mean.round(6))) <= {
        round(sum(c) / 3, 6) for c in itertools.product((0.1, 0.2, 0.6), repeat=3)
    }
    low, high = uncertainty.interval(mean[:, 0], confidence=0.95)
    assert low < 0.2 and high > 0.4
    shifted = [s + 0.05 for s in spread]
    assert np.allclose(uncertainty.over_seeds(shifted, seed=3) - mean, 0.05)  # paired by seed
    one = rng.normal(size=(401, 2))
    assert np.array_equal(uncertainty.over_seeds([one], seed=3), one)


def test_holm_agrees_with_the_textbook():
    """Smallest times n, next times n - 1, and so on, never falling, never above one."""
    found = uncertainty.holm([0.01, 0.04, float("nan"), 0.03, 0.9])
    assert found[:2] == pytest.approx([0.04, 0.09]) and np.isnan(found[2])
    assert found[3:] == pytest.approx([0.09, 0.9])
    assert uncertainty.holm([0.6, 0.7]) == [1.0, 1.0] and uncertainty.holm([]) == []
