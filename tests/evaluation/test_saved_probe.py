import json
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from ptacl import config
from ptacl.evaluation import saved_probe
from ptacl.evaluation.inputs import SplitTargets

NAMES = ["LVEDV", "LVEF"]


@pytest.fixture(scope="module")
def settings() -> config.Intervals:
    return config.Intervals(bootstrap=100, confidence=0.95)


def people(n: int, *, seed: int, missing: float = 0.0):
    """Features, and phenotypes that depend on them with noise of 10 mL and 5 %."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)) @ np.array(
        [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 0.1]]
    )
    targets = np.stack(
        [
            150 + 20 * features[:, 0] + 10 * rng.normal(size=n),
            60 + 5 * features[:, 1] + 5 * rng.normal(size=n),
        ],
        1,
    )
    targets[rng.random(targets.shape) < missing] = np.nan
    return features, SplitTargets([f"{9000001 + i}_2" for i in range(n)], targets)


def test_the_probe_predicts_within_its_interval(settings) -> None:
    (seen, train), (unseen, test), (new, truth) = (
        people(n, seed=s, missing=0.1) for n, s in ((800, 0), (600, 1), (2000, 2))
    )
    probe = saved_probe.fit(
        seen, unseen, train=train, test=test, names=NAMES, settings=settings, seed=0
    )
    predicted = new @ np.array(probe["coefficients"]) + [
        p["intercept"] for p in probe["phenotypes"]
    ]
    for k, phenotype in enumerate(probe["phenotypes"]):
        known = np.isfinite(truth.targets[:, k])
        error = truth.targets[known, k] - predicted[known, k]
        low, high = phenotype["residual"]
        assert np.mean((error >= low) & (error <= high)) == pytest.approx(0.95, abs=0.025)
        assert phenotype["r2"][1] < phenotype["r2"][0] < phenotype["r2"][2]
        assert phenotype["r2"][0] == pytest.approx(
            1 - error.var() / np.nanvar(truth.targets[:, k]), abs=0.06
        )
        assert len(phenotype["distribution"]) == 99 and np.all(
            np.diff(phenotype["distribution"]) >= 0
        )
    away = saved_probe.distance(
        new, mean=np.array(probe["mean"]), precision=np.array(probe["precision"])
    )
    assert np.mean(away > probe["limit"]) < 0.03
    far = saved_probe.distance(
        new + np.array([30, 0, 0, 0]),
        mean=np.array(probe["mean"]),
        precision=np.array(probe["precision"]),
    )
    assert (far > probe["limit"]).all()


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_the_limit_leaves_one_in_two_hundred_test_participants_outside(settings, spread) -> None:
    """Training participants would set it too low: the mean is theirs, so they are closer to it."""
    seen, train = people(400, seed=0)
    unseen, test = people(600, seed=1)
    unseen = spread * unseen
    how = {"train": train, "test": test, "names": NAMES, "settings": settings, "seed": 0}
    probe = saved_probe.fit(seen, unseen, **how)
    mean, precision = np.array(probe["mean"]), np.array(probe["precision"])
    outside = saved_probe.distance(unseen, mean=mean, precision=precision) > probe["limit"]
    assert np.count_nonzero(outside) == 3


def test_a_phenotype_without_values_is_left_out_and_collinear_features_do_no_harm(settings) -> None:
    (seen, train), (unseen, test) = people(200, seed=0), people(100, seed=1)
    train.targets[:, 0] = np.nan
    seen, unseen = np.c_[seen, seen[:, :1]], np.c_[unseen, unseen[:, :1]]
    probe = saved_probe.fit(
        seen, unseen, train=train, test=test, names=NAMES, settings=settings, seed=0
    )
    assert [p["name"] for p in probe["phenotypes"]] == ["LVEF"] and np.isfinite(
        np.array(probe["precision"])
    ).all()


def test_the_stage_writes_a_probe_for_each_modality_and_seed(
    tmp_path, monkeypatch, settings
) -> None:
    (seen, train), (unseen, test) = people(80, seed=0), people(40, seed=1)
    visits = [f"{9000001 + i}_2" for i in range(120)]
    table = pd.DataFrame(np.concatenate([train.targets, test.targets]), columns=NAMES)
    table = table.assign(
        visit=visits,
        participant=[v[:7] for v in visits],
        split=["train"] * 80 + ["test"] * 40,
        evaluate=True,
    )
    table.to_csv(tmp_path / "participants.csv", index=False)
    features = np.concatenate([seen, unseen]).astype(np.float32)
    arrays = {"ecg": features, "ecg_whole": features[:, ::-1], "cmr": features}
    np.savez(tmp_path / "e.npz", **arrays, visits=np.array(visits), crops=np.array(5))
    out = tmp_path / "probe.json"
    arguments = {
        "settings": config.dump(settings),
        "phenotypes": json.dumps(
            {"names": NAMES, "units": ["mL", "%"], "ranges": [[30, 500], [5, 90]]}
        ),
        "participants": str(tmp_path / "participants.csv"),
        "embeddings": json.dumps({"m": {"0": str(tmp_path / "e.npz")}}),
        "models": json.dumps({"m": {"0": str(out)}}),
        "seed": "0",
    }
    monkeypatch.setattr(
        sys, "argv", ["readout", *(text for k, v in arguments.items() for text in (f"--{k}", v))]
    )
    saved_probe.main()
    probes = json.loads(out.read_text())
    assert sorted(probes) == ["cmr", "ecg", "ecg_whole"]
    assert [p["unit"] for p in probes["ecg"]["phenotypes"]] == ["mL", "%"]
    assert probes["ecg_whole"]["crops"] == 5
    of_whole, of_first = (np.array(probes[n]["coefficients"]) for n in ("ecg_whole", "ecg"))
    np.testing.assert_allclose(of_whole, of_first[::-1], rtol=1e-6)
    assert "9000" not in out.read_text()


def test_distances_are_those_of_mahalanobis_by_hand() -> None:
    """From a mean of (1, 2), with precisions 4 and 1 and half of it shared: d' P d."""
    precision = np.array([[4.0, 0.5], [0.5, 1.0]])
    features = np.array([[1.0, 2], [2, 2], [1, 4], [2, 4]])
    found = saved_probe.distance(features, mean=np.array([1.0, 2]), precision=precision)
    assert found.tolist() == [0, 4, 4, 4 + 4 + 2]


def test_the_probe_holds_the_moments_of_the_training_split(settings) -> None:
    (seen, train), (unseen, test) = people(300, seed=0), people(100, seed=1)
    probe = saved_probe.fit(
        seen,
        unseen,
        train=train,
        test=test,
        names=NAMES,
        settings=settings,
        seed=0,
    )
    np.testing.assert_allclose(probe["mean"], seen.mean(axis=0))
    np.testing.assert_allclose(np.array(probe["precision"]) @ np.cov(seen.T), np.eye(4), atol=1e-2)
    assert [probe["n_train"], probe["n_test"]] == [300, 100]
    assert probe["confidence"] == settings.confidence == 0.95
    assert np.shape(probe["coefficients"]) == (4, 2)
    intercepts = [phenotype["intercept"] for phenotype in probe["phenotypes"]]
    predicted = unseen @ np.array(probe["coefficients"]) + intercepts
    for k, phenotype in enumerate(probe["phenotypes"]):
        assert phenotype["name"] == NAMES[k]
        residuals = test.targets[:, k] - predicted[:, k]
        np.testing.assert_allclose(phenotype["residual"], np.quantile(residuals, [0.025, 0.975]))
        np.testing.assert_allclose(phenotype["distribution"][49], np.median(train.targets[:, k]))
        np.testing.assert_allclose(
            phenotype["distribution"][0],
            np.quantile(train.targets[:, k], 0.01),
        )
        assert phenotype["r2"][0] == pytest.approx(
            1 - (residuals**2).mean() / test.targets[:, k].var(),
        )


def test_missing_values_of_training_and_test_participants_do_not_count(settings) -> None:
    (seen, train), (unseen, test) = people(300, seed=0), people(100, seed=1)
    train.targets[250:, 0] = np.nan
    test.targets[50:, 0] = np.nan
    probe = saved_probe.fit(
        seen,
        unseen,
        train=train,
        test=test,
        names=NAMES,
        settings=settings,
        seed=0,
    )
    alone = LinearRegression().fit(seen[:250], train.targets[:250, 0])
    volume = probe["phenotypes"][0]
    assert volume["intercept"] == pytest.approx(alone.intercept_)
    np.testing.assert_allclose([row[0] for row in probe["coefficients"]], alone.coef_)
    assert volume["r2"][0] == pytest.approx(alone.score(unseen[:50], test.targets[:50, 0]))
    np.testing.assert_allclose(volume["distribution"][49], np.median(train.targets[:250, 0]))
