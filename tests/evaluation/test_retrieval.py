import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from tables import wide

from ptacl.config import Retrieval
from ptacl.evaluation import ranking, retrieval

KS = [1, 3, 5, 10, 15]


def test_a_perfect_embedding_has_precision_one():
    phenotype = np.linspace(-1, 1, 400)[:, None]
    circle = np.column_stack([np.cos(phenotype), np.sin(phenotype)]).astype(np.float32)
    found = ranking.find(circle, circle, phenotypes_np=phenotype, ks=KS, band=0.5, own=False)
    assert (found.precision == 1).all() and (found.first == 1).all()


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
