"""Pooling, projection and heads between the tokens and a loss.

Shape letters: B batch, N tokens, D width, P width of the shared space or number of phenotypes.
"""

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.models import exact, vit

Projector = nn.Linear | nn.Sequential


def pool(tokens_BND: Tensor) -> Tensor:
    """Average the tokens: (B, D), at least float32.

    The precision matters because the component that all samples share is far larger than the
    differences between samples.
    """
    return tokens_BND.mean(dim=1, dtype=torch.promote_types(tokens_BND.dtype, torch.float32))


def projector(width_in: int, width_out: int, *, bias: bool = True) -> nn.Linear:
    """Create the linear map of one modality into the shared space of the global loss (Sec. 3.2)."""
    linear = exact.Linear(width_in, width_out, bias=bias)
    vit.initialise(linear)
    return linear


def two_layer_projector(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    """Create two linear layers with a ReLU between them.

    They have no norm, as in Turgut et al. 2025.
    """
    return nn.Sequential(projector(width_in, hidden), nn.ReLU(), projector(hidden, width_out))


@torch.no_grad()
def centre(projector: Projector, pooled_ND: Tensor) -> None:
    """Set a projector so that its first layer starts centred, with even spread, on these samples.

    This also holds under autocast. Without a bias, the layer only starts with even spread.
    """
    linear = projector[0] if isinstance(projector, nn.Sequential) else projector
    assert isinstance(linear, nn.Linear)
    spread_D = pooled_ND.std(0, unbiased=False).clamp_min(1e-6)
    linear.weight.div_(spread_D)
    if linear.bias is None:
        return
    with torch.autocast(pooled_ND.device.type, enabled=False):  # the mean far exceeds the spread
        linear.bias.copy_(-linear.weight @ pooled_ND.mean(0))


def project(tokens_BND: Tensor, projector: nn.Module) -> Tensor:
    """Pool and project, (B, P).

    The result is computed in float32 even under autocast, because the projector subtracts the mean
    (see :func:`pool`).
    """
    with torch.autocast(tokens_BND.device.type, enabled=False):
        projected: Tensor = projector(pool(tokens_BND))
    return projected


class AttentionPool(nn.Module):
    """One attention layer whose query is the mean of the tokens, then a norm: (B, N, D) to (B, D).

    As in Turgut et al. 2025.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key_value, self.project = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.norm = nn.LayerNorm(width, eps=vit.NORM_EPS)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Pool the tokens to (B, D)."""
        query = self.query(pool(tokens_BND)[:, None].to(tokens_BND.dtype))
        parts = (query, *self.key_value(tokens_BND).chunk(2, -1))
        q, k, v = (part.view(*part.shape[:2], self.num_heads, -1).transpose(1, 2) for part in parts)
        pooled: Tensor = self.norm(self.project(vit.attend(q, k, v).transpose(1, 2).flatten(1)))
        return pooled


class PredictionHead(nn.Module):
    """Map tokens to phenotypes, as z-scores of the training split: (B, N, D) to (B, P).

    Attributes: `settings`; `mean` and `std` (P,) of the training participants, which
    :meth:`predict` uses to return the units of the phenotypes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: config.Head) -> None:
        super().__init__()
        self.settings = settings
        self.attention = (
            AttentionPool(settings.width, settings.heads) if settings.pool == "attention" else None
        )
        self.linear = exact.Linear(settings.width, len(settings.phenotypes))
        self.register_buffer("mean", torch.zeros(len(settings.phenotypes)))
        self.register_buffer("std", torch.ones(len(settings.phenotypes)))
        self.apply(vit.initialise)

    def pooled(self, tokens_BND: Tensor) -> Tensor:
        """Return the input of the linear layer: (B, D), at least float32."""
        if self.attention is None:
            return pool(tokens_BND)
        pooled: Tensor = self.attention(tokens_BND)
        return pooled.to(torch.promote_types(pooled.dtype, torch.float32))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Compute (B, P), in float32 even under autocast."""
        pooled_BD = self.pooled(tokens_BND)
        with torch.autocast(pooled_BD.device.type, enabled=False):
            scores: Tensor = self.linear(pooled_BD)
        return scores

    def predict(self, tokens_BND: Tensor) -> Tensor:
        """Predict (B, P) in the units of the phenotypes."""
        scores: Tensor = self(tokens_BND)
        return scores * self.std + self.mean
