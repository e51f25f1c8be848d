"""Products that keep their precision where the rest is rounded to TF32.

A CPU does not round to TF32. The rounding is therefore imitated: a function in place of the matrix
product of PyTorch cuts the factors to 10 bits, as a GPU does.
"""

import pytest
import torch
from torch import Tensor

from ptacl.learning import losses
from ptacl.models import exact, heads

SHARED = 30.0  # what all embeddings have in common, far larger than their differences


def rounded(values: Tensor) -> Tensor:
    """Values of float32 with the 10 bits of TF32; others as they are."""
    if values.dtype != torch.float32:
        return values
    return (values.view(torch.int32) & ~0x1FFF).view(torch.float32)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products round float32 to TF32."""
    product, linear = torch.Tensor.__matmul__, torch.nn.functional.linear
    monkeypatch.setattr(
        torch.Tensor, "__matmul__", lambda a, b: product(rounded(a), rounded(b)), raising=True
    )
    monkeypatch.setattr(
        torch.nn.functional,
        "linear",
        lambda x, w, b=None: linear(rounded(x), rounded(w), b),
    )


def embeddings() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 16, 64, generator=generator)
    return first, 0.5 * first + second


def test_without_the_context_a_product_is_rounded_and_inside_it_is_not(gpu: None) -> None:
    first, second = embeddings()
    true = first.double() @ second.double().T
    coarse = (exact.product(first, second.T) - true).abs().max()
    with exact.tf32(True):
        fine = (exact.product(first, second.T) - true).abs().max()
    assert coarse > 1e-3 and fine < 1e-5


def test_the_projection_and_the_global_loss_are_those_of_float32(gpu: None) -> None:
    tokens, projector = SHARED + embeddings()[0][:, None], heads.projector(64, 8)
    other = SHARED + embeddings()[1][:, None]
    heads.centre(projector, heads.pool(tokens))

    def gradient() -> tuple[Tensor, Tensor]:
        projector.zero_grad()
        z_ecg, z_cmr = heads.project(tokens, projector), heads.project(other, projector)
        assert z_ecg.dtype == torch.float32
        loss = losses.global_loss(z_ecg, z_cmr, temperature=0.1, direction_weight=0.5)
        loss.backward()
        return loss.detach(), projector.weight.grad.clone()

    with exact.tf32(True):
        found = gradient()
    double = projector.double()
    tokens, other = tokens.double(), other.double()
    z_ecg, z_cmr = heads.project(tokens, double), heads.project(other, double)
    true = losses.global_loss(z_ecg, z_cmr, temperature=0.1, direction_weight=0.5)
    assert float(found[0]) == pytest.approx(float(true.detach()), rel=1e-5)


def test_the_settings_of_pytorch_are_put_back() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    for used in (True, False):
        with exact.tf32(used):
            assert torch.backends.cudnn.allow_tf32 is used
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_without_rounding_nothing_changes() -> None:
    first, second = embeddings()
    linear = exact.Linear(64, 8)
    plain = torch.nn.functional.linear(first, linear.weight, linear.bias)
    assert torch.equal(linear(first), plain)
    assert torch.equal(exact.product(first, second.T), first @ second.T)
