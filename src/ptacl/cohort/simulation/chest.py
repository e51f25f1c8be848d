"""Draw the surroundings of the heart in a short-axis image.

These are the lung, the liver, the chest wall with its fat, the aorta and other vessels.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ptacl.cohort.simulation.causes import Array, Causes
from ptacl.cohort.simulation.heart import PIXEL_MM, Float32
from ptacl.cohort.simulation.nuisance import CineNuisance

_COARSE = 9  # knots of the smooth texture along each side


@dataclass(frozen=True)
class Chest:
    """Surroundings of one heart.

    Lengths are in pixels. Angles are in radians, from 0 at the right and increasing downwards.
    Brightness is relative to blood.
    """

    lung: float
    liver: float
    fat: float
    wall_muscle: float
    rim_px: float
    liver_at: tuple[float, float, float]  # angle, distance from the LV centre, curvature
    wall_at: tuple[float, float, float]
    fat_px: float
    aorta_at: tuple[float, float, float]  # angle, distance, radius
    spots: Array  # (n, 4): row, column, radius, brightness
    texture: float


def draw_chest(
    causes: Causes,
    rng: np.random.Generator,
    *,
    radius_px: float,
    septum: float,
    nuisance: CineNuisance,
) -> Chest:
    """Draw the chest of one person around an LV with the outer radius `radius_px`.

    Fat increases with the body mass index, with some spread.
    """
    low, high = nuisance.fat_thickness_mm
    habitus = np.clip((float(causes.bmi) - 19) / 18 + 0.28 * rng.standard_normal(), 0, 1)
    rim_low, rim_high = nuisance.epicardial_fat_mm
    rim = np.clip(0.5 * habitus + 0.7 * rng.random(), 0, 1)
    gaps = rng.uniform(*nuisance.gap_mm, 2) / PIXEL_MM
    spots = int(rng.integers(0, nuisance.bright_spots + 1))
    return Chest(
        lung=rng.uniform(*nuisance.lung),
        liver=rng.uniform(*nuisance.liver),
        fat=rng.uniform(*nuisance.fat),
        wall_muscle=rng.uniform(*nuisance.muscle) * 0.8,
        rim_px=(rim_low + (rim_high - rim_low) * rim) / PIXEL_MM,
        liver_at=(
            septum - 1.75 + 0.25 * rng.standard_normal(),
            radius_px + gaps[0],
            rng.uniform(0.002, 0.008),
        ),
        wall_at=(
            septum + 0.75 + 0.2 * rng.standard_normal(),
            1.55 * radius_px + 4 + gaps[1],
            rng.uniform(0.001, 0.004),
        ),
        fat_px=(low + (high - low) * habitus) / PIXEL_MM,
        aorta_at=(
            septum + 3.6 + 0.2 * rng.standard_normal(),
            radius_px + rng.uniform(14, 30),
            rng.uniform(5, 8),
        ),
        spots=np.stack(
            [
                rng.uniform(20, 100, spots),
                rng.uniform(20, 108, spots),
                rng.uniform(1.0, 3.5, spots),
                rng.uniform(*nuisance.spot_brightness, spots),
            ],
            axis=1,
        ),
        texture=nuisance.texture,
    )


def draw_knots(rng: np.random.Generator) -> Array:
    """Draw the knots of the textures of one slice: lung, liver, muscle and fat."""
    return rng.standard_normal((4, _COARSE, _COARSE))


def paint(
    chest: Chest, knots: Array, *, shape: tuple[int, int], centre_px: Array, depth: float
) -> Float32:
    """Paint a slice (rows, columns) without the heart; `depth` is 0 at the base, 1 at the apex."""
    row, col = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)
    dy, dx = row - np.float32(centre_px[0]), col - np.float32(centre_px[1])
    lung, liver, muscle, fat = knots
    out = _texture(chest.lung, 1.5 * chest.texture, lung, shape)
    _cover(
        out,
        _beyond(dx, dy, *chest.liver_at, shift=8 * (0.5 - depth)),
        _texture(chest.liver, chest.texture, liver, shape),
    )
    wall = _beyond(dx, dy, *chest.wall_at, shift=5 * (depth - 0.5))
    _cover(out, wall.copy(), _texture(chest.wall_muscle, chest.texture, muscle, shape))
    layer = np.minimum(wall - np.float32(5), np.float32(5 + chest.fat_px) - wall)
    _cover(out, layer, _texture(chest.fat, 0.7 * chest.texture, fat, shape))
    _cover(
        out, np.subtract(wall, np.float32(9 + chest.fat_px), out=wall), np.float32(chest.lung * 0.4)
    )  # air outside the skin
    angle, distance, radius = chest.aorta_at
    _disc(
        out,
        centre_px[0] + distance * np.sin(angle),
        centre_px[1] + distance * np.cos(angle),
        radius,
        0.95,
    )
    for spot in chest.spots:
        _disc(out, *spot)
    return np.maximum(out, np.float32(0), out=out)


def _beyond(
    dx: Float32, dy: Float32, angle: float, distance: float, curve: float, *, shift: float
) -> Float32:
    """Return the signed distance in pixels beyond a curved front at the direction `angle`."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = dy * cos - dx * sin
    across *= across
    across *= np.float32(curve)
    across += dx * cos - np.float32(distance + shift)
    across += dy * sin
    return across


def _cover(ground: Float32, depth_px: Float32, value: Float32 | np.float32) -> None:
    """Paint `value` in place where `depth_px` is positive, with a border of about two pixels.

    `depth_px` is overwritten.
    """
    depth_px *= np.float32(0.5)
    depth_px += np.float32(0.5)
    np.clip(depth_px, 0, 1, out=depth_px)
    depth_px *= value - ground
    ground += depth_px


def _disc(ground: Float32, y: float, x: float, radius: float, bright: float) -> None:
    """Paint a disc in place. Only the square around it is computed, because it is small."""
    top, left = max(int(y - radius) - 2, 0), max(int(x - radius) - 2, 0)
    part = ground[top : max(int(y + radius) + 4, 0), left : max(int(x + radius) + 4, 0)]
    down = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] - np.float32(y)
    right = np.arange(left, left + part.shape[1], dtype=np.float32) - np.float32(x)
    _cover(part, np.float32(radius) - np.hypot(down, right), np.float32(bright))


def _texture(mean: float, spread: float, knots: Array, shape: tuple[int, int]) -> Float32:
    """Return a smooth random field around `mean` with a relative spread.

    Knots on a coarse grid are interpolated linearly.
    """
    field = np.asarray(
        1.4 * mean * spread * _hat(shape[0]) @ knots @ _hat(shape[1]).T, dtype=np.float32
    )
    field += np.float32(mean)
    return field


@lru_cache(maxsize=64)  # for the few sizes of the matrix
def _hat(length: int) -> Array:
    """Return the weights of linear interpolation, (length, _COARSE)."""
    at = np.linspace(0, _COARSE - 1, length)[:, None]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(_COARSE)), 0, 1))
