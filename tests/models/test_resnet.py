import pytest
import torch

from ptacl import config
from ptacl.models.resnet import ResNet50

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def pair(base_width=8, side=70):
    """Ours and transformers' ResNetModel with the same weights and statistics."""
    wanted = {
        "embedding_size": base_width,
        "hidden_sizes": [4 * base_width * 2**i for i in range(4)],
        "depths": [3, 4, 6, 3],
    }
    theirs = transformers.ResNetModel(
        transformers.ResNetConfig(num_channels=3, layer_type="bottleneck", **wanted)
    )
    ours = ResNet50(config.ResNet(shape=[3, side, side], base_width=base_width))
    parts = [(ours.stem, theirs.embedder)]
    for mine, other in zip(
        ours.blocks, (b for stage in theirs.encoder.stages for b in stage.layers), strict=True
    ):
        parts.append((mine.residual, other.layer))
        if not isinstance(other.shortcut, torch.nn.Identity):
            parts.append((mine.shortcut, other.shortcut))
    generator = torch.Generator().manual_seed(0)
    for mine, other in parts:
        for value, target in zip(
            mine.state_dict().values(), other.state_dict().values(), strict=True
        ):
            assert value.shape == target.shape
            if value.dtype.is_floating_point:
                value.copy_(
                    torch.rand(value.shape, generator=generator) * 0.5
                    + (0.5 if value.ndim == 1 else -0.25)
                )
            target.copy_(value)
    return ours, theirs


@pytest.mark.parametrize("train", [False, True])
def test_same_weights_give_the_same_map_as_transformers(train):
    ours, theirs = pair()
    x = torch.randn(4, 3, 70, 70, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = ours.train(train)(x), theirs.train(train)(x).last_hidden_state
    assert found.shape == (4, 9, 256) == (4, ours.num_tokens, ours.width)
    scale = expected.abs().max()
    assert torch.allclose(found / scale, expected.flatten(2).transpose(1, 2) / scale, atol=1e-5)


def test_at_64_channels_it_is_resnet_50():
    ours = ResNet50(config.ResNet(shape=[3, 84, 84], base_width=64))
    assert (
        sum(p.numel() for p in ours.parameters()) == 23_508_032
        and ours.width == 2048
        and ours.grid == (1, 3, 3)
    )


def test_frozen_layers_stay_as_they_are_statistics_too():
    ours = ResNet50(config.ResNet(shape=[3, 32, 32], base_width=4))
    ours.freeze(2)
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    ours.train()(torch.randn(4, 3, 32, 32)).sum().backward()
    fixed = ("stem.", "blocks.0.", "blocks.1.")
    assert all(p.requires_grad != name.startswith(fixed) for name, p in ours.named_parameters())
    changed = {k for k, v in ours.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not [k for k in changed if k.startswith(fixed)]
    with pytest.raises(ValueError, match="cannot freeze 17 layers"):
        ours.freeze(17)
