import torch
from torch import nn

from ptacl.models import exact, heads, weights


def test_pool_is_the_average_over_tokens() -> None:
    tokens = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(heads.pool(tokens), torch.stack([tokens[i].sum(0) / 3 for i in range(2)]))


def test_projector_is_linear_and_keeps_the_scale() -> None:
    torch.manual_seed(0)
    project = heads.projector(512, 128)
    out = project(torch.randn(64, 512))
    assert out.shape == (64, 128) and torch.count_nonzero(project.bias) == 0
    # Xavier: variance of the output is 2 x 512 / (512 + 128) of that of the input.
    assert abs(out.var().item() / 1.6 - 1) < 0.1


def test_a_two_layer_projector_starts_centred_and_comes_back_from_a_model_folder(tmp_path):
    """As in MMCL: two linear layers with a ReLU between them and no norm."""
    torch.manual_seed(0)
    projector = heads.two_layer_projector(8, 5, 3)
    assert [type(layer) for layer in projector] == [exact.Linear, nn.ReLU, exact.Linear]
    pooled = torch.randn(200, 8) * 0.01 + 4
    heads.centre(projector, pooled)
    hidden = projector[0](pooled)
    assert hidden.mean(0).abs().max() < 1e-3
    assert hidden.std() > 0.3
    weights.save(tmp_path, {"ecg_projector": projector}, description={})
    loaded = weights.projector(tmp_path, "ecg_projector")
    assert torch.equal(loaded(pooled), projector(pooled))
