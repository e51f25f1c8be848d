"""The walkthrough of docs/other-cohorts.md, from a hospital's exports to the report."""

import json
import os
import re
import shlex
import subprocess
import sys

import hospital
import pandas as pd
import pytest
from project import ROOT, Project
from test_commands import blocks

from ptacl import config

pytestmark = pytest.mark.pipeline

PAGE = ROOT / "docs/other-cohorts.md"
PATIENTS = 36
FEWER_MODELS = """
regression:
  rows:
    - {label: MAE, model: ecg_mae, features: [ecg]}
    - {label: Global, model: global, features: [ecg]}
    - {label: "Global, whole ECG", model: global, features: [ecg_whole]}
    - {label: Demographics, features: [sex, age, height_cm, weight_kg]}
retrieval: {rows: [{label: Global, model: global}]}
alignment: {rows: [{label: Global, model: global}]}
"""


def run(project: Project, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{project.folder / 'src'}", "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-5000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with the hospital's folder and the files that the page shows."""
    made = Project(tmp_path_factory.mktemp("hospital") / "project")
    settings = config.load(ROOT / "config.yaml").ecg
    hospital.write(made.folder / "my_hospital", patients=PATIENTS, settings=settings)
    (script,) = blocks(PAGE, "python")
    (made.folder / "my_table.py").write_text(script)
    (mine,) = blocks(PAGE, "yaml")
    (made.folder / "my.yaml").write_text(mine)
    (made.folder / "fewer.yaml").write_text(FEWER_MODELS)
    return made


def test_the_walkthrough_reaches_the_report(project: Project) -> None:
    lines = [line for block in blocks(PAGE, "sh") for line in block.splitlines()]
    said = {}
    for line in lines:
        program, *arguments = shlex.split(line)
        module = {"ptacl": ["-m", "ptacl.cli"], "snakemake": ["-m", "snakemake"], "python": []}
        # the same run with the smallest models, and fewer of them
        small = ["tiny.yaml", "fewer.yaml"] if program == "snakemake" else []
        arguments = [word.replace("ptacl-0", "global-0") for word in arguments]
        said[line] = run(project, sys.executable, *module[program], *arguments, *small)
    _, cine, _, check, _, _ = lines
    assert (project.folder / "my_ecg.png").exists() and (project.folder / "my_cine.png").exists()
    assert re.search(r"interpolated_from_frames +25\n", said[cine])
    assert f"paired visits              {PATIENTS}" in said[check]
    results = project.folder / "results"
    assert (results / "report.html").stat().st_size > 100_000
    people = pd.read_csv(results / "private/participants.csv", dtype=str)
    assert len(people) >= PATIENTS - 2
    assert people["participant"].str.fullmatch(r"P\d{5}").all()
    assert people["LVEDV"].astype(float).between(30, 500).all()
    assert set(people["sex"].astype(float)) == {0.0, 1.0}
    flow = json.loads((results / "cohort/flow.json").read_text())
    assert (
        flow["interpolated"] == PATIENTS // 3
        and "cine interpolated" in (results / "cohort/flow.svg").read_text()
    )
    tables = pd.read_csv(results / "tables/regression.csv")
    assert {"LVEDV", "LVEF"} <= set(tables["phenotype"])
    evaluated = pd.read_csv(project.folder / "my_evaluation/evaluation.csv")
    assert {"LVEDV", "LVEF"} <= set(evaluated["target"])
    assert evaluated["n"].max() >= PATIENTS - 2
    report = (results / "report.html").read_text()
    assert "P00001" not in report and "9000001" not in report
