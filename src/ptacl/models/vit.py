"""One vision transformer for both modalities.

Patches are embedded by a linear map, which equals a convolution with stride = kernel. Shape
letters: B batch, S the axes of a sample (leads x time, or frames x height x width), N tokens, V
visible tokens, P values of a patch, D width, H attention heads.
"""

import math
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ptacl import config

MLP_RATIO = 4
NORM_EPS = 1e-6
TOKEN_STD = 0.02
# On a CPU, three plain operations are faster than fused attention for short sequences. The measured
# crossover is near 150 keys.
PLAIN_TOKENS = 150


def patchify(x_BS: Tensor, patch: Sequence[int]) -> Tensor:
    """Cut a batch of grids into patches.

    x_BS : (B, *shape), any number of axes. patch : one size per axis, which divides that axis.

    Returns (B, N, P): patches in row-major order of the grid, and the values of each patch in
    row-major order as well.
    """
    shape = x_BS.shape[1:]
    assert len(shape) == len(patch) and not any(s % p for s, p in zip(shape, patch, strict=True)), (
        f"patch {patch} does not divide {shape}"
    )
    axes = list(chain.from_iterable((s // p, p) for s, p in zip(shape, patch, strict=True)))
    grid, inner = range(1, 2 * len(patch), 2), range(2, 2 * len(patch) + 1, 2)
    cut = x_BS.reshape(-1, *axes).permute(0, *grid, *inner)
    return cut.reshape(x_BS.shape[0], -1, math.prod(patch))


def take(x_BNP: Tensor, tokens_BV: Tensor) -> Tensor:
    """Select the tokens `tokens_BV` of each sample: (B, V, P)."""
    return x_BNP.gather(1, tokens_BV[..., None].expand(-1, -1, x_BNP.shape[-1]))


def initialise(module: nn.Module) -> None:
    """Initialise weights as in He et al. 2022 (masked autoencoders); for `nn.Module.apply`.

    Matrices are Xavier uniform, biases zero.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def positions(num_tokens: int, width: int) -> nn.Parameter:
    """Create learnable positions (N, D), drawn from N(0, 0.02)."""
    return nn.Parameter(torch.randn(num_tokens, width) * TOKEN_STD)


def attend(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor) -> Tensor:
    """Compute scaled dot-product attention; there can be fewer queries than keys.

    The plain or the fused implementation is chosen by speed; the result is the same.
    """
    if q_BHND.device.type == "cpu" and k_BHND.shape[-2] <= PLAIN_TOKENS:
        weights = (q_BHND * q_BHND.shape[-1] ** -0.5) @ k_BHND.transpose(-2, -1)
        return torch.matmul(weights.softmax(-1), v_BHND)
    return F.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND)


class PatchEmbedding(nn.Module):
    """A linear map of patches plus learnable positions."""

    def __init__(self, num_tokens: int, patch_values: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(patch_values, width)
        self.positions = positions(num_tokens, width)

    def forward(self, patches_BNP: Tensor, visible_BV: Tensor | None = None) -> Tensor:
        """Embed to (B, N, D), or (B, V, D) with `visible_BV`.

        Masked patches are dropped before they are embedded, not after.
        """
        if visible_BV is None:
            tokens: Tensor = self.linear(patches_BNP) + self.positions
            return tokens
        tokens = self.linear(take(patches_BNP, visible_BV))
        return tokens + F.embedding(visible_BV, self.positions)


class Block(nn.Module):
    """A pre-norm transformer block: self-attention, then an MLP with the exact (erf) GELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.width, self.heads = width, heads
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, MLP_RATIO * width)
        self.contract = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x_BND: Tensor, start: int = 0) -> Tensor:
        """Compute the output for the tokens from `start` on: (B, N - start, D).

        All tokens are keys and values; queries and the MLP are only computed for the requested
        tokens.
        """
        parts = self._qkv(self.norm1(x_BND), start)
        q_BHND, k_BHND, v_BHND = (
            part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in parts
        )
        mixed_BND = attend(q_BHND, k_BHND, v_BHND).transpose(1, 2).flatten(2)
        x_BND = x_BND[:, start:] + self.project(mixed_BND)
        out: Tensor = x_BND + self.contract(F.gelu(self.expand(self.norm2(x_BND))))
        return out

    def _qkv(self, x_BND: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Compute query (B, N - start, D), key and value (B, N, D)."""
        if start == 0:
            q, k, v = torch.split(self.qkv(x_BND), self.width, -1)
            return q, k, v
        weight, bias, d = self.qkv.weight, self.qkv.bias, self.width
        k, v = torch.split(F.linear(x_BND, weight[d:], bias[d:]), d, -1)
        return F.linear(x_BND[:, start:], weight[:d], bias[:d]), k, v


class VisionTransformer(nn.Module):
    """Encode patches to tokens: embedding, blocks, final norm, without a class token.

    Attributes: `settings`; `patch`; `grid` (tokens per axis); `num_tokens`; `width`; `frozen`
    (number of fixed blocks); `recompute` (whether the backward pass recomputes the activations of a
    block, which are then not stored).
    """

    def __init__(self, settings: config.Encoder) -> None:
        super().__init__()
        self.settings, self.width = settings, settings.width
        self.patch = tuple(settings.patch)
        self.grid = tuple(s // p for s, p in zip(settings.shape, settings.patch, strict=True))
        self.num_tokens = math.prod(self.grid)
        self.frozen, self.recompute = 0, False
        self.embedding = PatchEmbedding(self.num_tokens, math.prod(self.patch), self.width)
        self.blocks = nn.ModuleList(
            Block(self.width, settings.heads) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.apply(initialise)

    def freeze(self, layers: int) -> None:
        """Keep the embedding and the first `layers` blocks fixed; 0 freezes nothing.

        The embedding includes the positions. Fixed parts run without gradient and store no
        activations, so no gradient reaches the input either. Raises ValueError if there are fewer
        blocks.
        """
        if not 0 <= layers <= len(self.blocks):
            raise ValueError(f"cannot freeze {layers} layers: the encoder has {len(self.blocks)}")
        self.frozen = layers
        self.embedding.requires_grad_(layers == 0)
        for i, block in enumerate(self.blocks):
            block.requires_grad_(i >= layers)
        self.train(self.training)

    def train(self, mode: bool = True) -> "VisionTransformer":
        """Set the mode as `nn.Module.train` does, but keep fixed parts in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for part in (self.embedding, *self.blocks[: self.frozen]):
                part.eval()
        return self

    def forward(self, x_BS: Tensor, visible_BV: Tensor | None = None) -> Tensor:
        """Encode (B, *shape) to tokens (B, N, D).

        With `visible_BV`, only those tokens are encoded, in that order: (B, V, D).
        """
        assert list(x_BS.shape[1:]) == self.settings.shape, (
            f"sample {tuple(x_BS.shape[1:])} does not fit the settings, {self.settings.shape}"
        )
        return self.encode(patchify(x_BS, self.patch), visible_BV)

    def encode(self, patches_BNP: Tensor, visible_BV: Tensor | None = None) -> Tensor:
        """Encode patches that have already been cut; otherwise as `forward`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen == 0):
            tokens: Tensor = self.embedding(patches_BNP, visible_BV)
            for block in self.blocks[: self.frozen]:
                tokens = block(tokens)
        again = self.recompute and torch.is_grad_enabled()
        for block in self.blocks[self.frozen :]:
            tokens = (
                checkpoint(block, tokens, use_reentrant=False, preserve_rng_state=False)
                if again
                else block(tokens)
            )
        tokens = self.norm(tokens)
        return tokens
