import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from tables import wide

from ptacl.config import Retrieval
from ptacl.evaluation import ranking, retrieval, uncertainty

KS = [1, 3, 5, 10, 15]


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


def test_a_perfect_embedding_has_precision_one():
    phenotype = np.linspace(-1, 1, 400)[:, None]
    circle = np.column_stack([np.cos(phenotype), np.sin(phenotype)]).astype(np.float32)
    found = ranking.find(circle, circle, phenotypes_np=phenotype, ks=KS, band=0.5, own=False)
    assert (found.precision == 1).all() and (found.first == 1).all()


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


def test_random_retrieval_of_a_gaussian_phenotype_is_02763():
    """2 Phi(0.5 / sqrt 2) - 1: the chance that two participants differ by no more than half a
    standard deviation.
    """
    n = 4000
    gaussian = norm.ppf((np.arange(n) + 0.5) / n)[:, None]
    expected = 2 * norm.cdf(0.5 / np.sqrt(2)) - 1
    assert expected == pytest.approx(0.2763, abs=5e-5)
    values = retrieval.random_statistics(
        gaussian, ks=KS, band=0.5, own=False, counts=np.ones((1, n))
    )
    np.testing.assert_allclose(values[0, 0, : len(KS)], expected, atol=5e-4)

    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=(2, n, 32)).astype(np.float32)
    found = ranking.find(
        query, gallery, phenotypes_np=rng.permutation(gaussian), ks=KS, band=0.5, own=False
    )
    np.testing.assert_allclose(found.precision.mean(axis=0)[0], expected, atol=0.03)
    assert found.precision[:, 0, -1].mean() == pytest.approx(expected, abs=0.008)


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


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, dict[str, dict[int, Path]], Retrieval]:
    rng = np.random.default_rng(7)
    n = 260
    cause = rng.normal(size=(n, 4))
    visits = np.array([f"{9000001 + i}_2" for i in range(n)])
    table = pd.DataFrame(
        {"visit": visits, "participant": [v[:7] for v in visits], "split": "test", "evaluate": True}
    )
    table.loc[:29, "split"] = "train"
    table["LVEDV"], table["LVEF"] = cause[:, 0] * 30 + 150, cause[:, 1] * 6 + 60
    table.loc[100, "LVEF"] = np.nan
    path = tmp_path / "participants.csv"
    table.to_csv(path, index=False)
    embeddings: dict[str, dict[int, Path]] = {"global": {}, "local": {}}
    for name, seed, noise in (("global", 0, 2.0), ("local", 0, 0.5), ("local", 1, 0.5)):
        ecg, cmr = (cause + noise * rng.normal(size=(2, n, 4))).astype(np.float32)
        embeddings[name][seed] = tmp_path / f"{name}-{seed}.npz"
        np.savez(embeddings[name][seed], visits=visits, ecg_projected=ecg, cmr_projected=cmr)
    rows = [{"label": "Global", "model": "global"}, {"label": "PTACL", "model": "local"}]
    values = {
        "rows": rows,
        "ks": KS,
        "band": 0.5,
        "own_cmr": False,
        "bootstrap": 100,
        "confidence": 0.95,
    }
    return path, embeddings, Retrieval.model_validate(values)


def test_table_has_both_galleries_and_the_chosen_one_first(cohort):
    path, embeddings, settings = cohort
    arguments = {
        "participants": path,
        "phenotypes": ["LVEDV", "LVEF"],
        "embeddings": embeddings,
        "seed": 0,
    }
    long = retrieval.evaluate(settings, **arguments)
    table = wide(long)
    assert table["method"].tolist() == ["Global", "PTACL", "Random"] * 4
    assert table["gallery"].tolist() == (["without own CMR"] * 3 + ["with own CMR"] * 3) * 2
    assert table["direction"].tolist() == ["ECG to CMR"] * 6 + ["CMR to ECG"] * 6
    assert table["shown"].tolist() == [True] * 3 + [False] * 9
    assert table["seeds"].tolist() == [1, 2, 0] * 4 and (table["n_test"] == 230).all()
    base, better, chance = (table.iloc[i] for i in range(3))
    assert chance["mean_P@1"] < base["mean_P@1"] < better["mean_P@1"]
    assert better["mean_MnR"] < base["mean_MnR"] < chance["mean_MnR"]
    views = ["direction", "gallery", "phenotype", "statistic", "method", "reference", "seed"]
    of_seed = long[long["seed"].notna()].set_index(views).sort_index()["value"]
    of_seed = of_seed["ECG to CMR", "without own CMR", "LVEDV", "P@10"]
    assert of_seed["PTACL", ""].mean() == pytest.approx(better["LVEDV_P@10"])
    expected = of_seed["PTACL", "", 0] - base["LVEDV_P@10"]  # the seed that both have
    assert of_seed["PTACL", "Global", 0] == pytest.approx(expected)
    assert better["LVEDV_P@10_difference"] == pytest.approx(expected)
    assert better["mean_P@15_p"] < 0.05
    assert table.filter(like="difference").iloc[0].isna().all()
    assert table.iloc[4]["mean_P@1"] > better["mean_P@1"]  # the own CMR helps

    other = wide(retrieval.evaluate(settings.model_copy(update={"own_cmr": True}), **arguments))
    assert other["gallery"].tolist() == (["with own CMR"] * 3 + ["without own CMR"] * 3) * 2
    columns = [c for c in table.columns if "@" in c or "M" in c]
    np.testing.assert_allclose(
        other[columns].to_numpy(float),
        table[columns].iloc[[3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]].to_numpy(float),
    )


def test_models_with_the_same_embedding_do_not_differ(cohort):
    path, embeddings, settings = cohort
    twins = {"global": embeddings["global"], "local": embeddings["global"]}
    table = wide(
        retrieval.evaluate(
            settings, participants=path, phenotypes=["LVEF"], embeddings=twins, seed=0
        )
    )
    twin = table.iloc[1]
    assert (twin[[c for c in table.columns if "difference" in c]] == 0).all()
    assert (twin[[c for c in table.columns if c.endswith("_p")]] == 1).all()


def test_stage_writes_every_column(cohort, tmp_path, monkeypatch):
    path, embeddings, settings = cohort
    out = tmp_path / "tables" / "retrieval.csv"
    arguments = [
        "retrieval",
        "--settings",
        settings.model_dump_json(),
        "--phenotypes",
        json.dumps(["LVEDV", "LVEF"]),
    ]
    arguments += ["--participants", str(path), "--seed", "1"]
    arguments += ["--embeddings", json.dumps(embeddings, default=str), "--out", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    retrieval.main()
    table = pd.read_csv(out)
    of_phenotypes = table[table["phenotype"].notna()]
    assert set(of_phenotypes["phenotype"]) == {"LVEDV", "LVEF", "mean"}
    assert set(of_phenotypes["statistic"]) == {*(f"P@{k}" for k in KS), "MnR", "MdR"}
    own = table[table["phenotype"].isna()]
    assert set(own["statistic"]) == {"own MdR", *(f"own R@{k}" for k in KS)}
    assert "PTACL" in set(table["method"]) and set(table["model"]) == {"global", "local", "random"}


def test_one_participant_is_too_few():
    with pytest.raises(ValueError, match="at least two"):
        ranking.find(
            np.ones((1, 2), np.float32),
            np.ones((1, 2), np.float32),
            phenotypes_np=np.ones((1, 1)),
            ks=[1],
            band=1,
            own=False,
        )


def test_own_rank_counts_the_candidates_above_the_own_one(cohort, monkeypatch):
    monkeypatch.setattr(ranking, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(2, 30, 5)).astype(np.float32)
    cosine = [[q @ g / np.linalg.norm(q) / np.linalg.norm(g) for g in gallery] for q in query]
    assert ranking.own_ranks(query, gallery).tolist() == [
        1 + sum(c > row[i] for c in row) for i, row in enumerate(cosine)
    ]
    assert ranking.own_ranks(query, query).tolist() == [1] * 30
    path, embeddings, settings = cohort
    table = wide(
        retrieval.evaluate(
            settings, participants=path, phenotypes=["LVEF"], embeddings=embeddings, seed=0
        )
    )
    base, better, chance = (table.iloc[i] for i in range(3))
    assert better["own_MdR"] < base["own_MdR"] < chance["own_MdR"] == 115.5
    assert better["own_MdR_low"] <= better["own_MdR"] <= better["own_MdR_high"]


def test_the_other_direction_is_that_of_exchanged_embeddings(cohort, tmp_path):
    path, embeddings, settings = cohort
    turned = {}
    for name, files in embeddings.items():
        for seed, file in files.items():
            with np.load(file) as stored:
                arrays = {"visits": stored["visits"], "ecg_projected": stored["cmr_projected"]}
                np.savez(
                    tmp_path / f"turned-{name}-{seed}.npz",
                    **arrays,
                    cmr_projected=stored["ecg_projected"],
                )
            turned.setdefault(name, {})[seed] = tmp_path / f"turned-{name}-{seed}.npz"
    how = {"participants": path, "phenotypes": ["LVEDV"], "seed": 0}
    one, other = (
        wide(retrieval.evaluate(settings, embeddings=files, **how))
        for files in (embeddings, turned)
    )
    numbers = [c for c in one.columns if "@" in c or "Md" in c or "Mn" in c]
    np.testing.assert_allclose(
        one[numbers].iloc[6:].to_numpy(float), other[numbers].iloc[:6].to_numpy(float)
    )
    assert not np.allclose(one.loc[6, "own_MdR"], one.loc[0, "own_MdR"])


def test_recall_is_the_share_of_queries_that_find_their_own_among_the_first(cohort):
    path, embeddings, settings = cohort
    table = wide(
        retrieval.evaluate(
            settings, participants=path, phenotypes=["LVEDV"], embeddings=embeddings, seed=0
        )
    )
    visits = [f"{9000001 + i}_2" for i in range(30, 260)]
    with np.load(embeddings["global"][0]) as stored:
        rows = [stored["visits"].tolist().index(v) for v in visits]
        ranks = ranking.own_ranks(stored["ecg_projected"][rows], stored["cmr_projected"][rows])
    for k in KS:
        assert table.loc[0, f"own_R@{k}"] == pytest.approx((ranks <= k).mean())
        assert (
            table.loc[0, f"own_R@{k}_low"]
            <= table.loc[0, f"own_R@{k}"]
            <= table.loc[0, f"own_R@{k}_high"]
        )
        assert table.loc[2, f"own_R@{k}"] == pytest.approx(k / 230)


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


def test_each_row_says_which_row_of_the_paper_it_is(cohort):
    path, embeddings, settings = cohort
    rows = [settings.rows[0].model_copy(update={"paper": "Global alignment"}), settings.rows[1]]
    chosen = settings.model_copy(update={"rows": rows, "bootstrap": 5})
    table = wide(
        retrieval.evaluate(
            chosen,
            participants=path,
            phenotypes=["LVEF"],
            embeddings=embeddings,
            seed=0,
        )
    )
    assert table["paper"].tolist() == ["Global alignment", "", "Random"] * 4
    assert table["model"].tolist() == ["global", "local", "random"] * 4
    assert (table["confidence"] == 0.95).all()


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
