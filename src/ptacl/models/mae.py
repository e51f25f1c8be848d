"""Masked autoencoder over any patch grid (He et al. 2022; VideoMAE).

The encoder sees the visible tokens, and the loss only uses the masked ones. Shape letters: B batch,
S the axes of a sample, N tokens, V visible and M masked ones (V + M = N), P values of a patch, D
width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptacl import config
from ptacl.models import vit


def num_visible(num_tokens: int, mask_ratio: float) -> int:
    """Return the number of tokens that stay visible: N (1 - ratio), rounded down.

    Raises ValueError if no token or all tokens would stay visible.
    """
    # Round first, because 600 x (1 - 0.9) is 59.999... in binary floating point.
    visible = int(round(num_tokens * (1 - mask_ratio), 6))
    if not 0 < visible < num_tokens:
        raise ValueError(
            f"mask_ratio {mask_ratio} leaves {visible} of {num_tokens} tokens visible; one "
            "must be visible and one masked"
        )
    return visible


def split(noise_BN: Tensor, visible: int) -> tuple[Tensor, Tensor]:
    """Sort token indices by noise: the lowest `visible` (B, V), and the masked rest (B, M)."""
    order_BN = noise_BN.argsort(dim=1, stable=True)
    return order_BN[:, :visible], order_BN[:, visible:]


def sines(grid: Sequence[int], width: int) -> Tensor:
    """Compute sines and cosines of the position on each axis of a grid, as in He et al. 2022.

    Each axis has an equal part of the width, with wavelengths from 2 pi to 10,000 times that; the
    remainder of the width is zero. Returns (N, D), row-major.
    """
    part = width // len(grid) // 2
    out = torch.zeros(*grid, width)
    for axis, size in enumerate(grid):
        frequency_W = 1e4 ** -(torch.arange(part) / max(part, 1))
        angle_SW = torch.arange(size)[:, None] * frequency_W
        shape = [size if a == axis else 1 for a in range(len(grid))]
        out[..., 2 * axis * part : 2 * (axis + 1) * part] = torch.cat(
            [angle_SW.sin(), angle_SW.cos()], 1
        ).reshape(*shape, -1)
    return out.reshape(-1, width)


class MaskedDecoder(nn.Module):
    """Predict the masked patches.

    The sequence is the visible tokens, then the masked ones. Attention only knows the order of
    tokens from their positions, so the original order is not restored. The masked tokens are then a
    slice, and the last block and the head are only computed for them.
    """

    def __init__(self, encoder: vit.VisionTransformer, settings: config.Decoder) -> None:
        super().__init__()
        width = settings.width
        self.embed = nn.Linear(encoder.width, width)
        self.mask_token = nn.Parameter(torch.randn(width) * vit.TOKEN_STD)
        self.positions = nn.Parameter(sines(encoder.grid, width))  # as in He et al., but learnable
        self.blocks = nn.ModuleList(vit.Block(width, settings.heads) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(width, eps=vit.NORM_EPS)
        self.head = nn.Linear(width, encoder.embedding.linear.in_features)
        self.apply(vit.initialise)

    def forward(self, tokens_BVD: Tensor, visible_BV: Tensor, masked_BM: Tensor) -> Tensor:
        """Predict the masked patches from the encoded visible tokens: (B, M, P), in the order of
        `masked_BM`.
        """
        x_BVD = self.embed(tokens_BVD) + F.embedding(visible_BV, self.positions)
        x_BMD = self.mask_token + F.embedding(masked_BM, self.positions)
        x_BND = torch.cat([x_BVD, x_BMD], dim=1)
        for block in self.blocks[:-1]:
            x_BND = block(x_BND)
        x_BMD = self.blocks[-1](x_BND, start=visible_BV.shape[1])
        patches_BMP: Tensor = self.head(self.norm(x_BMD))
        return patches_BMP


class LatentDecoder(nn.Module):
    """Predict all patches from one vector, which is added to the position of each."""

    def __init__(
        self, encoder: vit.VisionTransformer, settings: config.Decoder, *, latent_width: int
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(latent_width, settings.width)
        self.positions = nn.Parameter(sines(encoder.grid, settings.width))
        self.blocks = nn.ModuleList(
            vit.Block(settings.width, settings.heads) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(settings.width, eps=vit.NORM_EPS)
        self.head = nn.Linear(settings.width, encoder.embedding.linear.in_features)
        self.apply(vit.initialise)

    def forward(self, latent_BP: Tensor) -> Tensor:
        """Decode (B, P) to patches (B, N, values of a patch)."""
        x_BND = self.embed(latent_BP)[:, None] + self.positions
        for block in self.blocks:
            x_BND = block(x_BND)
        patches: Tensor = self.head(self.norm(x_BND))
        return patches


class MAE(nn.Module):
    """Encoder and decoder, with the reconstruction loss."""

    def __init__(
        self, encoder: vit.VisionTransformer, decoder: config.Decoder, *, mask_ratio: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = MaskedDecoder(encoder, decoder)
        self.num_visible = num_visible(encoder.num_tokens, mask_ratio)

    def reconstruct(
        self, x_BS: Tensor, noise_BN: Tensor, clean_BS: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return predicted (B, M, P) and true (B, M, P) patches, and their token indices (B, M).

        x_BS : (B, *shape). noise_BN : one uniform number per token; the lowest stay visible.
        clean_BS : the sample before it was corrupted, if x is; its patches are then the true ones.
        """
        patches_BNP = vit.patchify(x_BS, self.encoder.patch)
        visible_BV, masked_BM = split(noise_BN, self.num_visible)
        tokens_BVD = self.encoder.encode(patches_BNP, visible_BV)
        true_BNP = patches_BNP if clean_BS is None else vit.patchify(clean_BS, self.encoder.patch)
        return (
            self.decoder(tokens_BVD, visible_BV, masked_BM),
            vit.take(true_BNP, masked_BM),
            masked_BM,
        )

    def forward(
        self, x_BS: Tensor, noise_BN: Tensor, clean_BS: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compute `loss`, the mean squared error over the values of the masked patches.

        The arguments are those of :meth:`reconstruct`.
        """
        predicted_BMP, true_BMP, _ = self.reconstruct(x_BS, noise_BN, clean_BS)
        return {"loss": F.mse_loss(predicted_BMP.to(true_BMP.dtype), true_BMP)}
