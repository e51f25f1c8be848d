"""Matrix products that keep the precision of float32 where the rest of a training uses TF32.

With `precision: tf32`, a GPU rounds the factors of float32 products to the 10 bits of TF32. That is
too coarse for embeddings and losses: the component that all samples share is far larger than their
differences. Their products are then computed in float64, forward and backward.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_rounded = False  # whether products of float32 are rounded to TF32


@contextmanager
def tf32(used: bool) -> Iterator[None]:
    """Allow or forbid TF32 inside the context; without it, PyTorch uses it for convolutions."""
    global _rounded
    before = (_rounded, torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    _rounded = used
    if torch.cuda.is_available():  # a CPU would choose faster products, too
        torch.set_float32_matmul_precision("high" if used else "highest")
    torch.backends.cudnn.allow_tf32 = used
    try:
        yield
    finally:
        _rounded = before[0]
        torch.set_float32_matmul_precision(before[1])
        torch.backends.cudnn.allow_tf32 = before[2]


def product(a: Tensor, b: Tensor) -> Tensor:
    """Compute the matrix product of two tensors of one type, with the precision of this type."""
    if not _rounded or a.dtype != torch.float32:
        return a @ b
    return (a.double() @ b.double()).to(a.dtype)


class Linear(nn.Linear):
    """A linear layer whose products have the precision of its weights."""

    def forward(self, values: Tensor) -> Tensor:
        """Compute (..., out) from (..., in)."""
        if not _rounded or values.dtype != torch.float32:
            return super().forward(values)
        bias = None if self.bias is None else self.bias.double()
        return F.linear(values.double(), self.weight.double(), bias).to(values.dtype)
