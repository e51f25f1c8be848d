"""What stands between tokens and a loss: pooling and projection. Shape letters: B batch, N tokens, D width."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.models import vit

Projector = nn.Linear | nn.Sequential


def pool(tokens_BND: Tensor) -> Tensor:
    """Average of the tokens: (B, D), float32 at least: what all samples share is far larger than what tells them apart."""
    return tokens_BND.mean(dim=1, dtype=torch.promote_types(tokens_BND.dtype, torch.float32))


def projector(width_in: int, width_out: int) -> nn.Linear:
    """The linear map of one modality into the shared space of the global loss (Sec. 3.2)."""
    linear = nn.Linear(width_in, width_out)
    vit.initialise(linear)
    return linear


def two_layer_projector(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    """Two linear layers with a ReLU between them (Turgut et al. 2025, whose projectors have no norm)."""
    return nn.Sequential(projector(width_in, hidden), nn.ReLU(), projector(hidden, width_out))


def like(state: Mapping[str, Tensor]) -> Projector:
    """A projector of the sizes of these weights, without the weights."""
    if "weight" in state:
        width_out, width_in = state["weight"].shape
        return projector(width_in, width_out)
    hidden, width_in = state["0.weight"].shape
    return two_layer_projector(width_in, hidden, len(state["2.weight"]))


@torch.no_grad()
def centre(projector: Projector, pooled_ND: Tensor) -> None:
    """Set a projector so that its first layer starts centred and of even spread over these samples; also under autocast."""
    linear = projector[0] if isinstance(projector, nn.Sequential) else projector
    assert isinstance(linear, nn.Linear)
    spread_D = pooled_ND.std(0, unbiased=False).clamp_min(1e-6)
    linear.weight.div_(spread_D)
    with torch.autocast(pooled_ND.device.type, enabled=False):  # the mean is far larger than the spread
        linear.bias.copy_(-linear.weight @ pooled_ND.mean(0))


def project(tokens_BND: Tensor, projector: Projector) -> Tensor:
    """Pooled and projected, (B, P); also under autocast in float32, since the projector takes the mean away (:func:`pool`)."""
    with torch.autocast(tokens_BND.device.type, enabled=False):
        projected: Tensor = projector(pool(tokens_BND))
    return projected


class AttentionPool(nn.Module):
    """One attention layer whose query is the mean of the tokens (Turgut et al. 2025), then a norm: (B, N, D) to (B, D)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key_value, self.project = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=vit.NORM_EPS)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """(B, D)."""
        query = self.query(pool(tokens_BND)[:, None].to(tokens_BND.dtype))
        parts = (query, *self.key_value(tokens_BND).chunk(2, -1))
        q, k, v = (part.view(*part.shape[:2], self.num_heads, -1).transpose(1, 2) for part in parts)
        pooled: Tensor = self.norm(self.project(vit.attend(q, k, v).transpose(1, 2).flatten(1)))
        return pooled


class Head(nn.Module):
    """Tokens to phenotypes in standard deviations of the training participants: (B, N, D) to (B, P).

    Attributes: `settings`; `mean` and `std` (P,), which bring :meth:`predict` into the units of the phenotypes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: config.Head) -> None:
        super().__init__()
        self.settings = settings
        self.attention = AttentionPool(settings.width, settings.heads) if settings.pool == "attention" else None
        self.linear = nn.Linear(settings.width, len(settings.phenotypes))
        self.register_buffer("mean", torch.zeros(len(settings.phenotypes)))
        self.register_buffer("std", torch.ones(len(settings.phenotypes)))
        self.apply(vit.initialise)

    def pooled(self, tokens_BND: Tensor) -> Tensor:
        """What the linear layer sees: (B, D), float32 at least."""
        if self.attention is None:
            return pool(tokens_BND)
        pooled: Tensor = self.attention(tokens_BND)
        return pooled.to(torch.promote_types(pooled.dtype, torch.float32))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """(B, P), in float32 also under autocast."""
        pooled_BD = self.pooled(tokens_BND)
        with torch.autocast(pooled_BD.device.type, enabled=False):
            scores: Tensor = self.linear(pooled_BD)
        return scores

    def predict(self, tokens_BND: Tensor) -> Tensor:
        """(B, P) in the units of the phenotypes."""
        scores: Tensor = self(tokens_BND)
        return scores * self.std + self.mean
