"""The estimated cost of a training against the operations that PyTorch counts."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ptacl import config, training_cost
from ptacl.models.vit import VisionTransformer

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("frozen", [0, 2, "all"])
@pytest.mark.parametrize("modality", ["ecg", "cmr"])
def test_a_step_costs_what_pytorch_counts(modality: str, frozen: int | str) -> None:
    """Frozen layers have no backward pass. The patch embedding and the softmax are not counted."""
    settings = config.stack(ROOT / "config.yaml", ROOT / "workflow/config/paper.yaml")
    size = settings.inputs_of("ptacl").encoders[modality]
    assert isinstance(size, config.Encoder)
    with torch.device("meta"):
        encoder = VisionTransformer(size)
        encoder.freeze(size.depth if frozen == "all" else frozen)
        with FlopCounterMode(display=False) as counter:
            tokens = encoder(torch.zeros(1, *size.shape))
            if tokens.requires_grad:
                tokens.sum().backward()
    entry = settings.models["ptacl"]
    assert isinstance(entry, config.Trained)
    estimate = training_cost._step(size, entry, frozen=frozen)
    assert estimate == pytest.approx(counter.get_total_flops(), rel=0.05)
