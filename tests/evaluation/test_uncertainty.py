import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ptacl.evaluation import uncertainty
from ptacl.evaluation.uncertainty import Estimates


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
    values = np.column_stack(
        [rng.integers(1, 5, size=14).astype(float), rng.normal(size=14), rng.normal(size=14)]
    )
    values[[2, 5, 11], 1] = np.nan
    counts = draw(14, 100)
    mean, median = (
        uncertainty.means(values, counts=counts),
        uncertainty.medians(values, counts=counts),
    )
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
    estimates = np.concatenate(
        [[1e9], np.arange(1001.0)]
    )  # the sample itself does not count as a draw
    assert uncertainty.interval(estimates, confidence=0.9) == pytest.approx((50, 950))


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(400):
        values = rng.normal(loc=2, size=(100, 1))
        low, high = uncertainty.interval(
            uncertainty.means(values, counts=draw(100, 200, trial))[:, 0], confidence=0.9
        )
        covered += low <= 2 <= high
    assert 0.85 < covered / 400 < 0.94


def test_p_value_is_one_without_a_difference_and_small_with_a_clear_one():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(200, 1))
    counts = draw(200, 999)
    mean = uncertainty.means(values, counts=counts)[:, 0]
    assert uncertainty.p_value(mean - mean) == 1
    better = uncertainty.means(
        values + rng.normal(loc=0.2, scale=0.1, size=(200, 1)), counts=counts
    )[:, 0]
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


def estimates(
    *of_seed: np.ndarray, seeds: list[int | None] | None = None, people: int = 100
) -> Estimates:
    """Of one statistic, (B,) per seed."""
    return Estimates(np.stack(of_seed), seeds or list(range(len(of_seed))), people)


def test_pairing_gives_a_narrower_interval_than_two_separate_bootstraps():
    rng = np.random.default_rng(6)
    base = rng.normal(size=(150, 1))
    other = base + rng.normal(scale=0.1, size=(150, 1))
    counts, separate = draw(150, 500), draw(150, 500, seed=1)
    reference = estimates(uncertainty.means(base, counts=counts)[:, 0])
    widths = []
    for drawn in (counts, separate):
        found = estimates(uncertainty.means(other, counts=drawn)[:, 0])
        difference = uncertainty.summarise(found.minus(reference), confidence=0.95)
        widths.append(difference.high - difference.low)
    assert widths[0] < 0.3 * widths[1]


def test_differences_are_taken_seed_by_seed():
    rng = np.random.default_rng(0)
    reference = estimates(*rng.normal(size=(3, 11)), seeds=[0, 1, 2])
    row = replace(reference, values=reference.values[[2, 1]] + 0.5, seeds=[2, 1])
    found = row.minus(reference)
    assert found.seeds == [2, 1]
    np.testing.assert_allclose(found.values, 0.5)
    of_no_seed = estimates(np.zeros(11), seeds=[None])
    np.testing.assert_array_equal(of_no_seed.minus(reference).values, -reference.values)
    np.testing.assert_array_equal(reference.minus(of_no_seed).values, reference.values)
    assert [of_no_seed.num_seeds, reference.num_seeds] == [0, 3]
    elsewhere = replace(row, seeds=[7, 8])
    assert math.isnan(uncertainty.summarise(elsewhere.minus(reference), confidence=0.95).value)


def test_values_and_differences_are_listed_seed_by_seed():
    reference = estimates(np.full(3, 1.0), np.full(3, 2.0), seeds=[0, 1])
    row = estimates(np.full(3, 1.5), np.full(3, 4.0), seeds=[1, 5])
    (first, of_first, shared), (second, of_second, nothing) = row.by_seed(reference)
    assert (first, of_first, shared) == (1, 1.5, -0.5)
    assert (second, of_second) == (5, 4.0)
    assert np.isnan(nothing)
    alone = estimates(np.full(3, 3.0), seeds=[None])
    assert [(s, float(v), float(d)) for s, v, d in alone.by_seed(reference)] == [
        (0, 3, 2),
        (1, 3, 1),
    ]
    assert [s for s, _, _ in alone.by_seed(None)] == [None]


def test_one_seed_has_the_percentile_interval():
    values = np.random.default_rng(1).normal(size=401)
    found = uncertainty.summarise(estimates(values), confidence=0.9)
    assert (found.low, found.high) == uncertainty.interval(values, confidence=0.9)
    assert found.p == uncertainty.p_value(values)
    assert found.value == values[0]


def test_without_a_spread_of_participants_the_interval_is_that_of_a_t_test():
    of_seed = [0.1, 0.2, 0.6, 0.3, 0.4]
    found = uncertainty.summarise(estimates(*(np.full(301, x) for x in of_seed)), confidence=0.95)
    expected = stats.ttest_1samp(of_seed, 0)
    low, high = expected.confidence_interval(0.95)
    assert [found.value, found.low, found.high, found.p] == pytest.approx(
        [0.32, low, high, expected.pvalue]
    )


def test_without_a_spread_of_seeds_the_interval_is_that_of_the_participants():
    alike = np.random.default_rng(2).normal(0.4, 0.1, 2001)
    found = uncertainty.summarise(estimates(*[alike] * 5, people=500), confidence=0.95)
    half_width = stats.t.ppf(0.975, 499) * alike[1:].std(ddof=1)
    assert found.high - found.value == pytest.approx(half_width, rel=1e-6)


def test_rows_without_any_difference_have_p_one_and_an_interval_of_no_width():
    found = uncertainty.summarise(estimates(*[np.zeros(21)] * 3), confidence=0.95)
    assert [found.value, found.low, found.high, found.p] == [0, 0, 0, 1]


@pytest.mark.parametrize("interaction", [0.0, 1.0])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0, 10.0])
def test_five_seeds_find_a_difference_that_is_none_in_one_of_twenty_trials(
    ratio: float, interaction: float
):
    """Whatever the variance of seeds over that of participants, 5 plus or minus 1.5 % of intervals
    exclude zero.

    A participant adds to all seeds alike with variance 1; `interaction` is the variance of what it
    adds to one seed only.
    """
    rng = np.random.default_rng(7)
    seeds, people, trials = 5, 100, 2000
    excluded = small = 0
    for _ in range(trials):
        of_seed = math.sqrt(ratio * seeds / people) * rng.normal(size=(seeds, 1))
        values = (
            of_seed
            + rng.normal(size=people)
            + math.sqrt(interaction) * rng.normal(size=(seeds, people))
        )
        # What a bootstrap of these means converges to, without drawing people again: normal draws
        # of their covariance.
        covariance = np.cov(values) / people
        sample = values.mean(axis=1)
        draws = rng.multivariate_normal(sample, covariance, size=200).T
        found = uncertainty.summarise(
            estimates(*np.column_stack([sample, draws]), people=people), confidence=0.95
        )
        excluded += found.low > 0 or found.high < 0
        small += found.p < 0.05
    assert abs(excluded - small) <= 2
    assert 0.035 <= excluded / trials <= 0.065


def test_holm_agrees_with_the_textbook():
    """Smallest times n, next times n - 1, and so on, never falling, never above one."""
    found = uncertainty.holm([0.01, 0.04, float("nan"), 0.03, 0.9])
    assert found[:2] == pytest.approx([0.04, 0.09]) and np.isnan(found[2])
    assert found[3:] == pytest.approx([0.09, 0.9])
    assert uncertainty.holm([0.6, 0.7]) == [1.0, 1.0] and uncertainty.holm([]) == []


def test_p_by_hand() -> None:
    """Of nine draws one is at or below zero: twice (1 + 1) / (9 + 1).

    The first entry is the sample, and a NaN does not count.
    """
    differences = np.array([-5.0, 1, 2, 3, 4, 5, 6, 7, 8, 0, np.nan])
    assert uncertainty.p_value(differences) == pytest.approx(0.4)
    assert uncertainty.p_value(-differences) == pytest.approx(0.4)
    assert uncertainty.p_value(np.array([1.0, -1, 1])) == 1


def test_a_summary_has_the_quantiles_of_the_draws() -> None:
    found = uncertainty.summarise(estimates(np.arange(1001.0)), confidence=0.9)
    assert found.value == 0
    assert found.low == pytest.approx(50.95)
    assert found.high == pytest.approx(950.05)


def test_a_clear_difference_without_any_spread_has_p_zero() -> None:
    found = uncertainty.summarise(estimates(*[np.full(21, 0.5)] * 3), confidence=0.95)
    assert [found.value, found.low, found.high, found.p] == [0.5, 0.5, 0.5, 0]


def test_draws_in_which_a_seed_is_undefined_do_not_count() -> None:
    rng = np.random.default_rng(3)
    of_seeds = rng.normal(size=(3, 50))
    expected = uncertainty.summarise(estimates(*of_seeds), confidence=0.95)
    undefined = np.pad(of_seeds, ((0, 0), (0, 2)), constant_values=7.0)
    undefined[0, 50] = undefined[2, 51] = np.nan
    assert uncertainty.summarise(estimates(*undefined), confidence=0.95) == expected


def test_a_sample_that_is_undefined_at_one_seed_has_no_number() -> None:
    of_seeds = np.ones((3, 5))
    of_seeds[1, 0] = np.nan
    found = uncertainty.summarise(estimates(*of_seeds), confidence=0.95)
    assert np.isnan([found.value, found.low, found.high, found.p]).all()


def test_one_of_several_statistics_is_found_by_its_place_and_the_mean_comes_last() -> None:
    values = np.arange(24.0).reshape(2, 3, 2, 2)
    several = Estimates(values, [0, 1], 10)
    np.testing.assert_array_equal(several.at(1, 0).values, values[:, :, 1, 0])
    np.testing.assert_array_equal(several.value, values[:, 0].mean(axis=0))
    with_mean = several.with_mean()
    assert with_mean.values.shape == (2, 3, 3, 2)
    np.testing.assert_array_equal(with_mean.values[:, :, 2], values.mean(axis=2))
    assert with_mean.seeds == [0, 1]
    assert with_mean.participants == 10
