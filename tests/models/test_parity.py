"""The MAE agrees with transformers' VideoMAE (CMR) and ViTMAE (ECG) on the same weights:
prediction, loss and gradients.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.models import vit
from ptacl.models.mae import MAE

modeling_vit_mae = pytest.importorskip(
    "transformers.models.vit_mae.modeling_vit_mae", reason="transformers is not installed"
)
transformers = pytest.importorskip("transformers")

Pick = Callable[[Tensor], Tensor]
TYPES = [(torch.float64, 1e-9), (torch.float32, 2e-5)]
# Positions are 18 x 18, a number of tokens that ViTMAE can start with; both forms of attention are
# met.
ECG = config.Encoder(shape=[12, 1350], patch=[1, 50], width=32, depth=3, heads=4)
CMR = config.Encoder(shape=[6, 84, 84], patch=[2, 12, 12], width=32, depth=3, heads=4)
NORM_EPS = 1e-6  # of the published MAE and VideoMAE; transformers' own default differs
DECODER = config.Decoder(width=24, depth=1, heads=2)


def _ours(settings: config.Encoder, ratio: float, dtype: torch.dtype) -> MAE:
    return MAE(vit.VisionTransformer(settings), DECODER, mask_ratio=ratio).to(dtype)


def _shuffle_weights(model: nn.Module) -> None:
    """Away from zero biases, unit norms and zero mask tokens, which would hide a mistake."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
        parameter.data += 0.2 * torch.randn_like(parameter)


def _module(prefix: str, module: nn.Module, pick: Pick) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": pick(parameter) for name, parameter in module.named_parameters()}


def _fused(prefix: str, q: nn.Linear, k: nn.Linear, v: nn.Linear, pick: Pick) -> dict[str, Tensor]:
    # VideoMAE has no key bias: softmax takes no notice of one.
    biases = [
        pick(m.bias) if m.bias is not None else torch.zeros_like(pick(v.bias)) for m in (q, k, v)
    ]
    return {
        f"{prefix}.weight": torch.cat([pick(m.weight) for m in (q, k, v)]),
        f"{prefix}.bias": torch.cat(biases),
    }


def _blocks(
    prefix: str, layers: nn.ModuleList, parts: Callable[[Any], dict[str, nn.Module]], pick: Pick
) -> dict[str, Tensor]:
    """Parameters of their layers under our names; `parts` gives the modules of one layer."""
    out: dict[str, Tensor] = {}
    for i, layer in enumerate(layers):
        named = parts(layer)
        out |= _fused(f"{prefix}.{i}.qkv", named.pop("q"), named.pop("k"), named.pop("v"), pick)
        for name, module in named.items():
            out |= _module(f"{prefix}.{i}.{name}", module, pick)
    return out


def _assert_close(ours: Tensor, theirs: Tensor, rtol: float, name: str = "") -> None:
    assert ours.shape == theirs.shape, name
    assert (ours - theirs).norm() <= rtol * theirs.norm() + rtol * 1e-2, name


def _assert_same_gradients(
    model: MAE, theirs: dict[str, Tensor], rtol: float, without: set[str]
) -> None:
    ours = {
        name: parameter.grad for name, parameter in model.named_parameters() if name not in without
    }
    assert ours.keys() == theirs.keys() - without
    for name, gradient in ours.items():
        assert gradient is not None
        _assert_close(gradient, theirs[name], rtol, name)


def _videomae_parts(layer: Any) -> dict[str, nn.Module]:
    a = layer.attention
    return {
        "q": a.attention.query,
        "k": a.attention.key,
        "v": a.attention.value,
        "project": a.output.dense,
        "norm1": layer.layernorm_before,
        "norm2": layer.layernorm_after,
        "expand": layer.intermediate.dense,
        "contract": layer.output.dense,
    }


def _videomae_weights(model: Any, pick: Pick) -> dict[str, Tensor]:
    v = model.videomae
    return {
        "encoder.embedding.linear.weight": pick(
            v.embeddings.patch_embeddings.projection.weight
        ).flatten(1),
        "encoder.embedding.linear.bias": pick(v.embeddings.patch_embeddings.projection.bias),
        **_blocks("encoder.blocks", v.encoder.layer, _videomae_parts, pick),
        **_module("encoder.norm", v.layernorm, pick),
        **_module("decoder.embed", model.encoder_to_decoder, pick),
        "decoder.mask_token": pick(model.mask_token)[0, 0],
        **_blocks("decoder.blocks", model.decoder.decoder_layers, _videomae_parts, pick),
        **_module("decoder.norm", model.decoder.norm, pick),
        **_module("decoder.head", model.decoder.head, pick),
    }


@pytest.mark.parametrize(("dtype", "rtol"), TYPES)
def test_cmr_agrees_with_videomae(dtype: torch.dtype, rtol: float) -> None:
    """Their loss takes three channels or patches scaled to unit variance; ours is taken from their
    prediction instead.
    """
    torch.manual_seed(0)
    settings = transformers.VideoMAEConfig(
        image_size=84,
        patch_size=12,
        num_channels=1,
        num_frames=6,
        tubelet_size=2,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        layer_norm_eps=NORM_EPS,
        use_mean_pooling=False,
        decoder_num_attention_heads=2,
        decoder_hidden_size=24,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=96,
    )
    theirs = transformers.VideoMAEForPreTraining(settings)
    theirs.decoder.norm.eps = NORM_EPS
    _shuffle_weights(theirs)
    theirs.to(dtype)
    # Their positions are fixed tables: ours get the same, and no gradient to compare. Their map to
    # the decoder has no bias.
    widths = {"encoder.embedding.positions": 32, "decoder.positions": 24}
    tables = {name: torch.randn(147, width, dtype=dtype) for name, width in widths.items()}
    theirs.videomae.embeddings.position_embeddings, theirs.position_embeddings = (
        t[None] for t in tables.values()
    )
    absent = tables | {"decoder.embed.bias": torch.zeros(24, dtype=dtype)}
    model = _ours(CMR, 0.9, dtype)
    model.load_state_dict(_videomae_weights(theirs, lambda p: p.data) | absent)

    x, noise = torch.rand(3, 6, 84, 84, dtype=dtype), torch.rand(3, 147)
    hidden = noise.argsort(1).argsort(1) >= model.num_visible
    predicted, _, masked = model.reconstruct(x, noise)
    logits = theirs(x[:, :, None], bool_masked_pos=hidden).logits
    order = masked.argsort(1)  # theirs come by rising position
    _assert_close(vit.take(predicted, order), logits, rtol)

    patches = x.unfold(1, 2, 2).unfold(2, 12, 12).unfold(3, 12, 12).reshape(3, 147, 288)
    expected = (logits - patches[hidden].view(3, -1, 288)).square().mean()
    loss = model(x, noise)["loss"]
    _assert_close(loss, expected, rtol)
    loss.backward()
    expected.backward()
    _assert_same_gradients(model, _videomae_weights(theirs, lambda p: p.grad), rtol, set(absent))


def _vitmae_parts(layer: Any) -> dict[str, nn.Module]:
    a = layer.attention
    return {
        "q": a.q_proj,
        "k": a.k_proj,
        "v": a.v_proj,
        "project": a.o_proj,
        "norm1": layer.layernorm_before,
        "norm2": layer.layernorm_after,
        "expand": layer.mlp.fc1,
        "contract": layer.mlp.fc2,
    }


def _vitmae_weights(model: Any, pick: Pick) -> dict[str, Tensor]:
    e, d = model.vit.embeddings, model.decoder
    return {
        "encoder.embedding.linear.weight": pick(e.patch_embeddings.projection.weight).flatten(1),
        "encoder.embedding.linear.bias": pick(e.patch_embeddings.projection.bias),
        "encoder.embedding.positions": pick(e.position_embeddings)[0, 1:],
        **_blocks("encoder.blocks", model.vit.layers, _vitmae_parts, pick),
        **_module("encoder.norm", model.vit.layernorm, pick),
        **_module("decoder.embed", d.decoder_embed, pick),
        "decoder.mask_token": pick(d.mask_token)[0, 0],
        "decoder.positions": pick(d.decoder_pos_embed)[0, 1:],
        **_blocks("decoder.blocks", d.decoder_layers, _vitmae_parts, pick),
        **_module("decoder.norm", d.decoder_norm, pick),
        **_module("decoder.head", d.decoder_pred, pick),
    }


def _vitmae_without_class_token(dtype: torch.dtype) -> Any:
    """ViTMAE for an ECG grid. Its code runs as published, but for two things:

    it assumes square images and patches, so it is built square and then given patches of 1 x 50;
    and it has a class token,
    which hooks take out before the first layer of encoder and decoder and put back, as zeros, where
    its code cuts it off.
    """
    settings = transformers.ViTMAEConfig(
        image_size=18,
        patch_size=1,
        num_channels=1,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        layer_norm_eps=NORM_EPS,
        decoder_num_attention_heads=2,
        decoder_hidden_size=24,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=96,
        mask_ratio=0.75,
        norm_pix_loss=False,
    )
    model = transformers.ViTMAEForPreTraining(settings)
    oblong = SimpleNamespace(
        image_size=(12, 1350), patch_size=(1, 50), num_channels=1, hidden_size=32
    )
    model.vit.embeddings.patch_embeddings = modeling_vit_mae.ViTMAEPatchEmbeddings(oblong)
    model.vit.embeddings.image_size = oblong.image_size
    model.decoder.decoder_pred = nn.Linear(24, 50)
    model.patchify = lambda pixels, **_: pixels.reshape(len(pixels), 324, 50)

    def with_zeros(tokens: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1)

    model.vit.embeddings.register_forward_hook(lambda _, __, out: (out[0][:, 1:], *out[1:]))
    model.decoder.decoder_embed.register_forward_pre_hook(lambda _, args: (with_zeros(args[0]),))
    model.decoder.decoder_layers[0].register_forward_pre_hook(lambda _, args: (args[0][:, 1:],))
    model.decoder.decoder_pred.register_forward_hook(lambda _, __, out: with_zeros(out))
    _shuffle_weights(model)
    return model.to(dtype)


@pytest.mark.parametrize(("dtype", "rtol"), TYPES)
def test_ecg_agrees_with_vitmae(dtype: torch.dtype, rtol: float) -> None:
    torch.manual_seed(0)
    theirs = _vitmae_without_class_token(dtype)
    model = _ours(ECG, 0.75, dtype)
    model.load_state_dict(_vitmae_weights(theirs, lambda p: p.data))

    x, noise = torch.randn(3, 12, 1350, dtype=dtype), torch.rand(3, 324)
    predicted, _, masked = model.reconstruct(x, noise)
    result = theirs(x[:, None], noise=noise)
    assert torch.equal(result.mask.nonzero()[:, 1].view(3, -1), masked.sort(1).values)
    _assert_close(predicted, vit.take(result.logits, masked), rtol)

    loss = model(x, noise)["loss"]
    _assert_close(loss, result.loss, rtol)
    loss.backward()
    result.loss.backward()
    _assert_same_gradients(model, _vitmae_weights(theirs, lambda p: p.grad), rtol, set())
