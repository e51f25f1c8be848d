"""Diseases of 20,000 simulated people, of whom it is known how well they can be predicted."""

import numpy as np
import pandas as pd
import pytest
from disease_settings import line, settings, table
from threadpoolctl import threadpool_limits

from ptacl import config
from ptacl.cohort.simulation import causes, diseases, electrical, outcome_ceiling
from ptacl.cohort.simulation.nuisance import ECG
from ptacl.config import SIMULATED_DISEASES
from ptacl.evaluation import outcomes
from ptacl.evaluation.summary import RANKINGS


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict]:
    """The evaluation of 20,000 simulated people whose embeddings are the causes themselves."""
    folder = tmp_path_factory.mktemp("simulated")
    num, rng = 20_000, np.random.default_rng(11)
    people = causes.draw(rng, size=(num,))
    activity = electrical.draw(people, rng, nuisance=ECG, share=electrical.TIMING["default"])
    onsets = diseases.onset_ages(people, rng, incidence=8, alive_at=people.age)
    end = rng.uniform(2, 8.5, num)
    died = onsets[diseases.DEATH] - people.age
    visits = np.array([f"{9000001 + i}_2" for i in range(num)])
    frame = pd.DataFrame({"visit": visits, "participant": [v[:7] for v in visits]})
    frame["split"] = np.select(
        [np.arange(num) < 10_000, np.arange(num) < 12_000], ["train", "validation"], "test"
    )
    frame["evaluate"], frame["sex"], frame["age"] = True, people.male, people.age
    frame["height_cm"], frame["weight_kg"] = people.height_cm, people.weight_kg
    frame.to_csv(folder / "participants.csv", index=False)
    events = pd.DataFrame({"visit": visits})
    features = {"ecg": activity.as_matrix()}
    for name in ("AF", "HF"):
        before, after = outcome_ceiling.outcomes_of(onsets[name] - people.age, died=died, end=end)
        events[f"{name} before"] = before.positive.astype(float)
        events[f"{name} years"] = np.where(before.positive, np.nan, after.years)
        events[f"{name} event"] = np.where(before.positive, np.nan, after.event)
        features[name] = diseases.log_hazard_now(name, people)[:, None]
    events.to_csv(folder / "outcomes.csv", index=False)
    embeddings = {}
    for name, values in features.items():
        embeddings[name] = {0: folder / f"{name}.npz"}
        np.savez(embeddings[name][0], visits=visits, ecg=values.astype(np.float32))
    body = ["sex", "age", "height_cm", "weight_kg"]
    rows = [
        {"label": "ECG", "model": "ecg", "features": ["ecg"]},
        {"label": "AF", "model": "AF", "features": ["ecg"]},
        {"label": "HF", "model": "HF", "features": ["ecg"]},
        {"label": "ECG + demographics", "model": "ecg", "features": ["ecg", *body]},
        {"label": "Demographics", "features": body},
    ]
    chosen = settings(
        diseases=[disease.model_dump() for disease in SIMULATED_DISEASES[:2]],
        baseline="Demographics",
    )
    with threadpool_limits(1):  # small products, next to other tests
        long, _ = outcomes.evaluate(
            chosen,
            table(rows, reference="ECG"),
            participants=folder / "participants.csv",
            outcomes=folder / "outcomes.csv",
            embeddings=embeddings,
            probe_files={},
            seed=0,
            smallest_count=0,
        )
        known = outcome_ceiling.ceiling(config.load("config.yaml").simulation, chosen, seed=4)
    return long, known


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["AF", "HF"])
def test_what_is_known_of_20000_simulated_people_is_recovered(simulated, name, when) -> None:
    """The ceilings come from other people; both have errors of about 0.01."""
    long, known = simulated
    best = known[name][when]
    assert 0.55 < best["ECG"] < best["ECG + demographics"] < best["truth"] < 0.85
    for method in (name, "ECG", "ECG + demographics"):
        found = line(long, method=method, disease=name, when=when, statistic=RANKINGS[when])
        expected = known[name][when]["truth" if method == name else method]
        margin = 0.012
        assert found["low"] - margin < expected < found["high"] + margin, (method, expected)
        assert found["value"] == pytest.approx(expected, abs=0.03)
    gain = line(
        long,
        method="ECG + demographics",
        disease=name,
        when=when,
        statistic=RANKINGS[when],
        reference="Demographics",
    )
    assert gain["low"] > 0
