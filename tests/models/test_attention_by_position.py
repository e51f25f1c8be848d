"""The decoder that computes mask tokens once a batch, against the plain one."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ptacl import config
from ptacl.models import mae, vit

TOKENS, VISIBLE = 240, 24


@pytest.fixture
def decoder() -> mae.Decoder:
    torch.manual_seed(0)
    encoder = vit.Encoder(config.Encoder(shape=[12, 100], patch=[1, 5], width=16, depth=1, heads=2))
    decoder = mae.Decoder(encoder, config.Decoder(width=24, depth=1, heads=3))
    for parameter in decoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return decoder


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    visible, masked = mae.split(torch.rand(5, TOKENS, generator=generator), VISIBLE)
    return torch.randn(5, VISIBLE, 16, generator=generator), visible, masked


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Which road each call of the decoder took: by position or not."""
    roads: list[bool] = []
    real = mae.Decoder._by_position

    def watched(self: mae.Decoder, *args: Tensor) -> Tensor | None:
        out = real(self, *args)
        roads.append(out is not None)
        return out

    monkeypatch.setattr(mae.Decoder, "_by_position", watched)
    return roads


def both(decoder: mae.Decoder, inputs: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """Output and gradients, as it is and by the plain road."""
    results = []
    for _ in range(2):
        tokens = inputs[0].clone().requires_grad_()
        out = decoder(tokens, *inputs[1:])
        gradients = torch.autograd.grad(out.float().square().mean(), [tokens, *decoder.parameters()])
        results.append([out.detach(), *gradients])
        monkeypatch.setattr(mae.Decoder, "_few", lambda self, visible: False)
    return results


def largest_error(ours: list[Tensor], plain: list[Tensor]) -> float:
    return max(float((a - b).float().norm() / b.float().norm().clamp(min=1e-6)) for a, b in zip(ours, plain, strict=True))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_as_the_plain_decoder(decoder, inputs, taken, monkeypatch, dtype, limit):
    decoder, inputs = decoder.to(dtype), (inputs[0].to(dtype), *inputs[1:])
    assert largest_error(*both(decoder, inputs, monkeypatch)) < limit
    assert taken == [True]


@pytest.mark.parametrize("scale", [3, 30, 300])
def test_adverse_weights_are_exact_or_go_the_plain_road(decoder, inputs, taken, monkeypatch, scale):
    """Attention that looks at few places: where these are visible, hardly anything is left after the subtraction."""
    with torch.no_grad():
        decoder.blocks[0].qkv.weight[:48] *= scale**0.5
    assert largest_error(*both(decoder, inputs, monkeypatch)) < 1e-3
    assert taken == [scale < 30], "the road of each scale: if the draw changes, so may this"


def test_a_mask_token_that_all_look_at_is_visible(decoder, inputs, taken, monkeypatch):
    """The worst case: the one position with all the weight is taken away again."""
    with torch.no_grad():
        decoder.positions[inputs[1][0, 0]] *= 300
        decoder.blocks[0].qkv.weight[:48] *= 5
    assert largest_error(*both(decoder, inputs, monkeypatch)) < 1e-3


def test_logits_beyond_the_range_of_exp_are_no_nan(decoder, inputs, taken):
    with torch.no_grad():
        decoder.blocks[0].qkv.weight[:48] *= 1e4
    assert torch.isfinite(decoder(*inputs)).all() and taken == [False]


def test_under_bfloat16_as_near_as_the_plain_decoder(decoder, inputs, monkeypatch):
    exact = decoder(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        ours, plain = (result[0].float() for result in both(decoder, inputs, monkeypatch))
    assert (ours - exact).norm() < 1.2 * (plain - exact).norm() + 1e-3 * exact.norm()


def test_more_blocks_or_many_visible_tokens_go_the_plain_road(inputs, taken):
    encoder = vit.Encoder(config.Encoder(shape=[12, 100], patch=[1, 5], width=16, depth=1, heads=2))
    mae.Decoder(encoder, config.Decoder(width=24, depth=2, heads=3))(*inputs)
    assert not taken
    for count, by_position in ((TOKENS // 4 + 1, []), (TOKENS // 4, [True])):
        visible, masked = mae.split(torch.rand(2, TOKENS), count)
        mae.Decoder(encoder, config.Decoder(width=24, depth=1, heads=3))(torch.randn(2, count, 16), visible, masked)
        assert taken == by_position
