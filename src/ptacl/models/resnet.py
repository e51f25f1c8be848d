"""ResNet-50 as an encoder of a few frames, which are its input channels.

The four stages of 3, 4, 6 and 3 bottlenecks are those of He et al. 2016, with the stride in the 3 x
3 convolution. The number of channels is a setting; the original has 64 at its first convolution.
With several processes, each normalises its own part of the batch.

Shape letters: B batch, C channels, H height, W width, N tokens (positions of the last feature map),
D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ptacl import config

STAGES = (3, 4, 6, 3)
EXPANSION = 4


def _convolution(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, active: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(
        channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(
        convolution, nn.BatchNorm2d(channels_out), *([nn.ReLU(inplace=True)] if active else [])
    )


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions with a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        inner = channels_out // EXPANSION
        self.residual = nn.Sequential(
            _convolution(channels_in, inner, 1),
            _convolution(inner, inner, 3, stride=stride),
            _convolution(inner, channels_out, 1, active=False),
        )
        same = channels_in == channels_out and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else _convolution(channels_in, channels_out, 1, stride=stride, active=False)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H', W')."""
        out: Tensor = (self.residual(x_BCHW) + self.shortcut(x_BCHW)).relu_()
        return out


class ResNet50(nn.Module):
    """Encode frames, as channels, to tokens, the positions of the last feature map.

    Attributes: `settings`; `grid` (one phase, then rows and columns); `num_tokens`; `width`;
    `blocks`; `frozen`.
    """

    def __init__(self, settings: config.ResNet) -> None:
        super().__init__()
        self.settings, self.frozen = settings, 0
        frames, *image = settings.shape
        self.stem = nn.Sequential(
            _convolution(frames, settings.base_width, 7, stride=2),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        blocks, channels = [], settings.base_width
        for stage, depth in enumerate(STAGES):
            wanted = EXPANSION * settings.base_width * 2**stage
            for i in range(depth):
                blocks.append(Bottleneck(channels, wanted, stride=2 if stage and i == 0 else 1))
                channels = wanted
        self.blocks, self.width = nn.ModuleList(blocks), channels
        self.grid = (1, *(-(-side // 32) for side in image))
        self.num_tokens = self.grid[1] * self.grid[2]

    def freeze(self, layers: int) -> None:
        """Keep the stem and the first `layers` bottlenecks fixed; 0 freezes nothing.

        The statistics of their norms are fixed as well. Raises ValueError if there are fewer
        bottlenecks.
        """
        if not 0 <= layers <= len(self.blocks):
            raise ValueError(f"cannot freeze {layers} layers: the encoder has {len(self.blocks)}")
        self.frozen = layers
        for part in self._fixed(len(self.blocks)):
            part.requires_grad_(True)
        for part in self._fixed(layers):
            part.requires_grad_(False)
        self.train(self.training)

    def _fixed(self, layers: int) -> Sequence[nn.Module]:
        return [self.stem, *self.blocks[:layers]] if layers else []

    def train(self, mode: bool = True) -> "ResNet50":
        """Set the mode as `nn.Module.train` does, but keep fixed parts in evaluation mode."""
        super().train(mode)
        for part in self._fixed(self.frozen):
            part.eval()
        return self

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Encode (B, *shape) to tokens (B, N, D)."""
        assert list(x_BCHW.shape[1:]) == self.settings.shape, (
            f"sample {tuple(x_BCHW.shape[1:])} does not fit the settings, {self.settings.shape}"
        )
        # With channels last, a forward and backward pass takes 3/4 of the time.
        x_BCHW = self.stem(x_BCHW.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x_BCHW = block(x_BCHW)
        return x_BCHW.flatten(2).transpose(1, 2)
