"""Which class an entry trains with, and a loss of one's own in a contrastive entry."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ptacl import config
from ptacl.learning import assemble

ROOT = Path(__file__).parents[2]
LOSS = """
import torch
from torch import nn


class Mean(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, z_ecg, z_cmr):
        return self.scale * (z_ecg - z_cmr).square().mean()


"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loss_of_a_test.py").write_text(LOSS)
    monkeypatch.syspath_prepend(str(tmp_path))


def parsed(**entry: Any) -> config.Config:
    values = config.read(ROOT / "config.yaml", ROOT / "workflow/config/rows.yaml")
    small = {"width": 16, "depth": 1, "heads": 2}
    values = config.merge(values, {"encoders": {"ecg": small, "cmr": small}})
    values["models"]["mine"] = {"start": None, **entry}
    return config.parse(values)


def test_settings_and_classes_agree_on_whole_batches() -> None:
    entries = parsed(like="global").models.values()
    trained = [entry for entry in entries if isinstance(entry, config.Trained)]
    assert len({type(entry) for entry in trained}) == 5
    for entry in trained:
        assert assemble.objective_class(entry).whole_batches == entry.whole_batches


def test_an_own_loss_takes_the_place_of_the_global_one(mine: None) -> None:
    settings = parsed(like="ptacl", loss="loss_of_a_test:Mean", options={"scale": 3.0})
    entry = settings.models["mine"]
    assert isinstance(entry, config.Contrastive)
    objective = assemble.build(entry, settings.inputs_of("mine"), seed=0).eval()
    beats = torch.full((2, 13, 15), 1 / 15)  # 15 tokens per lead
    batch = {
        "ecg": torch.randn(2, 12, 1500),
        "cmr": torch.rand(2, 26, 84, 84),
        "beats": beats,
        "valid": torch.ones(2, dtype=torch.bool),
    }
    with torch.no_grad():
        objective.own_loss.scale.zero_()
        local_only = objective(batch)
        objective.own_loss.scale.fill_(3.0)
    both = objective(batch)
    assert local_only["loss"] == pytest.approx(float(local_only["local"]))
    assert both["loss"].item() == pytest.approx(float(both["local"] + both["global"]))
    assert both["global"] > 0 and "global_chance" not in both
    both["loss"].backward()
    assert objective.own_loss.scale.grad.item() == pytest.approx(float(both["global"]) / 3)


def test_micro_batches_are_refused_for_an_objective_that_needs_whole_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from ptacl.learning.objectives.base import Objective\n\n\n"
    text += "class Whole(Objective):\n    whole_batches = True\n"
    (tmp_path / "objective_of_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = {"like": "global", "kind": "other", "objective": "objective_of_a_test:Whole"}
    whole = parsed(**entry).models["mine"]
    divided = parsed(**entry, training={"accumulate": 2}).models["mine"]
    assert isinstance(whole, config.Other) and isinstance(divided, config.Other)
    assert assemble.objective_class(whole).whole_batches
    with pytest.raises(ValueError, match=r"objective_of_a_test:Whole .*set training\.accumulate"):
        assemble.objective_class(divided)
