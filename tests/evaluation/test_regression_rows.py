"""Rows of the table that are no plain embedding, and numbers by seed and by group."""

import numpy as np
import pytest
from probed_cohort import PHENOTYPES, evaluate, settings
from sklearn.linear_model import LinearRegression
from tables import wide

from ptacl.config import Regression
from ptacl.evaluation import inputs, probes, regression, strata


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


def test_ridge_rows_take_their_strength_from_validation_participants(cohort):
    """Half of the training participants validate; the fit of the other half is scikit-learn's."""
    path, embeddings, participants = cohort
    training = participants.index[participants["split"] == "train"]
    participants.loc[training[::2], "split"] = "validation"
    participants.to_csv(path, index=False)
    values = settings([("ecg", "Global", "global"), ("ecg", "Ridge", "global")]).model_dump()
    values["rows"][1]["ridge"] = True
    how = {"participants": path, "phenotypes": PHENOTYPES, "embeddings": embeddings, "seed": 0}
    table = evaluate(Regression.model_validate(values), **how)
    used = participants[participants["evaluate"]].set_index("visit")
    files = embeddings["global"]
    scores = []
    for file in files.values():
        features = {}
        for split in ("train", "validation", "test"):
            visits = used.index[used["split"] == split]
            read = inputs.read_embedding(file, array="ecg", visits=list(visits))
            features[split] = read.astype(np.float64), used.loc[visits, PHENOTYPES].to_numpy()
        probe, _ = probes.fit_ridge(*features["train"], validation=features["validation"])
        unseen, targets = features["test"]
        counts = np.ones((1, len(targets)))
        scores.append(probes.r2(targets, probe.predict(unseen), counts=counts)[0])
    assert table.loc[1, "mean_R2"] == pytest.approx(np.mean(scores), abs=1e-5)
    assert table.loc[1, "mean_R2"] != table.loc[0, "mean_R2"]


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
