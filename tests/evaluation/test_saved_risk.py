"""The models of diseases in the folder of a trained model."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from disease_settings import line, settings, table

from ptacl import config
from ptacl.evaluation import outcomes, saved_risk


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A cohort in which the first feature drives AF, before and after the visit."""
    rng = np.random.default_rng(0)
    num = 1500
    visits = np.array([f"{9000001 + i}_2" for i in range(num)])
    frame = pd.DataFrame({"visit": visits, "participant": [v[:7] for v in visits]})
    frame["split"] = np.select(
        [np.arange(num) < 800, np.arange(num) < 900], ["train", "validation"], "test"
    )
    frame["evaluate"] = True
    features = rng.standard_normal((num, 3))
    onset = rng.exponential(np.exp(-features[:, 0]) / 0.05) - 4
    end = rng.uniform(1, 8, num)
    events = pd.DataFrame({"visit": visits, "AF before": (onset <= 0).astype(float)})
    events["AF years"] = np.where(onset > 0, np.minimum(onset, end), np.nan)
    events["AF event"] = np.where(onset > 0, (onset <= end).astype(float), np.nan)
    frame.to_csv(tmp_path / "participants.csv", index=False)
    events.to_csv(tmp_path / "outcomes.csv", index=False)
    arrays = {"ecg": features.astype(np.float32), "ecg_whole": features.astype(np.float32) * 2}
    np.savez(tmp_path / "global-0.npz", visits=visits, **arrays)
    return {name: tmp_path / name for name in ("participants.csv", "outcomes.csv", "global-0.npz")}


def test_stored_models_are_those_of_the_table(
    files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(diseases=[{"name": "AF"}], baseline=None)
    rows = table([{"label": "Global", "model": "global", "features": ["ecg"]}])
    intervals = config.Intervals(bootstrap=100, confidence=0.95)
    out = tmp_path / "risk.json"
    arguments = ["--settings", config.dump(intervals), "--phenotypes", '{"names": []}']
    arguments += ["--outcome-settings", config.dump(chosen), "--outcomes", files["outcomes.csv"]]
    arguments += ["--participants", files["participants.csv"], "--seed", 0]
    arguments += ["--embeddings", json.dumps({"global": {"0": str(files["global-0.npz"])}})]
    arguments += ["--models", json.dumps({"global": {"0": str(out)}})]
    monkeypatch.setattr(saved_risk.files, "digest", lambda path: "own")
    monkeypatch.setattr(sys, "argv", ["saved_risk", *map(str, arguments)])
    saved_risk.main()
    assert saved_risk.read(tmp_path, digest="other") == {}
    stored = saved_risk.read(tmp_path, digest="own")
    assert set(stored) == {"ecg", "ecg_whole"}
    assert [(entry["disease"], entry["when"]) for entry in stored["ecg"]] == [
        ("AF", "before"),
        ("AF", "after"),
    ]
    long, _ = outcomes.evaluate(
        chosen,
        rows,
        participants=files["participants.csv"],
        outcomes=files["outcomes.csv"],
        embeddings={"global": {0: files["global-0.npz"]}},
        probe_files={},
        seed=0,
        smallest_count=0,
    )
    for entry, statistic in zip(stored["ecg"], ("AUROC", "C"), strict=True):
        expected = line(long, method="Global", when=entry["when"], statistic=statistic)
        assert entry["test"][statistic] == pytest.approx(
            expected[["value", "low", "high"]].tolist(), abs=1e-12
        )
    # twice the features, half the coefficients, and the same risks
    with np.load(files["global-0.npz"]) as arrays:
        features = arrays["ecg"].astype(float)
    for one, other in zip(stored["ecg"], stored["ecg_whole"], strict=True):
        risks = saved_risk.probabilities(one, features)
        np.testing.assert_allclose(saved_risk.probabilities(other, 2 * features), risks, rtol=1e-5)
        assert np.corrcoef(risks, features[:, 0])[0, 1] > 0.8 and risks.max() < 1
    assert "90000" not in out.read_text()
