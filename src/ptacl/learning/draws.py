"""Draw the augmentation of each recording, from seed, epoch and sample only.

A draw does not depend on the batch or the process, and it applies to a whole recording: all frames
of a cine move together, and all leads shift alike. :mod:`ptacl.learning.augment` applies the draws.

Shape letters: B batch, T frames.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ptacl import seeds
from ptacl.config import CmrAugmentation, EcgAugmentation

_SEEDS = 2**32


@dataclass(frozen=True)
class Draw:
    """Draws of a batch in main memory, and those that were already sent to the device by name."""

    needed: ClassVar[tuple[str, ...]] = ()  # what an augmentation needs on the device

    sent: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)

    def on(self, name: str, device: torch.device) -> Tensor:
        """Return one of :meth:`arrays` on the device."""
        if name in self.sent:
            return self.sent[name]
        return torch.from_numpy(getattr(self, name)).to(device)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what an augmentation needs on the device."""
        return {name: getattr(self, name) for name in self.needed}


@dataclass(frozen=True)
class EcgDraw(Draw):
    """Draws for B ECGs; `surrogate` and `jitter` are indices of the ECGs that are transformed."""

    needed: ClassVar[tuple[str, ...]] = ("noise_B", "factor_B", "surrogate", "jitter")

    start_B: np.ndarray
    noise_B: np.ndarray
    factor_B: np.ndarray
    surrogate: np.ndarray
    jitter: np.ndarray


@dataclass(frozen=True)
class CmrDraw(Draw):
    """Draws for B cines; Boolean masks (B,) say which cines are transformed."""

    needed: ClassVar[tuple[str, ...]] = (
        "noise_B",
        "theta_B23",
        "brightness_B",
        "contrast_B",
        "sigma_B",
        "coloured_B",
        "noisy_B",
        "moved",
        "blurred",
    )

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

    @property
    def moved(self) -> np.ndarray:
        """Indices of the cines that are moved."""
        return np.flatnonzero(self.moved_B)

    @property
    def blurred(self) -> np.ndarray:
        """Indices of the cines that are blurred."""
        return np.flatnonzero(self.blurred_B)

    def part(self, rows: slice) -> "CmrDraw":
        """Return the draws of some of the cines, of which nothing has been sent."""
        kept = {name: values[rows] for name, values in vars(self).items() if name != "sent"}
        return CmrDraw(**kept)


def draw_ecg(
    samples: Sequence[int], *, settings: EcgAugmentation, seed: int, epoch: int, spare: int
) -> EcgDraw:
    """Draw for the ECGs of these indices; a start is between 0 and `spare` samples."""
    rows = []
    for sample in samples:
        rng = seeds.generator(seed, "ecg augmentation", epoch, sample)
        rows.append(_draw_ecg(rng, settings, spare))
    start, noise, factor, surrogate, jitter = map(np.array, zip(*rows, strict=True))
    return EcgDraw(
        start_B=start,
        noise_B=noise,
        factor_B=factor.astype(np.float32),
        surrogate=np.flatnonzero(surrogate),
        jitter=np.flatnonzero(jitter),
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
    probabilities = [settings.flip_probability, *[settings.probability] * 4]
    kept, noise, decisions, units = [], [], [], []
    for sample in samples:
        rng = seeds.generator(seed, "cmr augmentation", epoch, sample)
        jitter = settings.time_jitter * (rng.random(keep) - 0.5)
        kept.append(frame_index(frames, keep, jitter=jitter))
        noise.append(rng.integers(_SEEDS))
        decisions.append(rng.random(5) < probabilities)
        units.append(rng.random(8))
    flip_B, affine_B, colour_B, blur_B, noisy_B = np.stack(decisions, axis=1)
    unit_BU = np.stack(units)
    if settings.rotation_degrees == 0 and settings.crop_scale == settings.crop_ratio == (1, 1):
        affine_B = np.zeros_like(affine_B)
    return CmrDraw(
        frame_BT=np.stack(kept),
        noise_B=np.array(noise),
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
