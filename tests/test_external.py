"""A frozen model on another cohort: what it states, and what it leaves as it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_by_hand import PROBE, WIDTH, signals, write_model
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score

from ptacl import cli, external
from ptacl.cohort import csv_tables
from ptacl.evaluation import saved_risk
from ptacl.inference import Model
from ptacl.models import weights

NUM = 20
RISKS = [
    {
        "disease": "AF",
        "when": "before",
        "years": None,
        "coefficients": [1.0, 0.0, 0.0, 0.0],
        "intercept": -0.5,
        "test": {"AUROC": [0.7, 0.6, 0.8]},
    },
    {
        "disease": "AF",
        "when": "after",
        "years": 5.0,
        "coefficients": [0.0, 1.0, 0.0, 0.0],
        "intercept": -3.0,
        "test": {"C": [0.65, 0.6, 0.7]},
    },
]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_model(tmp_path_factory.mktemp("model") / "ptacl-0")
    stored = {"weights": weights.digest(folder), "diseases": {"ecg_whole": RISKS}}
    (folder / saved_risk.NAME).write_text(json.dumps(stored))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A table of 20 people, of whom one has two visits and one file is no ECG."""
    folder = tmp_path_factory.mktemp("hospital")
    rng = np.random.default_rng(0)
    rows = []
    for i, signal in enumerate(signals(NUM)):
        name = folder / f"ecg{i}.npy"
        np.save(name, signal.T if signal.shape[0] != 12 else signal)
        sidecar = {"rate_hz": 500, "unit": "mV"}
        sidecar["leads"] = ["I", "II", "III", "aVR", "aVL", "aVF", *(f"V{k}" for k in range(1, 7))]
        name.with_suffix(".json").write_text(json.dumps(sidecar))
        rows.append({"participant": f"P{i}", "visit": 1, "ecg": name.name})
    rows.append({"participant": "P0", "visit": 2, "ecg": "ecg5.npy"})
    (folder / "bad.npy").write_bytes(b"no ECG")
    (folder / "bad.json").write_text("{}")
    rows.append({"participant": "P99", "visit": 1, "ecg": "bad.npy"})
    table = pd.DataFrame(rows)
    model = Model.load(model_folder)
    predicted = model.predict([folder / name for name in table["ecg"]])
    exact = predicted[predicted["phenotype"] == "LVEDV"]["value"].to_numpy()
    table["LVEDV"] = np.nan_to_num(20 + 0.5 * exact + rng.normal(0, 3, len(table)), nan=100)
    table.loc[3, "LVEDV"] = np.nan
    table.loc[4, "LVEDV"] = 1800.0  # outside the range of the probe
    table["AF before"] = (np.arange(len(table)) % 2).astype(float)
    table["AF years"] = np.where(table["AF before"] == 0, rng.uniform(1, 4.5, len(table)), np.nan)
    table["AF event"] = np.where(table["AF before"] == 0, np.arange(len(table)) % 4 // 2, np.nan)
    table.to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def found(model_folder, cohort, tmp_path_factory) -> tuple[pd.DataFrame, Path]:
    out = tmp_path_factory.mktemp("out")
    few = external.Settings(bootstrap=100, least_events=5, smallest_count=0)
    return external.evaluate(Model.load(model_folder), cohort, out=out, settings=few), out


def value(table: pd.DataFrame, target: str, statistic: str) -> pd.Series:
    (row,) = table[(table["target"] == target) & (table["statistic"] == statistic)].iloc
    return row


def test_statistics_are_those_of_the_saved_probe(found, model_folder, cohort) -> None:
    table, _ = found
    rows = pd.read_csv(cohort).iloc[:NUM]
    model = Model.load(model_folder)
    files = [cohort.parent / name for name in rows["ecg"]]
    predicted = model.predict(files)
    exact = predicted[predicted["phenotype"] == "LVEDV"]["value"].to_numpy()
    known = (rows["LVEDV"] < 500).to_numpy()
    observed, exact = rows["LVEDV"][known], exact[known]
    r2 = value(table, "LVEDV", "R2")
    assert r2["value"] == pytest.approx(r2_score(observed, exact), abs=1e-9)
    assert r2["n"] == NUM - 2 and r2[["home", "home_low", "home_high"]].tolist() == [0.5, 0.4, 0.6]
    line = LinearRegression().fit(exact[:, None], observed)
    slope = value(table, "LVEDV", "calibration slope")
    assert slope["value"] == pytest.approx(line.coef_[0], abs=1e-6)
    intercept = value(table, "LVEDV", "calibration intercept")
    assert intercept["value"] == pytest.approx(line.intercept_, abs=1e-4)
    assert slope["low"] < slope["value"] < slope["high"]
    embedded = model.embed(files).drop(columns="reason").to_numpy(float)
    area = value(table, "AF at the visit", "AUROC")
    assert area["value"] == pytest.approx(roc_auc_score(rows["AF before"], embedded[:, 0]))
    assert area["home"] == 0.7 and area["cases"] == NUM / 2
    assert 0.5 < value(table, "AF within 5 years", "C")["home"] < 0.7


def test_a_participant_counts_once_and_bad_files_are_counted(found, cohort) -> None:
    table, out = found
    outside = value(table, "", "out_of_distribution")
    assert outside["n"] == NUM and outside["value"] == 0
    page = (out / "evaluation.html").read_text()
    assert "Files that could not be used" in page
    assert "count as missing: LVEDV (1)" in page and "own 0.500" in page
    pd.testing.assert_frame_equal(
        pd.read_csv(out / "evaluation.csv").fillna({"target": ""}),
        table,
        check_dtype=False,
        rtol=1e-5,
    )


def test_nothing_on_the_page_or_in_the_table_is_of_one_person(found) -> None:
    _, out = found
    for name in ("evaluation.html", "evaluation.csv"):
        text = (out / name).read_text()
        assert "P10" not in text and "ecg1" not in text and str(out) not in text


def test_few_cases_are_only_counted_small_counts_hidden_and_the_model_left_as_it_is(
    model_folder, cohort, tmp_path
) -> None:
    rows = pd.read_csv(cohort)
    rows["AF before"] = (np.arange(len(rows)) < 3).astype(float)
    rows.to_csv(cohort.parent / "few.csv", index=False)
    few = external.Settings(bootstrap=20)
    before = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    table = external.evaluate(
        Model.load(model_folder), cohort.parent / "few.csv", out=tmp_path, settings=few
    )
    cases = value(table, "AF at the visit", "cases")
    assert cases["cases"] == "<5" and np.isnan(cases["value"])
    assert "AUROC" not in set(table[table["target"] == "AF at the visit"]["statistic"])
    assert {path.name: path.read_bytes() for path in model_folder.iterdir()} == before


def test_a_cohort_without_any_bad_file_has_no_note(model_folder, cohort, tmp_path) -> None:
    rows = pd.read_csv(cohort).iloc[:12]
    rows.to_csv(cohort.parent / "good.csv", index=False, sep=";", decimal=",", na_rep="NA")
    table = external.evaluate(
        Model.load(model_folder),
        cohort.parent / "good.csv",
        out=tmp_path,
        settings=external.Settings(bootstrap=20, least_events=3, smallest_count=0),
    )
    assert value(table, "AF at the visit", "AUROC")["n"] == 12
    assert value(table, "AF within 5 years", "C")["n"] == 6
    page = (tmp_path / "evaluation.html").read_text()
    assert "could not be used" not in page
    # 12 people are one group of at least ten, not ten tenths of one or two people
    assert page.split('id="calibration"')[1].split("AF at")[0].count("<circle") == 1


def test_probes_of_other_weights_state_no_risk(model_folder, cohort, tmp_path) -> None:
    moved = tmp_path / "model"
    shutil.copytree(model_folder, moved)
    stored = json.loads((moved / saved_risk.NAME).read_text()) | {"weights": "other"}
    (moved / saved_risk.NAME).write_text(json.dumps(stored))
    predicted = Model.load(moved).predict(cohort.parent / "ecg0.npy")
    assert set(predicted["phenotype"]) == {"LVEDV", "LVEF"}


def test_prediction_is_the_risk_of_the_stored_model(model_folder, cohort) -> None:
    model = Model.load(model_folder)
    path = cohort.parent / "ecg0.npy"
    predicted = model.predict([path, cohort.parent / "bad.npy"])
    embedded = model.embed(path).drop(columns="reason").to_numpy(float)[0]
    names = [*(p["name"] for p in PROBE["phenotypes"]), "AF at the visit", "AF within 5 years"]
    assert predicted["phenotype"].tolist() == names * 2
    first = predicted[: len(names)].set_index("phenotype")
    odds = np.exp(embedded[0] - 0.5)
    assert first.loc["AF at the visit", "value"] == pytest.approx(odds / (1 + odds))
    hazard = np.exp(embedded[1] - 3)
    assert first.loc["AF within 5 years", "value"] == pytest.approx(1 - np.exp(-5 * hazard))
    assert first.loc["AF at the visit", "unit"] == "probability"
    assert first.loc["AF at the visit", ["low", "high"]].isna().all()
    assert first.loc["LVEDV", "value"] == pytest.approx(150 + 10 * embedded[0], rel=1e-6)
    assert len(embedded) == WIDTH and predicted[len(names) :]["value"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="ecg"), "no column ecg"),
        (lambda t: t[["participant", "visit", "ecg"]], "no column that this model predicts"),
        (lambda t: t.assign(ecg=""), "the column ecg is empty"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "more than one row"),
        (lambda t: t.iloc[[-1]], "only 0 participants have a file that can be used"),
        (lambda t: t.assign(**{"AF before": 2}), "a value of 'AF before' is none of 0, 1"),
    ],
)
def test_a_table_that_cannot_be_evaluated_is_refused(
    model_folder, cohort, tmp_path, change, message, capsys
) -> None:
    changed = cohort.parent / "changed.csv"
    change(pd.read_csv(cohort)).to_csv(changed, index=False)
    status = cli.main(["evaluate", str(model_folder), str(changed), "--out", str(tmp_path)])
    assert status == 2 and message in capsys.readouterr().err


def test_a_table_that_does_not_exist_is_named(model_folder, tmp_path, capsys) -> None:
    assert cli.main(["evaluate", str(model_folder), "none.csv", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == "ptacl evaluate: none.csv: no such file or folder: check the path\n"


def test_command_writes_table_and_page(model_folder, cohort, tmp_path) -> None:
    command = [sys.executable, "-m", "ptacl.cli", "evaluate", str(model_folder), str(cohort)]
    command += ["--out", str(tmp_path / "out"), "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "R2" in done.stdout and "P1" not in done.stdout + done.stderr
    assert csv_tables.header(tmp_path / "out/evaluation.csv")[:2] == ["target", "statistic"]
    assert (tmp_path / "out/private/embeddings.parquet").is_file()
