"""Augment batches on the training device, with one draw per recording.

The draws (NumPy, on the CPU) are separate from their application (tensors, on any device). A draw
depends only on (seed, epoch, sample), whatever the batch or process. One draw applies to a whole
recording: all frames of a cine move together, and all leads shift alike. Changes that move a
recording (crop, rotation, flip, choice of frames) are separate from those that corrupt it, because
a reconstruction must not learn the corruption.

On a GPU nothing loops over samples: noise is a window of a fixed pool, and its start is drawn. On a
CPU each cine goes through all operations separately, because one cine fits into the cache and a
batch does not.

Shape letters: B batch, L leads, S samples, T frames, H W image. The ECG is never reversed in time
or sign, because R-peaks would move.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ptacl import seeds
from ptacl.config import CmrAugmentation, EcgAugmentation

JITTER_SHARE = 0.6  # share of the signal, as in the published ECG pipelines that this follows
_SEEDS = 2**32
_POOL = 1 << 20  # numbers in the pool; the window of a record or image can start anywhere in it


@dataclass(frozen=True)
class EcgDraw:
    """Draws for B ECGs; `surrogate` and `jitter` are indices of the ECGs that are transformed."""

    start_B: np.ndarray
    noise_B: np.ndarray
    factor_B: np.ndarray
    surrogate: np.ndarray
    jitter: np.ndarray


@dataclass(frozen=True)
class CmrDraw:
    """Draws for B cines; Boolean masks (B,) say which cines are transformed."""

    frame_BT: np.ndarray
    noise_B: np.ndarray
    theta_B23: np.ndarray
    brightness_B: np.ndarray
    contrast_B: np.ndarray
    sigma_B: np.ndarray
    moved_B: np.ndarray
    coloured_B: np.ndarray
    blurred_B: np.ndarray
    noisy_B: np.ndarray

    def part(self, rows: slice) -> "CmrDraw":
        """Return the draws of some of the cines."""
        return CmrDraw(**{name: values[rows] for name, values in vars(self).items()})


def draw_ecg(
    samples: Sequence[int], *, settings: EcgAugmentation, seed: int, epoch: int, spare: int
) -> EcgDraw:
    """Draw for the ECGs of these indices; a start is between 0 and `spare` samples."""
    rows = [
        _draw_ecg(seeds.generator(seed, "ecg augmentation", epoch, s), settings, spare)
        for s in samples
    ]
    start, noise, factor, surrogate, jitter = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return EcgDraw(
        start, noise, factor.astype(np.float32), np.flatnonzero(surrogate), np.flatnonzero(jitter)
    )


def _draw_ecg(
    rng: np.random.Generator, settings: EcgAugmentation, spare: int
) -> tuple[int, int, float, bool, bool]:
    """Draw start, noise seed and factor, and whether to apply surrogate and jitter.

    Every number is drawn whatever the settings are, so that no setting changes the draw of another.
    """
    start, noise, factor = rng.integers(spare + 1), rng.integers(_SEEDS), rng.normal()
    surrogate, jitter, rescaling = rng.random(3) < settings.probability
    return (
        int(start) if settings.random_crop else 0,
        int(noise),
        math.exp(settings.rescaling * factor) if rescaling else 1.0,
        bool(surrogate) and settings.surrogate_magnitude > 0,
        bool(jitter) and settings.jitter > 0,
    )


def draw_cmr(
    samples: Sequence[int],
    *,
    settings: CmrAugmentation,
    seed: int,
    epoch: int,
    frames: int,
    keep: int,
) -> CmrDraw:
    """Draw the augmentation of cines of `frames` frames each, of which `keep` are kept."""
    generators = [seeds.generator(seed, "cmr augmentation", epoch, s) for s in samples]
    frame_BT = np.stack(
        [
            frame_index(frames, keep, jitter=settings.time_jitter * (rng.random(keep) - 0.5))
            for rng in generators
        ]
    )
    noise_B = np.array([rng.integers(_SEEDS) for rng in generators])
    chance = [settings.flip_probability, *[settings.probability] * 4]
    flip_B, affine_B, colour_B, blur_B, noisy_B = np.stack(
        [rng.random(5) < chance for rng in generators], axis=1
    )
    unit_BU = np.stack([rng.random(8) for rng in generators])
    moves = (
        settings.rotation_degrees > 0
        or settings.crop_scale != (1, 1)
        or settings.crop_ratio != (1, 1)
    )
    affine_B = affine_B & moves
    return CmrDraw(
        frame_BT=frame_BT,
        noise_B=noise_B,
        theta_B23=_affine(unit_BU[:, :5], settings, move_B=affine_B, flip_B=flip_B),
        brightness_B=_between(unit_BU[:, 5], 1 - settings.brightness, 1 + settings.brightness),
        contrast_B=_between(unit_BU[:, 6], 1 - settings.contrast, 1 + settings.contrast),
        sigma_B=_between(unit_BU[:, 7], *settings.blur_sigma),
        moved_B=affine_B | flip_B,
        coloured_B=colour_B & (settings.brightness > 0 or settings.contrast > 0),
        blurred_B=blur_B & (settings.blur_sigma[1] > 0),
        noisy_B=noisy_B & (settings.noise > 0),
    )


def frame_index(frames: int, keep: int, *, jitter: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the indices (keep,) of the frames of a cycle that are kept.

    These are the frames nearest to (i + 1/2 + jitter) / keep of the cycle, and always frame 0
    (end-diastole). The half places a token of two frames at the middle of its phase, like a phase
    of a beat (:mod:`ptacl.ecg.beats`).

    `jitter` is a share of the stride, with one number per kept frame. It must be within -1/2 and
    1/2, so that the frames stay in the order of time.
    """
    if keep > frames:
        raise ValueError(
            f"the encoder takes {keep} frames, but the cine has {frames}: lower encoders.cmr.shape"
        )
    position = np.arange(keep) + 0.5 + np.broadcast_to(jitter, keep) * (np.arange(keep) > 0)
    position[0] = 0
    index: np.ndarray = np.minimum(np.ceil(position * frames / keep - 0.5), frames - 1).astype(
        np.int64
    )
    return index


def _between(unit: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(low + (high - low) * unit, dtype=np.float32)


def _affine(
    unit_B5: np.ndarray, settings: CmrAugmentation, *, move_B: np.ndarray, flip_B: np.ndarray
) -> np.ndarray:
    """Return crop, rotation and flip as (B, 2, 3), from output to input, for `affine_grid`."""
    angle = np.radians(settings.rotation_degrees) * (2 * unit_B5[:, 0] - 1) * move_B
    area = np.where(move_B, _between(unit_B5[:, 1], *settings.crop_scale), 1)
    ratio = np.where(move_B, np.exp(_between(unit_B5[:, 2], *np.log(settings.crop_ratio))), 1)
    width, height = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    centre = (2 * unit_B5[:, 3:5] - 1) * (1 - np.stack([width, height], 1)) * move_B[:, None]
    width = width * np.where(flip_B, -1, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [[cos * width, -sin * height, centre[:, 0]], [sin * width, cos * height, centre[:, 1]]]
    theta_B23: np.ndarray = np.array(rows, dtype=np.float32).transpose(2, 0, 1)
    return theta_B23


def corrupt_ecg(signal_BLS: Tensor, draw: EcgDraw, *, settings: EcgAugmentation) -> Tensor:
    """Apply Fourier surrogate, jitter and rescaling to crops (B, L, S), in this order, in place."""
    device = signal_BLS.device
    if len(draw.surrogate):
        rows = _index(draw.surrogate, device)
        phase = _noise(
            draw.noise_B[draw.surrogate], (signal_BLS.shape[-1] // 2 + 1,), device, normal=False
        )
        signal_BLS[rows] = surrogate(
            signal_BLS[rows], phase * (2 * math.pi * settings.surrogate_magnitude)
        )
    if len(draw.jitter):
        rows = _index(draw.jitter, device)
        noise = _noise(draw.noise_B[draw.jitter], tuple(signal_BLS.shape[1:]), device, normal=True)
        signal_BLS[rows] *= noise.mul_(JITTER_SHARE * settings.jitter).add_(1)
    signal_BLS *= torch.from_numpy(draw.factor_B).to(device)[:, None, None]
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
    spectrum = (
        torch.fft.rfft(signal_BLS) * torch.polar(torch.ones_like(phase_BF), phase_BF)[:, None]
    )
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
        if draw is not None:
            move_cmr(part_CTHW, draw.part(rows))
        if clean_BTHW is not None:
            clean_BTHW[rows] = part_CTHW
        if draw is not None and settings is not None:
            corrupt_cmr(part_CTHW, draw.part(rows), settings=settings)
    return out_BTHW, clean_BTHW


def move_cmr(frames_BTHW: Tensor, draw: CmrDraw) -> Tensor:
    """Apply rotation with crop, and flip, in place."""
    if draw.moved_B.any():
        rows, device = np.flatnonzero(draw.moved_B), frames_BTHW.device
        _replace(
            frames_BTHW,
            rows,
            resample(_rows(frames_BTHW, rows), torch.from_numpy(draw.theta_B23[rows]).to(device)),
        )
    return frames_BTHW


def corrupt_cmr(frames_BTHW: Tensor, draw: CmrDraw, *, settings: CmrAugmentation) -> Tensor:
    """Apply brightness and contrast, blur, and noise, in this order; clamp to 0..1; in place."""
    device = frames_BTHW.device
    if draw.coloured_B.any():
        contrast = np.where(draw.coloured_B, draw.contrast_B, 1)
        gain, share = (
            contrast * np.where(draw.coloured_B, draw.brightness_B, 1),
            np.where(draw.coloured_B, 1 - contrast, 0),
        )
        # With the mean of each frame, static parts would flicker with the parts that move.
        mean = frames_BTHW.mean((1, 2, 3), keepdim=True) * _column(
            np.where(draw.coloured_B, draw.brightness_B, 1), device
        )
        frames_BTHW.mul_(_column(gain, device)).add_(mean * _column(share, device))
    if draw.blurred_B.any():
        rows = np.flatnonzero(draw.blurred_B)
        _replace(
            frames_BTHW,
            rows,
            blur(_rows(frames_BTHW, rows), torch.from_numpy(draw.sigma_B[rows]).to(device)),
        )
    if draw.noisy_B.any():
        image = _noise(draw.noise_B, tuple(frames_BTHW.shape[2:]), device, normal=True)
        frames_BTHW.add_((image * _column(draw.noisy_B * settings.noise, device)[:, 0])[:, None])
    if (draw.coloured_B | draw.noisy_B).any():
        frames_BTHW.clamp_(0, 1)
    return frames_BTHW


def _rows(frames_BTHW: Tensor, rows: np.ndarray) -> Tensor:
    """Return some rows of a batch, or the whole batch without a copy."""
    return (
        frames_BTHW
        if len(rows) == len(frames_BTHW)
        else frames_BTHW[_index(rows, frames_BTHW.device)]
    )


def _replace(frames_BTHW: Tensor, rows: np.ndarray, values: Tensor) -> None:
    if len(rows) == len(frames_BTHW):
        frames_BTHW.copy_(values)
    else:
        frames_BTHW[_index(rows, frames_BTHW.device)] = values


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


def _noise(
    draw_B: np.ndarray, shape: tuple[int, ...], device: torch.device, *, normal: bool
) -> Tensor:
    """Return the noise of each sample, (B, *shape).

    It is a window of the pool, whose start follows from the draw of the sample.
    """
    values = math.prod(shape)
    start_B = _index(draw_B % (_POOL - values + 1), device)
    return _pool(normal, device).unfold(0, values, 1).index_select(0, start_B).view(-1, *shape)


@functools.cache
def _pool(normal: bool, device: torch.device) -> Tensor:
    """Return standard normal or uniform numbers, the same on every device."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(_POOL, np.float32) if normal else rng.random(_POOL, np.float32)
    return torch.from_numpy(values).to(device)


def _index(rows: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(rows).to(device)


def _column(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)[:, None, None, None]
