"""`ptacl try` with the loss of docs/add-a-method.md, word for word, first with an error in it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ptacl import config, trial

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/add-a-method.md").read_text()
LOSS, SETTINGS = (
    re.search(rf"```{kind}\n(.*?)```", PAGE, flags=re.S).group(1) for kind in ("python", "yaml")
)
SMALL = """
encoders:
  ecg: {width: 16, depth: 2, heads: 2}
  cmr: {width: 16, depth: 2, heads: 2}
"""


def values() -> dict[str, Any]:
    return config.read(ROOT / "config.yaml")


def test_the_settings_of_a_trial_are_small_and_of_the_simulated_cohort() -> None:
    given = values()
    given["cohort"] |= {"source": "table", "table": "cohort.csv"}
    found = config.parse(trial.settings(given, defaults=values(), model="ptacl"))
    assert found.cohort.source == "simulated" and found.cohort.table is None
    assert found.simulation.participants == trial.PEOPLE
    for name in ("ecg_mae", "cmr_mae", "ptacl"):
        entry = found.models[name]
        assert isinstance(entry, config.Trained) and entry.training.epochs == 7
    assert {row.model for row in found.regression.rows} == {"ptacl"}
    assert {row.model for row in found.retrieval.rows} == {"ptacl"}


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="there is no model mine; models are ecg_random, "):
        trial.settings(values(), defaults=values(), model="mine")


def test_losses_are_shown_next_to_those_of_guessing(tmp_path: Path) -> None:
    """An own loss has no known value of guessing."""
    (tmp_path / "results/training").mkdir(parents=True)
    (tmp_path / "results/training/mine-0.csv").write_text(
        "step,train_loss,train_local,train_local_chance\n3,5.0,2.6,2.5649\n21,4.5,2.1,2.5649\n"
    )
    assert list(trial._results(tmp_path, "mine")) == [
        "mine: 21 steps",
        "  train_loss               5 -> 4.5",
        "  train_local              2.6 -> 2.1  (guessing 2.565)",
    ]


@pytest.mark.pipeline
def test_an_error_is_shown_once_and_the_corrected_loss_runs(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(SETTINGS + SMALL)
    (tmp_path / "my_loss.py").write_text(LOSS.replace("same * logits", "same[:, 1:] * logits"))
    command = [sys.executable, "-m", "ptacl.cli", "try", "my.yaml", "--model", "sigmoid"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def tried() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    wrong = tried()
    assert wrong.returncode == 2
    assert "my_loss.py" in wrong.stderr and "must match the size of tensor" in wrong.stderr
    log = (tmp_path / "results/trial/trial.log").read_text()
    assert (
        len(re.findall(r"^localrule train:", log, re.M)) == 3
    )  # two autoencoders, and the model once

    (tmp_path / "my_loss.py").write_text(LOSS)
    right = tried()
    assert right.returncode == 0, right.stderr
    assert right.stdout.count("  train sigmoid\n") == 1
    assert "sigmoid: 21 steps" in right.stdout
    for statistic in ("R2", "P@10"):
        assert re.search(rf"^  {re.escape(statistic)} +-?\d\.\d+  Sigmoid$", right.stdout, re.M)
