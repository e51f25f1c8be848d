"""Apply augmentations to batches on the training device.

The draws are made before, with NumPy (:mod:`ptacl.learning.draws`), and applied here, with tensors
on any device. Changes that move a recording (crop, rotation, flip, choice of frames) are separate
from those that corrupt it, because a reconstruction must not learn the corruption.

On a GPU nothing loops over samples: noise is a window of a fixed pool, and its start is drawn. On a
CPU each cine goes through all operations separately, because one cine fits into the cache and a
batch does not.

Shape letters: B batch, L leads, S samples, T frames, H W image. The ECG is never reversed in time
or sign, because R-peaks would move.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ptacl.config import CmrAugmentation, EcgAugmentation
from ptacl.learning.draws import CmrDraw, EcgDraw

JITTER_SHARE = 0.6  # share of the signal, as in the published ECG pipelines that this follows
_POOL = 1 << 20  # numbers in the pool; the window of a record or image can start anywhere in it


def corrupt_ecg(signal_BLS: Tensor, draw: EcgDraw, *, settings: EcgAugmentation) -> Tensor:
    """Apply Fourier surrogate, jitter and rescaling to crops (B, L, S), in this order, in place."""
    device = signal_BLS.device
    noise_B = draw.on("noise_B", device)
    if len(draw.surrogate):
        rows = draw.on("surrogate", device)
        frequencies = signal_BLS.shape[-1] // 2 + 1
        unit = _noise(noise_B[rows], (frequencies,), normal=False)
        phase = unit * (2 * math.pi * settings.surrogate_magnitude)
        signal_BLS[rows] = surrogate(signal_BLS[rows], phase)
    if len(draw.jitter):
        rows = draw.on("jitter", device)
        noise = _noise(noise_B[rows], tuple(signal_BLS.shape[1:]), normal=True)
        signal_BLS[rows] *= noise.mul_(JITTER_SHARE * settings.jitter).add_(1)
    signal_BLS *= draw.on("factor_B", device)[:, None, None]
    return signal_BLS


def surrogate(signal_BLS: Tensor, phase_BF: Tensor) -> Tensor:
    """Add a phase to every frequency of the signal: (B, L, S).

    All leads of a record get the same phases, so that Einthoven's law still holds. `phase_BF` is in
    radians, with one value per frequency of a real transform. The mean and the Nyquist frequency
    keep their phase.
    """
    phase_BF = phase_BF.clone()
    phase_BF[:, 0] = 0
    if signal_BLS.shape[-1] % 2 == 0:
        phase_BF[:, -1] = 0
    turn = torch.polar(torch.ones_like(phase_BF), phase_BF)
    spectrum = torch.fft.rfft(signal_BLS) * turn[:, None]
    shifted_BLS: Tensor = torch.fft.irfft(spectrum, n=signal_BLS.shape[-1])
    return shifted_BLS


def cmr(
    frames_BTHW: Tensor,
    draw: CmrDraw | None,
    *,
    settings: CmrAugmentation | None,
    clean: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Convert uint8 cines to floating point in 0..1, then move and corrupt them.

    With `clean`, the cines are also returned as they were after the move and before the corruption.
    """
    out_BTHW = torch.empty(frames_BTHW.shape, device=frames_BTHW.device)
    clean_BTHW = torch.empty_like(out_BTHW) if clean else None
    size = 1 if frames_BTHW.device.type == "cpu" else max(len(frames_BTHW), 1)
    for start in range(0, len(frames_BTHW), size):
        rows = slice(start, start + size)
        part_CTHW = out_BTHW[rows].copy_(frames_BTHW[rows]).div_(255)
        of_part = draw if draw is None or size == len(frames_BTHW) else draw.part(rows)
        if of_part is not None:
            move_cmr(part_CTHW, of_part)
        if clean_BTHW is not None:
            clean_BTHW[rows] = part_CTHW
        if of_part is not None and settings is not None:
            corrupt_cmr(part_CTHW, of_part, settings=settings)
    return out_BTHW, clean_BTHW


def move_cmr(frames_BTHW: Tensor, draw: CmrDraw) -> Tensor:
    """Apply rotation with crop, and flip, in place."""
    if draw.moved_B.any():
        rows = _some(draw.moved_B, draw.on("moved", frames_BTHW.device))
        theta = draw.on("theta_B23", frames_BTHW.device)
        _replace(frames_BTHW, rows, resample(_take(frames_BTHW, rows), _take(theta, rows)))
    return frames_BTHW


def corrupt_cmr(frames_BTHW: Tensor, draw: CmrDraw, *, settings: CmrAugmentation) -> Tensor:
    """Apply brightness and contrast, blur, and noise, in this order; clamp to 0..1; in place."""
    device = frames_BTHW.device
    if draw.coloured_B.any():
        coloured_B = draw.on("coloured_B", device)
        contrast_B = draw.on("contrast_B", device).where(coloured_B, 1.0)
        brightness_B = draw.on("brightness_B", device).where(coloured_B, 1.0)
        # With the mean of each frame, static parts would flicker with the parts that move.
        mean = frames_BTHW.mean((1, 2, 3), keepdim=True) * _column(brightness_B)
        frames_BTHW.mul_(_column(contrast_B * brightness_B))
        frames_BTHW.add_(mean * _column(1 - contrast_B))
    if draw.blurred_B.any():
        rows = _some(draw.blurred_B, draw.on("blurred", device))
        sigma = draw.on("sigma_B", device)
        _replace(frames_BTHW, rows, blur(_take(frames_BTHW, rows), _take(sigma, rows)))
    if draw.noisy_B.any():
        image = _noise(draw.on("noise_B", device), tuple(frames_BTHW.shape[2:]), normal=True)
        strength_B = draw.on("noisy_B", device) * settings.noise
        frames_BTHW.add_((image * _column(strength_B)[:, 0])[:, None])
    if (draw.coloured_B | draw.noisy_B).any():
        frames_BTHW.clamp_(0, 1)
    return frames_BTHW


def _some(chosen_B: np.ndarray, rows: Tensor) -> Tensor | None:
    """Return the rows that are chosen, or None for all of them."""
    return None if chosen_B.all() else rows


def _take(values: Tensor, rows: Tensor | None) -> Tensor:
    """Return some rows of a batch, or the whole batch without a copy."""
    return values if rows is None else values[rows]


def _replace(frames_BTHW: Tensor, rows: Tensor | None, values: Tensor) -> None:
    if rows is None:
        frames_BTHW.copy_(values)
    else:
        frames_BTHW[rows] = values


def resample(frames_BTHW: Tensor, theta_B23: Tensor) -> Tensor:
    """Resample each sequence bilinearly with its own affine map.

    Pixels outside the image take the value of the nearest pixel at the edge.
    """
    shape = (len(frames_BTHW), 1, *frames_BTHW.shape[2:])
    grid = F.affine_grid(theta_B23, list(shape), align_corners=False)
    # Frames are channels, so that weights and addresses are computed only once per sequence.
    return F.grid_sample(
        frames_BTHW, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def blur(frames_BTHW: Tensor, sigma_B: Tensor) -> Tensor:
    """Blur with a separable Gaussian whose `sigma`, in pixels, is given per sequence.

    The kernel is truncated and renormalised at the edges. Each axis is a product with a band
    matrix. This allows any sigma per sample, and at this size it is as fast as a convolution.
    """
    rows, columns = (_gaussian(size, sigma_B) for size in frames_BTHW.shape[2:])
    # This axis needs no transposition, so one large product serves all frames of a sample.
    blurred = torch.bmm(frames_BTHW.flatten(1, 2), columns.transpose(1, 2)).view_as(frames_BTHW)
    return rows[:, None] @ blurred


def _gaussian(size: int, sigma_B: Tensor) -> Tensor:
    """Return the blur of one axis as a matrix (B, size, size) whose rows sum to 1."""
    position = torch.arange(size, device=sigma_B.device, dtype=sigma_B.dtype)
    distance = (position[:, None] - position[None, :]) / sigma_B.clamp(min=1e-3)[:, None, None]
    return (-0.5 * distance**2).softmax(-1)


def _noise(draw_B: Tensor, shape: tuple[int, ...], *, normal: bool) -> Tensor:
    """Return the noise of each sample, (B, *shape).

    It is a window of the pool, whose start follows from the draw of the sample.
    """
    values = math.prod(shape)
    start_B = draw_B % (_POOL - values + 1)
    return (
        _pool(normal, draw_B.device).unfold(0, values, 1).index_select(0, start_B).view(-1, *shape)
    )


@functools.cache
def _pool(normal: bool, device: torch.device) -> Tensor:
    """Return standard normal or uniform numbers, the same on every device."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(_POOL, np.float32) if normal else rng.random(_POOL, np.float32)
    return torch.from_numpy(values).to(device)


def _column(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None]
