"""Rankings and chance, compared with loops and with values by hand."""

import numpy as np
import pytest

from ptacl.evaluation import ranking, retrieval, uncertainty


def ranked_by_loop(query, gallery, values, *, ks, band, own):
    """Precision and rank of the first match, written straight from the definition: rank everybody,
    then count.
    """
    half_width = band * np.nanstd(values)
    precision, first = np.full((len(query), len(ks)), np.nan), np.full(len(query), np.nan)
    for i in range(len(query)):
        if np.isnan(values[i]):
            continue
        cosine = [query[i] @ g / np.linalg.norm(query[i]) / np.linalg.norm(g) for g in gallery]
        order = [j for j in np.argsort(cosine)[::-1] if np.isfinite(values[j]) and (own or j != i)]
        hits = [abs(values[j] - values[i]) <= half_width for j in order]
        for c, k in enumerate(ks):
            if len(hits) >= k:
                precision[i, c] = sum(hits[:k]) / k
        if any(hits):
            first[i] = hits.index(True) + 1
    return precision, first


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.6])
@pytest.mark.parametrize(("block", "candidates"), [(512, 64), (7, 1)])
def test_ranking_agrees_with_a_loop(monkeypatch, own, missing, block, candidates):
    """Small blocks and few candidates force the fallback, both for deep matches and for values
    missing among the best.
    """
    monkeypatch.setattr(ranking, "_BLOCK", block)
    monkeypatch.setattr(ranking, "_CANDIDATES", candidates)
    rng = np.random.default_rng(0)
    n, ks = 90, [1, 3, 15, 30]
    query, gallery = rng.normal(size=(2, n, 6)).astype(np.float32)
    values = np.column_stack([rng.normal(size=n), rng.standard_t(2, size=n), rng.normal(size=n)])
    values[rng.random(n) < missing, 1] = np.nan
    values[0, 2] = 40  # matched by nobody else
    found = ranking.find(query, gallery, phenotypes_np=values, ks=ks, band=0.2, own=own)
    for p in range(3):
        precision, first = ranked_by_loop(query, gallery, values[:, p], ks=ks, band=0.2, own=own)
        np.testing.assert_allclose(found.precision[:, p], precision, rtol=1e-12)
        np.testing.assert_array_equal(found.first[:, p], first)
    if candidates == 1:  # the fallback was reached, for ranks and for precision
        assert np.nanmax(found.first) > candidates + max(ks)
        assert missing == 0 or np.isfinite(found.precision[:, 1, -1]).any()
    assert np.isnan(found.first[0, 2]) != own


def test_galleries_smaller_than_k_give_no_precision():
    rng = np.random.default_rng(1)
    query, gallery = rng.normal(size=(2, 10, 3)).astype(np.float32)
    values = rng.normal(size=(10, 1))
    found = ranking.find(query, gallery, phenotypes_np=values, ks=[1, 9, 10], band=1, own=False)
    assert np.isfinite(found.precision[:, 0, :2]).all() and np.isnan(found.precision[:, 0, 2]).all()


def test_own_cmr_is_really_out_of_the_gallery():
    """ECG and CMR embeddings are equal, so the own CMR comes first; it is also the only match."""
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(50, 8)).astype(np.float32)
    phenotype = np.arange(50.0)[:, None]
    within = ranking.find(
        embedding, embedding, phenotypes_np=phenotype, ks=[1, 3], band=0.03, own=True
    )
    without = ranking.find(
        embedding, embedding, phenotypes_np=phenotype, ks=[1, 3], band=0.03, own=False
    )
    np.testing.assert_allclose(within.precision[:, 0], np.broadcast_to([1, 1 / 3], (50, 2)))
    assert (within.first == 1).all()
    assert (without.precision == 0).all() and np.isnan(without.first).all()


@pytest.mark.parametrize("own", [False, True])
def test_random_retrieval_is_the_mean_of_random_orders(own):
    rng = np.random.default_rng(4)
    n = 25
    values = rng.standard_t(3, size=(n, 1))
    values[:3] = np.nan
    precision, first = [], []
    for _ in range(400):
        query, gallery = rng.normal(size=(2, n, 40)).astype(np.float32)
        found = ranking.find(query, gallery, phenotypes_np=values, ks=[1, 5], band=0.5, own=own)
        precision.append(np.nanmean(found.precision[:, 0], axis=0))
        first.append(found.first[:, 0])
    expected = retrieval.random_statistics(
        values, ks=[1, 5], band=0.5, own=own, counts=np.ones((1, n))
    )[0, 0]
    np.testing.assert_allclose(expected[:2], np.mean(precision, axis=0), atol=0.012)
    assert expected[2] == pytest.approx(np.nanmean(first), rel=0.03)
    assert expected[3] == np.nanmedian(first)


def test_matches_are_counted_as_in_a_loop():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(60, 2))
    values[::7, 1] = np.nan
    half_width = ranking.half_widths(values, band=0.5)
    for own in (False, True):
        matches, sizes = ranking.count_matches(values, half_width=half_width, own=own)
        for p in range(2):
            near = np.abs(values[:, None, p] - values[None, :, p]) <= half_width[p]
            known = np.isfinite(values[:, p])
            np.testing.assert_array_equal(matches[known, p], near[known].sum(axis=1) - (not own))
            assert (sizes[known, p] == known.sum() - (not own)).all()
            assert np.isnan(matches[~known, p]).all() and np.isnan(sizes[~known, p]).all()


def test_statistics_of_a_draw_are_those_of_its_queries():
    rng = np.random.default_rng(6)
    found = ranking.Found(rng.random((30, 2, 3)), rng.integers(1, 9, size=(30, 2)).astype(float))
    counts = uncertainty.draw_counts(30, draws=20, generator=rng)
    values = retrieval.statistics(found, counts=counts)
    for b, drawn in enumerate(counts.astype(int)):
        np.testing.assert_allclose(
            values[b, :, :3], np.repeat(found.precision, drawn, axis=0).mean(axis=0)
        )
        np.testing.assert_allclose(
            values[b, :, 3], np.repeat(found.first, drawn, axis=0).mean(axis=0)
        )
        np.testing.assert_array_equal(
            values[b, :, 4], np.median(np.repeat(found.first, drawn, axis=0), axis=0)
        )


def test_chance_in_a_draw_is_that_of_its_queries():
    """Each draw as if it were the only one."""
    rng = np.random.default_rng(8)
    values = rng.standard_t(3, size=(40, 2))
    values[:4, 1] = np.nan
    counts = uncertainty.draw_counts(40, draws=6, generator=rng)
    how = {"ks": [1, 5], "band": 0.3, "own": False}
    together = retrieval.random_statistics(values, counts=counts, **how)
    assert together.shape == (7, 2, 4)
    assert np.isfinite(together).all()
    for draw, found in zip(counts, together, strict=True):
        np.testing.assert_allclose(
            found,
            retrieval.random_statistics(values, counts=draw[None], **how)[0],
        )


def test_chance_without_any_match_has_no_rank():
    """0, 1, 2 and 3 differ by more than the band, a thousandth of their standard deviation."""
    values = np.arange(4.0)[:, None]
    found = retrieval.random_statistics(
        values,
        ks=[1],
        band=1e-3,
        own=False,
        counts=np.ones((2, 4)),
    )
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[:, 0], [[0, np.nan, np.nan]] * 2)


def test_the_median_rank_of_chance_by_hand():
    """It is the first rank by which half of the random orders have met a match.

    With one match among 5 candidates that is rank 3, among 4 exactly a half have met it by rank 2.
    With two matches, 2/5 of the orders begin with one among 5, and a half among 4.
    """
    one, two = np.array([1.0]), np.array([2.0])
    counts = np.ones((1, 1))
    assert retrieval._random_median(one, np.array([5.0]), counts=counts).tolist() == [3]
    assert retrieval._random_median(one, np.array([4.0]), counts=counts).tolist() == [2]
    assert retrieval._random_median(two, np.array([5.0]), counts=counts).tolist() == [2]
    assert retrieval._random_median(two, np.array([4.0]), counts=counts).tolist() == [1]


def test_a_gallery_of_two_has_one_candidate_and_precision_where_it_matches():
    embedding = np.eye(2, dtype=np.float32)
    values = np.array([[0.0], [1.0]])  # standard deviation 0.5
    for band, expected in ((2.0, 1.0), (1.9, 0.0)):
        found = ranking.find(
            embedding,
            embedding,
            phenotypes_np=values,
            ks=[1],
            band=band,
            own=False,
        )
        assert found.precision[:, 0, 0].tolist() == [expected, expected]


def test_equal_scores_keep_the_order_of_the_gallery():
    """All candidates are alike, so they come as in the gallery, with values 0, 0 and 9."""
    embedding = np.ones((3, 2), np.float32)
    values = np.array([[0.0], [0.0], [9.0]])
    found = ranking.find(
        embedding,
        embedding,
        phenotypes_np=values,
        ks=[1, 2, 3],
        band=0.5,
        own=True,
    )
    np.testing.assert_allclose(found.precision[:, 0], [[1, 1, 2 / 3], [1, 1, 2 / 3], [0, 0, 1 / 3]])
    assert found.first[:, 0].tolist() == [1, 1, 3]
