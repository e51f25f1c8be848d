"""Diseases by row: what is known is found, and how rows are compared, counted and hidden."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from disease_settings import line, settings, table
from sklearn.metrics import roc_auc_score

from ptacl import config
from ptacl.disease import risk
from ptacl.evaluation import outcomes, probes
from ptacl.evaluation.summary import RANKINGS


class Cohort:
    """Files of a cohort in which two embeddings and age drive AF; gout is rare."""

    def __init__(self, folder: Path, num: int = 2400) -> None:
        rng = np.random.default_rng(0)
        self.visits = np.array([f"{9000001 + i}_2" for i in range(num)])
        frame = pd.DataFrame({"visit": self.visits, "participant": [v[:7] for v in self.visits]})
        frame["split"] = np.select(
            [np.arange(num) < num // 2, np.arange(num) < 0.6 * num], ["train", "validation"], "test"
        )
        frame["evaluate"], frame["age"] = True, rng.uniform(45, 80, num)
        frame["sex"] = rng.integers(0, 2, num)
        self.cause = rng.standard_normal((num, 4))
        score = 0.8 * self.cause[:, 0] + 0.5 * (frame["age"] - 62) / 10
        onset = rng.exponential(1 / (0.04 * np.exp(score))) - 4
        end = rng.uniform(1, 8, num)
        self.before = (onset <= 0).astype(float)
        self.outcomes = pd.DataFrame({"visit": self.visits, "AF before": self.before})
        self.outcomes["AF years"] = np.where(onset > 0, np.minimum(onset, end), np.nan)
        self.outcomes["AF event"] = np.where(onset > 0, (onset <= end).astype(float), np.nan)
        self.outcomes["Gout before"] = (np.arange(num) % 200 == 0).astype(float)
        self.participants, self.path = folder / "participants.csv", folder / "outcomes.csv"
        frame.to_csv(self.participants, index=False)
        self.outcomes.to_csv(self.path, index=False)
        self.frame = frame
        self.embeddings: dict[str, dict[int, Path]] = {}
        for name, seed, noise in (("global", 0, 0.5), ("global", 1, 0.6), ("noise", 0, 50.0)):
            path = self.embeddings.setdefault(name, {})[seed] = folder / f"{name}-{seed}.npz"
            values = self.cause + noise * rng.standard_normal(self.cause.shape)
            np.savez(path, visits=self.visits, ecg=values.astype(np.float32))

    def evaluate(self, chosen=None, rows=None, smallest_count: int = 0):
        return outcomes.evaluate(
            chosen or settings(),
            rows or table(),
            participants=self.participants,
            outcomes=self.path,
            embeddings=self.embeddings,
            probe_files={},
            seed=0,
            smallest_count=smallest_count,
        )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return Cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def found(cohort: Cohort) -> tuple[pd.DataFrame, dict]:
    return cohort.evaluate()


def test_values_are_those_of_models_fitted_by_hand(cohort: Cohort, found) -> None:
    frame = cohort.frame
    areas = []
    for path in cohort.embeddings["global"].values():
        with np.load(path) as stored:
            features = stored["ecg"].astype(float)
        parts = {name: (frame["split"] == name).to_numpy() for name in frame["split"].unique()}
        positive = {name: risk.Before(cohort.before[rows] == 1) for name, rows in parts.items()}
        model, _ = risk.choose(
            features[parts["train"]],
            positive["train"],
            validation=(features[parts["validation"]], positive["validation"]),
        )
        scores = model.score(features[parts["test"]])
        areas.append(roc_auc_score(positive["test"].positive, scores))
    value = line(found[0], method="Global", when="before", statistic="AUROC")["value"]
    assert value == pytest.approx(np.mean(areas), abs=1e-12)
    assert 0.6 < value < 0.8
    of_seed = line(found[0], method="Global", when="before", statistic="AUROC", seed=1)["value"]
    assert of_seed == pytest.approx(areas[1], abs=1e-12)


def test_an_embedding_without_information_is_at_chance(found) -> None:
    for when, statistic in RANKINGS.items():
        value = line(found[0], method="Noise", when=when, statistic=statistic)
        assert value["low"] - 0.03 < 0.5 < value["high"] + 0.03
        worse = line(found[0], method="Noise", when=when, statistic=statistic, reference="Global")
        assert worse["value"] < -0.03


def test_rows_that_add_to_the_baseline_are_compared_with_it(found) -> None:
    long, _ = found
    references = long[long["reference"] != ""].groupby("method")["reference"].unique()
    assert references["Global + age"].tolist() == ["Age"]
    assert references["Age"].tolist() == references["Noise"].tolist() == ["Global"]
    assert "Global" not in references
    gain = line(long, method="Global + age", when="after", statistic="C", reference="Age")
    assert gain["low"] > 0


def test_without_a_baseline_the_usual_reference_is_used(cohort: Cohort) -> None:
    long, _ = cohort.evaluate(settings(baseline=None))
    assert set(long["reference"]) == {"", "Global"}


def test_a_row_of_another_modality_or_table_is_no_reference() -> None:
    rows = table(
        [
            {"label": "MAE", "model": "cmr_mae", "features": ["cmr"]},
            {"label": "MAE", "model": "ecg_mae", "features": ["ecg"]},
            {"label": "Score", "table": "score.csv", "features": ["table"]},
            {"label": "Other + sex", "table": "other.csv", "features": ["table", "sex"]},
            {"label": "Score + sex", "table": "score.csv", "features": ["table", "sex"]},
        ],
        reference="MAE",
    )
    chosen = settings(baseline="Score")
    found = [outcomes.compared_row(row, rows.rows, chosen, rows) for row in rows.rows]
    assert [rows.rows.index(row) for row in found if row] == [1, 1, 1, 1, 2]


def test_only_main_statistics_of_evaluated_diseases_are_adjusted(cohort: Cohort, found) -> None:
    long, _ = found
    adjusted = long[long["p_holm"].notna()]
    assert set(adjusted["statistic"]) == {"AUROC", "C"}
    for _, tests in adjusted.groupby("method"):
        smallest = tests.loc[tests["p"].idxmin()]
        assert smallest["p_holm"] == pytest.approx(min(1, 2 * smallest["p"]))


def test_a_rare_disease_is_only_counted(found) -> None:
    long, curves = found
    assert set(long["disease"]) == {"AF"}
    (gout,) = [entry for entry in curves["diseases"] if entry["disease"] == "Gout"]
    assert not gout["evaluated"] and gout["when"] == "before"
    assert gout["counts"]["test"] == {"people": 960, "cases": 4}


def test_small_counts_are_hidden(cohort: Cohort) -> None:
    _, curves = cohort.evaluate(smallest_count=6)
    (gout,) = [entry for entry in curves["diseases"] if entry["disease"] == "Gout"]
    assert gout["counts"]["test"] == {"people": 960, "cases": "<6"}
    text = json.dumps(curves)
    assert "90000" not in text


def test_a_group_whose_complement_is_small_is_left_out(cohort: Cohort) -> None:
    """The cases of the others would follow from the difference."""
    for smallest, left_out in ((0, False), (10_000, True)):
        long, _ = cohort.evaluate(smallest_count=smallest)
        groups = set(long[long["method"] == "Global"]["group"])
        assert ("women" not in groups) == left_out


def test_a_disease_that_everybody_has_or_that_comes_late_is_only_counted(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = cohort.outcomes.assign(**{"Gout before": 1.0})
    changed["AF years"] = changed["AF years"] + 6  # after the horizon
    changed.to_csv(tmp_path / "outcomes.csv", index=False)
    monkeypatch.setattr(cohort, "path", tmp_path / "outcomes.csv")
    _, curves = cohort.evaluate()
    told = {(d["disease"], d["when"]): d for d in curves["diseases"]}
    assert not told["Gout", "before"]["evaluated"] and not told["AF", "after"]["evaluated"]
    assert told["AF", "after"]["counts"]["test"]["cases"] == 0
    assert told["AF", "before"]["evaluated"]


def test_diseases_that_nobody_has_leave_an_empty_table(cohort: Cohort) -> None:
    long, curves = cohort.evaluate(settings(least_events=2000))
    assert not len(long) and {"method", "disease", "value"} <= set(long)
    assert not any(entry["evaluated"] for entry in curves["diseases"])


def test_people_with_the_disease_before_are_not_followed(cohort: Cohort, found) -> None:
    long, _ = found
    test = (cohort.frame["split"] == "test").to_numpy()
    after = line(long, method="Age", when="after", statistic="C")
    assert after["n_test"] == (test & (cohort.before == 0)).sum()
    before = line(long, method="Age", when="before", statistic="AUROC")
    assert before["n_test"] == test.sum()
    assert before["cases_test"] == (test & (cohort.before == 1)).sum()


def test_groups_have_their_own_level_and_a_common_threshold(cohort: Cohort, found) -> None:
    long, _ = found
    how = {"method": "Global", "when": "before"}
    groups = set(long[(long["method"] == "Global") & (long["when"] == "before")]["group"])
    assert groups >= {"all", "women", "men", "65 years and above"}
    flagged, people = 0.0, 0
    for group in ("women", "men"):
        cases = line(long, **how, statistic="sensitivity", group=group)
        free = line(long, **how, statistic="false-positive rate", group=group)
        num, with_it = cases["n_test"], cases["cases_test"]
        flagged += cases["value"] * with_it + free["value"] * (num - with_it)
        people += num
    assert flagged / people == pytest.approx(0.1, abs=0.002)
    young = line(long, **how, statistic="observed/expected", group="below 55 years")["value"]
    old = line(long, **how, statistic="observed/expected", group="65 years and above")["value"]
    assert young < 1 < old  # the embedding does not know age


def test_risks_are_calibrated_and_grow_with_their_third(found) -> None:
    long, curves = found
    for when in ("before", "after"):
        over = line(long, method="Global + age", when=when, statistic="observed/expected")
        assert over["low"] < 1.1 and over["high"] > 0.9
    (row,) = [row for row in curves["rows"] if row["method"] == "Global + age"]
    after = next(entry for entry in row["diseases"] if entry["when"] == "after")
    lowest, middle, highest = (curve[-1] for curve in after["incidence"])
    assert lowest < middle < highest and after["years"][-1] == 5
    assert all(np.diff(curve).min() >= 0 for curve in after["incidence"])
    assert len(after["tenths"]) == 10
    assert [p["predicted"] for p in after["tenths"]] == sorted(
        p["predicted"] for p in after["tenths"]
    )


def test_curves_leave_out_groups_with_few_cases(cohort: Cohort) -> None:
    _, curves = cohort.evaluate(smallest_count=25)
    row = next(row for row in curves["rows"] if row["method"] == "Global + age")
    after = next(entry for entry in row["diseases"] if entry["when"] == "after")
    assert after["incidence"][0] is None and after["incidence"][2]
    assert len(after["tenths"]) < 10


def test_a_missing_column_is_named(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="no column HF before"):
        cohort.evaluate(settings(diseases=[{"name": "HF"}]))


def test_predicted_phenotypes_are_features(cohort: Cohort, tmp_path: Path) -> None:
    """The probe of the whole ECG has one output here, the cause of AF itself."""
    name = tmp_path / "global-0.npz"
    np.savez(name, visits=cohort.visits, ecg_whole=cohort.cause.astype(np.float32))
    stored = {
        "phenotypes": [{"name": "LVM", "intercept": 0.5}],
        "coefficients": [[2.0], [0.0], [0.0], [0.0]],
    }
    probe = tmp_path / "probe.json"
    probe.write_text(json.dumps({"ecg_whole": stored}))
    row = config.RegressionRow(label="Global", model="global", features=["predicted"])
    assert row.group == "Whole ECG"
    visits = cohort.visits.tolist()
    (features,) = probes.features(
        row,
        name,
        probe=probe,
        participants=cohort.participants,
        splits=[probes.inputs.SplitTargets(visits, np.zeros((len(visits), 0)))],
    )
    np.testing.assert_allclose(features, 2 * cohort.cause[:, :1] + 0.5, atol=1e-5)


def test_stage_runs_from_the_command_line(cohort: Cohort, tmp_path: Path) -> None:
    files = {m: {s: str(p) for s, p in of.items()} for m, of in cohort.embeddings.items()}
    command = [sys.executable, "-m", "ptacl.evaluation.outcomes"]
    command += ["--settings", config.dump(table(bootstrap=20)), "--phenotypes", '{"names": []}']
    command += ["--outcome-settings", config.dump(settings()), "--outcomes", str(cohort.path)]
    command += ["--participants", str(cohort.participants), "--embeddings", json.dumps(files)]
    command += ["--probes", "{}", "--seed", "0", "--smallest-count", "5"]
    command += ["--out", str(tmp_path / "o.csv"), "--json", str(tmp_path / "o.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(pd.read_csv(tmp_path / "o.csv")["disease"]) == {"AF"}
    assert "90000" not in done.stdout + done.stderr
