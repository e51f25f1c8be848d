"""The phase-wise loss against its definition and its limits."""

import math

import pytest
import torch
from torch import Tensor

from ptacl.learning import losses

HOW = {"temperature": 0.1, "direction_weight": 0.3}


def draw(people: int, *, seed: int) -> Tensor:
    """Embeddings (people, 3 phases, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(people, 3, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("valid", [[True] * 5, [True, False, True, True, False]])
def test_it_is_equation_1_at_each_phase_of_centred_embeddings(valid: list[bool]) -> None:
    ecg, cmr, valid_B = draw(5, seed=0), draw(5, seed=1), torch.tensor(valid)
    found = losses.phasewise_loss(ecg, cmr, valid_B=valid_B, **HOW)
    of_phases = []
    for t in range(3):
        a, b = ecg[valid_B, t], cmr[valid_B, t]
        of_phases.append(losses.global_loss(a - a.mean(0), b - b.mean(0), **HOW).item())
    assert found.item() == pytest.approx(math.fsum(of_phases) / 3, rel=1e-9)


def test_what_people_share_at_a_phase_changes_nothing() -> None:
    """Position embeddings, for example, add the same vector to a phase of everybody."""
    ecg, cmr, valid_B = draw(6, seed=0), draw(6, seed=1), torch.ones(6, dtype=torch.bool)
    shared = 10 * draw(1, seed=2)
    torch.testing.assert_close(
        losses.phasewise_loss(ecg + shared, cmr - shared, valid_B=valid_B, **HOW),
        losses.phasewise_loss(ecg, cmr, valid_B=valid_B, **HOW),
    )


@pytest.mark.parametrize("hole", [0.0, math.nan])
def test_people_without_a_beat_add_nothing(hole: float) -> None:
    ecg, cmr = draw(5, seed=0), draw(5, seed=1)
    valid_B = torch.tensor([True, True, False, True, True])
    ecg[2] = hole
    ecg.requires_grad_()
    found = losses.phasewise_loss(ecg, cmr, valid_B=valid_B, **HOW)
    found.backward()
    assert ecg.grad is not None
    assert not ecg.grad[2].any()
    assert ecg.grad[valid_B].abs().sum() > 0
    kept = {"valid_B": valid_B[valid_B]}
    torch.testing.assert_close(
        found, losses.phasewise_loss(ecg[valid_B], cmr[valid_B], **kept, **HOW)
    )
    none = losses.phasewise_loss(ecg, cmr, valid_B=torch.zeros(5, dtype=torch.bool), **HOW)
    assert none.item() == 0


def test_pairs_lose_less_than_strangers() -> None:
    ecg, valid_B = draw(6, seed=0), torch.ones(6, dtype=torch.bool)
    near = ecg + 0.1 * draw(6, seed=1)
    paired = losses.phasewise_loss(ecg, near, valid_B=valid_B, **HOW)
    strangers = losses.phasewise_loss(ecg, near.roll(1, 0), valid_B=valid_B, **HOW)
    assert paired < 0.1 < math.log(6) < strangers
