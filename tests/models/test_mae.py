import itertools
import math

import pytest
import torch
from torch import Tensor

from ptacl import config
from ptacl.models import vit
from ptacl.models.mae import MAE, num_visible, sines, split

# 36 and 324 tokens: both forms of attention.
SHAPES = {"few": [6, 30], "many": [12, 135]}


def _mae(shape: list[int], depth: int, dtype: torch.dtype = torch.float64) -> MAE:
    torch.manual_seed(0)
    encoder = vit.VisionTransformer(
        config.Encoder(shape=shape, patch=[1, 5], width=16, depth=2, heads=2)
    )
    model = MAE(encoder, config.Decoder(width=12, depth=depth, heads=3), mask_ratio=0.75)
    for parameter in model.parameters():  # biases and norms away from 0 and 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.to(dtype)


def _plain(model: MAE, x: Tensor, noise: Tensor) -> Tensor:
    """The loss by the plain road: embed all, encode the visible, put all tokens back in order,
    decode all, mask the loss.
    """
    patches = vit.patchify(x, model.encoder.patch)
    embedded = model.encoder.embedding(patches)
    ranks = noise.argsort(1).argsort(1)
    full = model.decoder.mask_token.expand(*patches.shape[:2], -1).clone()
    for i in range(len(x)):
        seen = (ranks[i] < model.num_visible).nonzero()[:, 0]
        tokens = embedded[i : i + 1, seen]
        for block in model.encoder.blocks:
            tokens = block(tokens)
        full[i, seen] = model.decoder.embed(model.encoder.norm(tokens))[0]
    full = full + model.decoder.positions
    for block in model.decoder.blocks:
        full = block(full)
    error = (model.decoder.head(model.decoder.norm(full)) - patches).square().mean(2)
    hidden = (ranks >= model.num_visible).to(error)
    return (error * hidden).sum() / hidden.sum()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_loss_and_gradients_are_those_of_the_plain_form(
    shape: list[int], depth: int, dtype: torch.dtype, rtol: float
) -> None:
    model = _mae(shape, depth, dtype)
    x, noise = torch.randn(3, *shape, dtype=dtype), torch.rand(3, model.encoder.num_tokens)
    parameters = dict(model.named_parameters())
    ours, plain = model(x, noise)["loss"], _plain(model, x, noise)
    torch.testing.assert_close(ours, plain, rtol=rtol, atol=0)
    for name, a, b in zip(
        parameters,
        torch.autograd.grad(ours, parameters.values()),
        torch.autograd.grad(plain, parameters.values()),
        strict=True,
    ):
        assert (a - b).norm() <= rtol * b.norm() + rtol * 1e-3, name


def test_predictions_depend_on_visible_patches_alone() -> None:
    model = _mae([6, 30], 1)
    x, noise = torch.randn(2, 6, 30).double(), torch.rand(2, 36)
    visible, masked = split(noise, model.num_visible)
    predicted, true, tokens = model.reconstruct(x, noise)
    assert torch.equal(tokens, masked) and predicted.shape == true.shape == (2, 27, 5)

    def changed(index: int) -> Tensor:
        other = x.clone()
        other[0].view(36, 5)[index] += 1.0
        return model.reconstruct(other, noise)[0]

    assert torch.equal(changed(int(masked[0, 4])), predicted)
    moved = changed(int(visible[0, 4])) - predicted
    # The other sample may differ by rounding: where attention goes by position, samples share a
    # sum.
    assert moved[0].abs().min() > 1e-9 and moved[1].abs().max() < 1e-12


def test_loss_is_the_mean_square_of_masked_patches() -> None:
    model = _mae([6, 30], 1)
    torch.nn.init.zeros_(model.decoder.head.weight)
    torch.nn.init.zeros_(model.decoder.head.bias)
    x, noise = torch.randn(2, 6, 30).double(), torch.rand(2, 36)
    hidden = [
        (i, n) for i in range(2) for n in sorted(range(36), key=noise[i].tolist().__getitem__)[9:]
    ]
    squares = [x[i].reshape(36, 5)[n].square().mean().item() for i, n in hidden]
    assert model(x, noise)["loss"].item() == pytest.approx(
        math.fsum(squares) / len(squares), rel=1e-12
    )


def test_order_of_the_batch_does_not_matter() -> None:
    model, order = _mae([6, 30], 1), torch.tensor([2, 0, 3, 1])
    x, noise = torch.randn(4, 6, 30).double(), torch.rand(4, 36)
    torch.testing.assert_close(
        model(x[order], noise[order])["loss"], model(x, noise)["loss"], rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(
    ("tokens", "ratio", "visible"),
    [(600, 0.75, 150), (637, 0.9, 63), (1225, 0.9, 122), (600, 0.9, 60), (36, 0.75, 9)],
)
def test_number_of_visible_tokens(tokens: int, ratio: float, visible: int) -> None:
    assert num_visible(tokens, ratio) == visible
    seen, hidden = split(torch.rand(2, tokens), visible)
    assert seen.shape == (2, visible)
    assert torch.equal(
        torch.cat([seen, hidden], 1).sort(1).values, torch.arange(tokens).expand(2, -1)
    )


@pytest.mark.parametrize(("tokens", "ratio"), [(10, 0.0), (10, 0.95)])
def test_a_mask_of_nothing_or_everything_is_refused(tokens: int, ratio: float) -> None:
    with pytest.raises(ValueError, match="mask_ratio"):
        num_visible(tokens, ratio)


@pytest.mark.parametrize(
    ("shape", "patch", "width", "extra_millions"),
    [([12, 2500], [1, 50], 128, 0.35), ([26, 84, 84], [2, 12, 12], 256, 1.16)],
)
def test_size_of_the_decoder(
    shape: list[int], patch: list[int], width: int, extra_millions: float
) -> None:
    with torch.device("meta"):
        encoder = vit.VisionTransformer(
            config.Encoder(shape=shape, patch=patch, width=512, depth=1, heads=8)
        )
        model = MAE(encoder, config.Decoder(width=width, depth=1, heads=4), mask_ratio=0.75)
    assert sum(p.numel() for p in model.decoder.parameters()) / 1e6 == pytest.approx(
        extra_millions, abs=0.005
    )


def test_one_batch_can_be_learnt() -> None:
    model = _mae([6, 30], 1, torch.float32)
    x, noise = torch.randn(4, 6, 30), torch.rand(4, 36)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        loss = model(x, noise)["loss"]
        loss.backward()
        optimiser.step()
    # The targets have variance 1, which is what a constant prediction would leave.
    assert loss.item() < 0.75


def test_bfloat16_autocast_stays_near_float32() -> None:
    model = _mae(SHAPES["many"], 1, torch.float32)
    x, noise = torch.randn(2, 12, 135), torch.rand(2, 324)
    exact = model(x, noise)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(x, noise)["loss"]
    assert loss.dtype == torch.float32 and not torch.equal(loss, exact)
    torch.testing.assert_close(loss, exact, rtol=1e-2, atol=0)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_positions_of_the_decoder_start_as_in_he_et_al() -> None:
    """Against a loop: of width D / axes each, the first half sines, the second cosines, frequency
    10,000 ** (-2 i / width).
    """
    grid, width = (3, 2, 4), 26  # 8 for each axis, and 2 that stay zero
    found = sines(grid, width)
    for n, place in enumerate(itertools.product(*map(range, grid))):
        expected = []
        for at in place:
            angles = [at * 10_000 ** (-2 * i / 8) for i in range(4)]
            expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        torch.testing.assert_close(found[n], torch.tensor([*expected, 0.0, 0.0]), rtol=0, atol=1e-6)
    settings = config.Encoder(shape=[6, 30], patch=[1, 5], width=8, depth=1, heads=1)
    model = MAE(
        vit.VisionTransformer(settings), config.Decoder(width=8, depth=1, heads=1), mask_ratio=0.5
    )
    assert (
        torch.equal(model.decoder.positions, sines((6, 6), 8))
        and model.decoder.positions.requires_grad
    )
