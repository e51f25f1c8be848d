"""What stands between tokens and a loss: pooling and projection. Shape letters: B batch, N tokens, D width."""

import torch
from torch import Tensor, nn

from ptacl.models import vit


def pool(tokens_BND: Tensor) -> Tensor:
    """Average of the tokens: (B, D), float32 at least: what all samples share is far larger than what tells them apart."""
    return tokens_BND.mean(dim=1, dtype=torch.promote_types(tokens_BND.dtype, torch.float32))


def projector(width_in: int, width_out: int) -> nn.Linear:
    """The linear map of one modality into the shared space of the global loss (Sec. 3.2)."""
    linear = nn.Linear(width_in, width_out)
    vit.initialise(linear)
    return linear


def project(tokens_BND: Tensor, projector: nn.Linear) -> Tensor:
    """Pooled and projected, (B, P); also under autocast in float32, since the projector takes the mean away (:func:`pool`)."""
    with torch.autocast(tokens_BND.device.type, enabled=False):
        projected: Tensor = projector(pool(tokens_BND))
    return projected
