"""What stands between tokens and a loss: pooling and projection. Shape letters: B batch, N tokens, D width."""

from torch import Tensor, nn

from ptacl.models import vit


def pool(tokens_BND: Tensor) -> Tensor:
    """Average of the tokens: (B, D)."""
    return tokens_BND.mean(dim=1)


def projector(width_in: int, width_out: int) -> nn.Linear:
    """The linear map of one modality into the shared space of the global loss (Sec. 3.2)."""
    linear = nn.Linear(width_in, width_out)
    vit.initialise(linear)
    return linear
