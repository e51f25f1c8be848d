import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from ptacl import config
from ptacl.models import vit

ECG = config.Encoder(shape=[12, 2500], patch=[1, 50], width=512, depth=6, heads=8)
CMR = config.Encoder(shape=[26, 84, 84], patch=[2, 12, 12], width=512, depth=4, heads=8)
SMALL = config.Encoder(shape=[4, 6, 6], patch=[2, 3, 2], width=16, depth=3, heads=2)


def _count(*modules: nn.Module, trainable: bool = False) -> int:
    return sum(
        p.numel() for m in modules for p in m.parameters() if p.requires_grad or not trainable
    )


def _encoder(settings: config.Encoder = SMALL, seed: int = 0) -> vit.VisionTransformer:
    torch.manual_seed(seed)
    return vit.VisionTransformer(settings)


@pytest.mark.parametrize(
    ("settings", "tokens", "millions", "trainable_millions"),
    [(ECG, 600, 19.249, 12.610), (CMR, 637, 13.085, 6.305)],
)
def test_sizes_of_the_paper(
    settings: config.Encoder, tokens: int, millions: float, trainable_millions: float
) -> None:
    """Sec. 4.3: 19 M and 13 M parameters; 12.6 M and 6.3 M in the blocks that still learn once two
    are frozen.
    """
    with torch.device("meta"):
        encoder = vit.VisionTransformer(settings)
    assert encoder.num_tokens == math.prod(encoder.grid) == tokens
    assert round(_count(encoder) / 1e6, 3) == millions
    encoder.freeze(2)
    assert round(_count(*encoder.blocks, trainable=True) / 1e6, 3) == trainable_millions
    assert _count(encoder, trainable=True) == _count(*encoder.blocks[2:], encoder.norm)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4),
    batch=st.integers(1, 2),
)
@settings(max_examples=40, deadline=None)
def test_patchify_is_a_loop_over_the_grid(sizes: list[tuple[int, int]], batch: int) -> None:
    grid, patch = zip(*sizes, strict=True)
    x = torch.randn(batch, *(g * p for g, p in sizes))
    patches = vit.patchify(x, patch)
    assert patches.shape == (batch, math.prod(grid), math.prod(patch))
    for n, corner in enumerate(itertools.product(*map(range, grid))):
        cut = (
            slice(None),
            *(slice(c * p, (c + 1) * p) for c, p in zip(corner, patch, strict=True)),
        )
        assert torch.equal(patches[:, n], x[cut].flatten(1))


def test_patch_embedding_is_the_convolution_of_the_paper() -> None:
    """Sec. 3.1: 1-D over each lead with shared weights; 3-D over the sequence; stride = kernel."""
    torch.manual_seed(0)
    ecg, cmr = torch.randn(2, 12, 250), torch.randn(2, 4, 24, 36)
    lead = nn.Conv1d(1, 8, 50, stride=50)
    expected = (
        torch.stack([lead(ecg[:, i : i + 1]) for i in range(12)], 1).transpose(2, 3).flatten(1, 2)
    )
    actual = F.linear(vit.patchify(ecg, [1, 50]), lead.weight.flatten(1), lead.bias)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    video = nn.Conv3d(1, 8, (2, 12, 12), stride=(2, 12, 12))
    actual = F.linear(vit.patchify(cmr, [2, 12, 12]), video.weight.flatten(1), video.bias)
    torch.testing.assert_close(
        actual, video(cmr[:, None]).flatten(2).transpose(1, 2), rtol=1e-5, atol=1e-5
    )


def test_patch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not divide"):
        vit.patchify(torch.zeros(1, 12, 120), [1, 50])
    with pytest.raises(AssertionError, match="settings"):
        _encoder()(torch.zeros(1, 4, 6, 8))
    with pytest.raises(ValueError, match="multiple of heads"):
        vit.Block(10, 3)


@pytest.mark.parametrize("start", [0, 5])
@pytest.mark.parametrize("tokens", [9, 200])
def test_block_is_the_pre_norm_layer_of_torch(start: int, tokens: int) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        16,
        4,
        64,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=vit.NORM_EPS,
        batch_first=True,
        norm_first=True,
    ).double()
    block = vit.Block(16, 4).double()
    pairs = [
        (block.norm1, layer.norm1),
        (block.norm2, layer.norm2),
        (block.project, layer.self_attn.out_proj),
        (block.expand, layer.linear1),
        (block.contract, layer.linear2),
    ]
    for ours, theirs in pairs:
        ours.load_state_dict(theirs.state_dict())
    nn.init.normal_(layer.self_attn.in_proj_bias)
    block.qkv.load_state_dict(
        {"weight": layer.self_attn.in_proj_weight, "bias": layer.self_attn.in_proj_bias}
    )
    x, probe = torch.randn(2, tokens, 16).double(), torch.randn(2, tokens - start, 16).double()
    out, expected = block(x, start), layer(x)[:, start:]
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    (out * probe).sum().backward()
    (expected * probe).sum().backward()
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        block.qkv.weight.grad, layer.self_attn.in_proj_weight.grad, rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        block.qkv.bias.grad, layer.self_attn.in_proj_bias.grad, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (3, 140), (200, 200), (30, 160)])
def test_plain_and_fused_attention_agree(
    queries: int, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(2, 2, n, 8, requires_grad=True) for n in (queries, keys, keys)]
    results = []
    for limit in (0, 10_000):
        monkeypatch.setattr(vit, "PLAIN_TOKENS", limit)
        out = vit.attend(*leaves)
        results.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(plain, fused, rtol=1e-5, atol=2e-5)


def test_visible_tokens_are_gathered_before_or_after_the_embedding_alike() -> None:
    encoder, x = _encoder().double(), torch.randn(3, 4, 6, 6).double()
    visible = torch.stack([torch.randperm(encoder.num_tokens)[:5] for _ in range(3)])

    def plain() -> Tensor:
        tokens = encoder.embedding(vit.patchify(x, SMALL.patch))
        tokens = torch.stack([tokens[i, visible[i]] for i in range(3)])
        for block in encoder.blocks:
            tokens = block(tokens)
        return encoder.norm(tokens)

    gradients = []
    for out in (encoder(x, visible), plain()):
        gradients.append([out, *torch.autograd.grad((out**3).sum(), list(encoder.parameters()))])
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_order_of_visible_tokens_is_the_order_of_the_output() -> None:
    encoder, x = _encoder().double().eval(), torch.randn(2, 4, 6, 6).double()
    order = torch.randperm(encoder.num_tokens).expand(2, -1)
    torch.testing.assert_close(encoder(x, order), encoder(x)[:, order[0]], rtol=1e-10, atol=1e-10)


def test_initial_weights() -> None:
    encoder = _encoder(config.Encoder(shape=[16, 512], patch=[1, 16], width=128, depth=1, heads=4))
    assert encoder.embedding.positions.std().item() == pytest.approx(0.02, rel=0.02)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            assert torch.count_nonzero(parameter) == 0
        elif "norm" in name:
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif parameter.ndim == 2 and "positions" not in name:
            bound = math.sqrt(6 / sum(parameter.shape))
            assert parameter.abs().max() <= bound and parameter.abs().max() > 0.99 * bound


def _saved_bytes(encoder: vit.VisionTransformer, x: Tensor) -> int:
    """Bytes of activations kept for the backward pass, parameters apart."""
    own = {p.data_ptr() for p in encoder.parameters()}
    total = 0

    def pack(t: Tensor) -> Tensor:
        nonlocal total
        total += 0 if t.untyped_storage().data_ptr() in own else t.nbytes
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        encoder(x).sum().backward()
    return total


def test_frozen_layers_learn_nothing_store_nothing_and_change_nothing() -> None:
    encoder, x = _encoder(), torch.randn(2, 4, 6, 6)
    before, all_bytes = encoder(x), _saved_bytes(encoder, x)
    encoder.zero_grad()
    encoder.freeze(2)
    kept = _saved_bytes(encoder, x)
    assert torch.equal(encoder(x), before)
    fixed = {"embedding.", "blocks.0.", "blocks.1."}
    for name, parameter in encoder.named_parameters():
        frozen = name.startswith(tuple(fixed))
        assert parameter.requires_grad is not frozen and (parameter.grad is None) is frozen, name
    # Only the last of three blocks and the norm keep activations.
    encoder.freeze(3)
    norm = _saved_bytes(encoder, x)
    assert norm < kept < all_bytes / 2
    # Not even where the input asks for a gradient.
    leaf = x.clone().requires_grad_()
    assert _saved_bytes(encoder, leaf) == norm and leaf.grad is None
    encoder.freeze(0)
    assert all(p.requires_grad for p in encoder.parameters())
    assert _saved_bytes(encoder, x) == all_bytes


def test_frozen_layers_stay_in_evaluation_mode() -> None:
    encoder = _encoder()
    encoder.freeze(2)
    encoder.train()
    assert [b.training for b in encoder.blocks] == [
        False,
        False,
        True,
    ] and not encoder.embedding.training
    encoder.freeze(0)
    assert encoder.embedding.training and all(b.training for b in encoder.blocks)
    assert not any(m.training for m in encoder.eval().modules())


@pytest.mark.parametrize("layers", [-1, 4])
def test_freezing_layers_that_do_not_exist_is_an_error(layers: int) -> None:
    with pytest.raises(ValueError, match="has 3"):
        _encoder().freeze(layers)


@pytest.mark.parametrize("frozen", [0, 1])
def test_recomputed_activations_give_the_same_gradients_from_less_memory(frozen: int) -> None:
    torch.manual_seed(0)
    encoder = vit.VisionTransformer(
        config.Encoder(shape=[4, 60], patch=[1, 10], width=16, depth=3, heads=2)
    )
    encoder.freeze(frozen)
    x, kept, found = torch.randn(3, 4, 60), {}, {}

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    for encoder.recompute in (False, True):
        sizes: list[int] = []
        encoder.zero_grad(set_to_none=True)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = encoder(x).square().mean()
        kept[encoder.recompute] = sum(sizes)
        loss.backward()
        found[encoder.recompute] = [
            None if p.grad is None else p.grad.clone() for p in encoder.parameters()
        ]
    assert all(
        a is b is None or torch.equal(a, b) for a, b in zip(found[False], found[True], strict=True)
    )
    assert kept[True] < kept[False] / 4
    with torch.no_grad():
        assert torch.equal(encoder(x), encoder(x))
