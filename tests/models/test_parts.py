"""Projectors of any kind are saved without pickle and rebuilt."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ptacl.models import parts, weights


class Gate(nn.Module):
    """A module of one's own, which keeps the arguments of its constructor."""

    def __init__(self, width: int, scale: float = 2.0) -> None:
        super().__init__()
        self.width, self.scale = width, scale
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.linear(x) * x.sigmoid()


class Forgetful(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)


class Default(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)


PROJECTORS = [
    nn.Linear(6, 4),
    nn.Linear(6, 4, bias=False),
    nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)),
    nn.Sequential(
        nn.LayerNorm(6, eps=1e-3),
        nn.Linear(6, 5),
        nn.GELU(approximate="tanh"),
        nn.BatchNorm1d(5, affine=False),
        nn.Sequential(nn.Dropout(0.2), nn.Linear(5, 4, bias=False)),
    ),
    nn.Sequential(Gate(6, scale=3.0), nn.PReLU(6)),
]


@pytest.mark.parametrize("number", range(len(PROJECTORS)))
def test_a_projector_comes_back_with_the_same_values(number: int, tmp_path: Path) -> None:
    projector = PROJECTORS[number].train()
    projector(torch.randn(8, 6))  # running statistics
    weights.save(tmp_path, {"ecg_projector": projector}, description={})
    loaded = weights.projector(tmp_path, "ecg_projector")
    pooled = torch.randn(3, 6)
    assert not loaded.training
    assert torch.equal(loaded(pooled), projector.eval()(pooled))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Forgetful(3), "keep the argument width of its constructor"),
        (Default(5), "keep each argument of its constructor in an attribute of the same name"),
        (nn.Sequential(nn.ReLU(), Forgetful(3)), "keep the argument width"),
    ],
)
def test_a_module_that_could_not_be_rebuilt_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parts.describe(module)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("subprocess:Popen", "is not a subclass of Module"),
        ("os:system", "is not a subclass of Module"),
        ("torch.nn:Nothing", "the module torch.nn has no class Nothing"),
        ("no_such_module:Thing", "there is no module no_such_module; put its file into the folder"),
    ],
)
def test_a_description_builds_nothing_but_modules(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parts.build({"class": name, "arguments": {}})
