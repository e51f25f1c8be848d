import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from tables import wide

from ptacl.config import Regression
from ptacl.evaluation import inputs, probes, regression, saved_probe, strata, uncertainty

PHENOTYPES = ["LVEDV", "LVEF", "LVM"]


def evaluate(*args, **how) -> pd.DataFrame:
    """Table 2 in the layout of the paper, with probes that are fitted on the way."""
    return wide(regression.evaluate(*args, probes={}, **how))


def settings(rows: list[tuple[str, str, str]], reference: str = "Global") -> Regression:
    named = [{"features": [i], "label": m, "model": n} for i, m, n in rows]
    return Regression.model_validate(
        {"rows": named, "reference": reference, "bootstrap": 100, "confidence": 0.95}
    )


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, dict[str, dict[int, Path]], pd.DataFrame]:
    """300 participants with three phenotypes that follow from five features, and embeddings of
    several qualities.
    """
    rng = np.random.default_rng(0)
    n = 300
    cause = rng.normal(size=(n, 5))
    exact = cause @ rng.normal(size=(5, 3)) * [30, 6, 20] + [150, 60, 90]
    table = pd.DataFrame(
        {
            "visit": [f"{9000001 + i}_2" for i in range(n)],
            "participant": [str(9000001 + i) for i in range(n)],
        }
    )
    table["split"] = np.select(
        [np.arange(n) < 180, np.arange(n) < 200], ["train", "validation"], "test"
    )
    table["evaluate"] = True
    table[PHENOTYPES] = exact
    second = table.iloc[[-1]].assign(visit=lambda t: t["participant"] + "_3", evaluate=False)
    table = pd.concat([table, second], ignore_index=True)
    participants = tmp_path / "participants.csv"
    table.to_csv(participants, index=False)
    cause = np.vstack([cause, cause[-1:]])
    quality = {
        ("random", 0): 50.0,
        ("ecg_mae", 0): 1.0,
        ("cmr_mae", 0): 0.0,
        ("global", 0): 0.5,
        ("ptacl", 0): 0.3,
        ("ptacl", 1): 0.4,
    }
    embeddings: dict[str, dict[int, Path]] = {}
    shuffled = rng.permutation(len(table))
    for (name, seed), noise in quality.items():
        features = np.hstack(
            [cause + noise * rng.normal(size=cause.shape), rng.normal(size=(len(cause), 3))]
        ).astype(np.float32)
        path = embeddings.setdefault(name, {})[seed] = tmp_path / f"{name}-{seed}.npz"
        np.savez(
            path,
            visits=table["visit"].to_numpy(dtype=str)[shuffled],
            ecg=features[shuffled],
            cmr=features[shuffled],
        )
    return participants, embeddings, table


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


def test_table_orders_methods_by_what_they_know(cohort):
    path, embeddings, _ = cohort
    rows = [
        ("cmr", "MAE", "cmr_mae"),
        ("ecg", "Random init", "random"),
        ("ecg", "Global", "global"),
        ("ecg", "PTACL", "ptacl"),
    ]
    table = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    assert table["method"].tolist() == ["MAE", "Random init", "Global", "PTACL"]
    assert table["seeds"].tolist() == [1, 1, 1, 2]
    assert (table["n_train"] == 180).all() and (table["n_test"] == 100).all()
    perfect, untrained, baseline, better = (table.iloc[i] for i in range(4))
    assert all(perfect[f"{p}_R2"] == pytest.approx(1, abs=1e-9) for p in [*PHENOTYPES, "mean"])
    assert untrained["mean_R2"] < 0.1 < baseline["mean_R2"] < better["mean_R2"]
    one = embeddings | {"ptacl": {0: embeddings["ptacl"][0]}}  # the seed that the reference has too
    alone = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=one, seed=0
    ).iloc[3]
    assert alone["mean_R2_difference"] == pytest.approx(alone["mean_R2"] - baseline["mean_R2"])
    assert better["mean_R2_difference"] == pytest.approx(alone["mean_R2_difference"])
    assert better["mean_R2_p"] < 0.05
    for _, row in table.iterrows():
        assert row["mean_R2"] == pytest.approx(np.mean([row[f"{p}_R2"] for p in PHENOTYPES]))
        assert row["mean_R2_low"] <= row["mean_R2"] <= row["mean_R2_high"]
    assert (
        table.filter(regex="_(difference|p)").loc[table["method"] == "Global"].isna().all(axis=None)
    )


def test_the_probe_learns_from_training_participants_alone(cohort):
    path, embeddings, participants = cohort
    rows = [("ecg", "Global", "global")]
    before = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    held_out = participants["split"] == "validation"
    participants.loc[held_out, PHENOTYPES] *= 100
    participants.loc[~participants["evaluate"], PHENOTYPES] *= 100  # a second visit
    participants.to_csv(path, index=False)
    after = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    pd.testing.assert_frame_equal(before, after)


def test_rows_with_the_same_embedding_do_not_differ(cohort):
    path, embeddings, _ = cohort
    rows = [("ecg", "Global", "global"), ("ecg", "Twin", "twin")]
    embeddings |= {"twin": embeddings["global"]}
    table = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    twin = table.iloc[1]
    for name in [*PHENOTYPES, "mean"]:
        ends = ["", "_low", "_high"]
        assert (twin[[f"{name}_R2_difference{end}" for end in ends]] == 0).all()
        assert twin[f"{name}_R2_p"] == 1


def test_stage_writes_the_same_table_twice(cohort, tmp_path, monkeypatch):
    path, embeddings, _ = cohort
    arguments = [
        "regression",
        "--settings",
        settings([("ecg", "Global", "global"), ("ecg", "MAE", "ecg_mae")]).model_dump_json(),
    ]
    arguments += [
        "--phenotypes",
        json.dumps({"names": PHENOTYPES}),
        "--participants",
        str(path),
        "--seed",
        "3",
    ]
    arguments += ["--embeddings", json.dumps(embeddings, default=str)]
    arguments += ["--probes", "{}"]
    written = []
    for out in (tmp_path / "new" / "a.csv", tmp_path / "b.csv"):
        monkeypatch.setattr("sys.argv", [*arguments, "--out", str(out)])
        regression.main()
        written.append(out.read_bytes())
    assert written[0] == written[1]
    table = pd.read_csv(tmp_path / "b.csv")
    names = ["input", "method", "evaluation", "model", "paper"]
    assert table.columns[:5].tolist() == names
    numbers = ["phenotype", "statistic", "reference", "value", "low", "high", "p", "p_holm"]
    assert table.columns[-8:].tolist() == numbers
    assert set(table["phenotype"]) == {*PHENOTYPES, "mean"}


def test_a_saved_probe_is_used_and_gives_the_table_of_one_that_is_fitted(cohort, tmp_path):
    path, embeddings, _ = cohort
    chosen = settings([("ecg", "Global", "global"), ("ecg", "PTACL", "ptacl")])
    how = {"participants": path, "phenotypes": PHENOTYPES, "embeddings": embeddings, "seed": 0}
    fitted = regression.evaluate(chosen, probes={}, **how)
    train = inputs.read_participants(path, split="train", phenotypes=PHENOTYPES)
    test = inputs.read_participants(path, split="test", phenotypes=PHENOTYPES)
    files = {}
    for model in ("global", "ptacl"):
        for seed, embedding in embeddings[model].items():
            seen, unseen = (
                inputs.read_embedding(embedding, array="ecg", visits=s.visits).astype(np.float64)
                for s in (train, test)
            )
            probe = saved_probe.fit(
                seen, unseen, train=train, test=test, names=PHENOTYPES, settings=chosen, seed=0
            )
            file = files.setdefault(model, {})[seed] = tmp_path / f"{model}-{seed}.json"
            file.write_text(json.dumps({"ecg": probe}))
    pd.testing.assert_frame_equal(regression.evaluate(chosen, probes=files, **how), fitted)
    stored = json.loads(files["global"][0].read_text())
    stored["ecg"]["phenotypes"][0]["intercept"] += 100
    files["global"][0].write_text(json.dumps(stored))
    changed = wide(regression.evaluate(chosen, probes=files, **how))
    assert changed.loc[0, "LVEDV_R2"] < 0 < wide(fitted).loc[0, "LVEDV_R2"]


def test_missing_visits_are_counted_not_named(cohort, tmp_path):
    path, _, participants = cohort
    np.savez(
        tmp_path / "short.npz",
        visits=participants["visit"].to_numpy(dtype=str)[:-5],
        ecg=np.zeros((296, 2), np.float32),
    )
    with pytest.raises(ValueError, match="lacks 4 of 280 visits") as error:
        evaluate(
            settings([("ecg", "Global", "global")]),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings={"global": {0: tmp_path / "short.npz"}},
            seed=0,
        )
    assert "9000" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "reference", "message"),
    [
        ([("ecg", "MAE", "ecg_mae")], "Global", "Global is not the label of an ECG row"),
        ([("ecg", "Global", "unknown")], "Global", "no embeddings of unknown"),
        ([("ecg", "Global", "ptac")], "Global", "no embeddings of ptac"),
    ],
)
def test_wrong_settings_say_what_is_wrong(cohort, rows, reference, message):
    path, embeddings, _ = cohort
    with pytest.raises(ValueError, match=message):
        evaluate(
            settings(rows, reference),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings=embeddings,
            seed=0,
        )


def test_a_phenotype_without_training_values_is_refused(cohort):
    path, embeddings, participants = cohort
    participants.loc[participants["split"] == "train", "LVM"] = np.nan
    participants.to_csv(path, index=False)
    with pytest.raises(ValueError, match="no value in the training split"):
        evaluate(
            settings([("ecg", "Global", "global")]),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings=embeddings,
            seed=0,
        )


def test_a_supervised_model_is_judged_by_what_it_predicts(cohort, tmp_path):
    path, embeddings, participants = cohort
    visits, order = participants["visit"].to_numpy(dtype=str), [2, 0, 1]
    told = participants[PHENOTYPES].to_numpy() + 1.0
    arrays = {
        "ecg": np.zeros((len(visits), 2)),
        "ecg_predicted": told[:, order],
        "ecg_phenotypes": np.array(PHENOTYPES)[order],
    }
    np.savez(tmp_path / "fn.npz", visits=visits, **arrays)
    values = settings([("ecg", "Global", "global")]).model_dump()
    values["rows"].append(
        {"label": "Fine-tuned", "model": "fn", "predictions": "ecg", "evaluation": "FN + AP"}
    )
    files = embeddings | {"fn": {0: tmp_path / "fn.npz"}}
    how = {"participants": path, "phenotypes": PHENOTYPES, "seed": 0}
    table = evaluate(Regression.model_validate(values), embeddings=files, **how)
    test = (participants["split"] == "test") & participants["evaluate"]
    expected = [1 - 1 / participants.loc[test, name].var(ddof=0) for name in PHENOTYPES]
    assert table.loc[1, [f"{name}_R2" for name in PHENOTYPES]].tolist() == pytest.approx(
        expected, abs=1e-5
    )
    assert table.loc[1, "evaluation"] == "FN + AP"
    values["rows"][1]["model"] = "global"
    with pytest.raises(ValueError, match="predicts no LVEDV"):
        evaluate(Regression.model_validate(values), embeddings=embeddings, **how)


def test_covariates_are_probed_alone_and_beside_an_embedding(cohort):
    """Missing values become the mean of the training participants; a column without any is left
    out.
    """
    path, embeddings, participants = cohort
    rng = np.random.default_rng(5)
    participants["age"] = participants["LVEDV"] + rng.normal(scale=10, size=len(participants))
    participants["ecg_qrs_ms"], participants["ecg_empty"] = participants["LVEF"] + 1, np.nan
    participants.loc[::9, "age"] = np.nan
    participants.to_csv(path, index=False)
    rows = [{"label": "Age", "features": ["age"]}, {"label": "ECG", "features": ["measurements"]}]
    rows += [{"label": "Global", "model": "global", "features": ["ecg"]}]
    rows += [{"label": "All", "model": "global", "features": ["ecg", "age", "measurements"]}]
    values = Regression.model_validate(
        {"rows": rows, "reference": "Global", "bootstrap": 100, "confidence": 0.95}
    )
    table = evaluate(
        values, participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    assert table["input"].tolist() == ["Clinical", "Clinical", "ECG", "ECG + clinical"]
    age, ecg, alone, joint = (table.iloc[i] for i in range(4))
    assert (
        0.5 < age["LVEDV_R2"] < 1
        and ecg["LVEF_R2"] == pytest.approx(1)
        and joint["LVEF_R2"] == pytest.approx(1)
    )
    assert joint["mean_R2"] > alone["mean_R2"]
    used = participants[participants["evaluate"]].set_index("visit")
    seen = used[used["split"] == "train"]
    x = used["age"].fillna(seen["age"].mean())
    test = used["split"] == "test"
    fitted = LinearRegression().fit(x[seen.index].to_numpy()[:, None], seen["LVEDV"])
    assert age["LVEDV_R2"] == pytest.approx(
        fitted.score(x[test].to_numpy()[:, None], used.loc[test, "LVEDV"])
    )


def test_the_table_has_means_over_seeds_and_adjusted_p_values(cohort):
    path, embeddings, _ = cohort
    rows = [("ecg", "Global", "global"), ("ecg", "PTACL", "ptacl")]
    table = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    alone = []
    for seed in (0, 1):
        one = embeddings | {"ptacl": {0: embeddings["ptacl"][seed]}}
        alone.append(
            evaluate(
                settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=one, seed=0
            )
        )
    values = [t.loc[1, "LVM_R2"] for t in alone]
    assert table.loc[1, "LVM_R2"] == pytest.approx(np.mean(values))
    assert (
        table.loc[1, [f"{p}_R2_p_holm" for p in PHENOTYPES]]
        >= table.loc[1, [f"{p}_R2_p" for p in PHENOTYPES]].to_numpy()
    ).all()


def test_r2_by_sex_and_age_is_that_of_the_group_alone(cohort):
    path, embeddings, participants = cohort
    rng = np.random.default_rng(6)
    participants["sex"], participants["age"] = (
        rng.integers(0, 2, len(participants)),
        rng.uniform(45, 82, len(participants)),
    )
    participants.to_csv(path, index=False)
    rows = [("cmr", "MAE", "cmr_mae"), ("ecg", "Global", "global"), ("ecg", "PTACL", "ptacl")]
    how = {"participants": path, "phenotypes": PHENOTYPES, "embeddings": embeddings, "seed": 0}
    table = regression.evaluate(settings(rows), probes={}, **how)
    table = table[(table["group"] != "all") & table["seed"].isna()]
    means = table[table["phenotype"] == "mean"]
    names = ["women", "men", "below 55 years", "55 to 64 years", "65 years and above"]
    assert (
        means["method"].tolist() == ["Global"] * 5 + ["PTACL"] * 5
        and means["group"].tolist() == names * 2
    )
    test = participants[(participants["split"] == "test") & participants["evaluate"]]
    assert means["n_test"].tolist()[:2] == [(test["sex"] == 0).sum(), (test["sex"] == 1).sum()]
    assert means["value"].between(means["low"], means["high"]).all()
    few = participants.assign(
        evaluate=participants["evaluate"]
        & ~((participants["split"] == "test") & (participants["sex"] == 0))
    )
    few.to_csv(path, index=False)
    alone = evaluate(settings(rows), **how)
    men = table[(table["group"] == "men") & (table["phenotype"] == "LVEF")]
    assert men["value"].tolist() == pytest.approx(alone.loc[1:2, "LVEF_R2"].tolist())
    assert strata.read(path, visits=test["visit"].tolist()[:12]).keys() <= set(names)


def test_values_and_differences_are_written_seed_by_seed(cohort):
    path, embeddings, _ = cohort
    embeddings |= {"global": {0: embeddings["global"][0], 1: embeddings["ecg_mae"][0]}}
    rows = [("ecg", "Global", "global"), ("ecg", "PTACL", "ptacl")]
    how = {"participants": path, "phenotypes": PHENOTYPES, "embeddings": embeddings, "seed": 0}
    table = regression.evaluate(settings(rows), probes={}, **how)
    of_seeds = table[table["seed"].notna()]
    values = of_seeds[of_seeds["reference"] == ""]
    assert values["phenotype"].tolist() == [p for p in [*PHENOTYPES, "mean"] for _ in (0, 1)] * 2
    means = of_seeds[of_seeds["phenotype"] == "mean"]
    means = means.set_index(["method", "reference", "seed"])["value"]
    for seed in (0, 1):
        expected = means[("PTACL", "", seed)] - means[("Global", "", seed)]
        assert means[("PTACL", "Global", seed)] == pytest.approx(expected)
    assert ("Global", "Global", 0) not in means.index
    of_table = wide(table).set_index("method").loc["PTACL", "mean_R2_difference"]
    assert means["PTACL", "Global"].mean() == pytest.approx(of_table)
