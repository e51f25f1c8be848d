import torch

from ptacl.models import heads


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
