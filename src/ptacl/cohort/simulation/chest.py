"""What lies around the heart in a short-axis image: lung, liver, chest wall with its fat, aorta, vessels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl.cohort.simulation.causes import Array, Causes
from ptacl.cohort.simulation.heart import PIXEL_MM, Float32
from ptacl.cohort.simulation.nuisance import CineNuisance

Real = NDArray[np.floating[Any]]

_COARSE = 9  # knots of the smooth texture along each side


@dataclass(frozen=True)
class Chest:
    """Surroundings of one person. Lengths in pixels, angles in radians (0 right, growing downwards), brightness as of blood."""

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


def draw_chest(causes: Causes, rng: np.random.Generator, *, radius_px: float, septum: float, nuisance: CineNuisance) -> Chest:
    """The chest of one person around an LV of outer radius `radius_px`; fat grows with the body mass index, loosely."""
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
        liver_at=(septum - 1.75 + 0.25 * rng.standard_normal(), radius_px + gaps[0], rng.uniform(0.002, 0.008)),
        wall_at=(septum + 0.75 + 0.2 * rng.standard_normal(), 1.55 * radius_px + 4 + gaps[1], rng.uniform(0.001, 0.004)),
        fat_px=(low + (high - low) * habitus) / PIXEL_MM,
        aorta_at=(septum + 3.6 + 0.2 * rng.standard_normal(), radius_px + rng.uniform(14, 30), rng.uniform(5, 8)),
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


def paint(chest: Chest, rng: np.random.Generator, *, shape: tuple[int, int], centre_px: Array, depth: float) -> Float32:
    """(rows, columns) of one slice without the heart; `depth` runs from 0 at the base to 1 at the apex."""
    row, col = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dy, dx = row - np.float32(centre_px[0]), col - np.float32(centre_px[1])
    out: Real = chest.lung * (1 + 1.5 * chest.texture * _smooth(rng, shape))
    out = _cover(
        out, _beyond(dx, dy, *chest.liver_at, shift=8 * (0.5 - depth)), chest.liver * (1 + chest.texture * _smooth(rng, shape))
    )
    angle, distance, curve = chest.wall_at
    wall = _beyond(dx, dy, angle, distance, curve, shift=5 * (depth - 0.5))
    out = _cover(out, wall, chest.wall_muscle * (1 + chest.texture * _smooth(rng, shape)))
    fat = chest.fat * (1 + 0.7 * chest.texture * _smooth(rng, shape))
    out = _cover(out, np.minimum(wall - 5, 5 + chest.fat_px - wall), fat)
    out = _cover(out, -4 - chest.fat_px - 5 + wall, np.full(shape, chest.lung * 0.4, dtype=np.float32))  # air outside the skin
    angle, distance, radius = chest.aorta_at
    away = np.hypot(dx - distance * np.cos(angle), dy - distance * np.sin(angle))
    out = _cover(out, radius - away, np.full(shape, 0.95, dtype=np.float32))
    for y, x, size, bright in chest.spots:
        out = _cover(out, size - np.hypot(col - x, row - y), np.full(shape, bright, dtype=np.float32))
    return np.maximum(out, 0).astype(np.float32)


def _beyond(dx: Float32, dy: Float32, angle: float, distance: float, curve: float, *, shift: float) -> Float32:
    """Signed distance in pixels beyond a curved front that faces the heart from the direction `angle`."""
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = -dx * np.sin(angle) + dy * np.cos(angle)
    return np.asarray(along - distance - shift + curve * across * across, dtype=np.float32)


def _cover(ground: Real, depth_px: Real, value: Real) -> Real:
    """Paint `value` where `depth_px` is positive, over a border of about two pixels."""
    return np.asarray(ground + np.clip(depth_px / 2 + 0.5, 0, 1) * (value - ground))


def _smooth(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """A smooth random field of unit spread: knots on a coarse grid, interpolated linearly."""
    knots = rng.standard_normal((_COARSE, _COARSE))
    weights = [_hat(length) for length in shape]
    return np.asarray(1.4 * weights[0] @ knots @ weights[1].T, dtype=np.float32)


def _hat(length: int) -> Array:
    """(length, _COARSE) weights of linear interpolation."""
    at = np.linspace(0, _COARSE - 1, length)[:, None]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(_COARSE)), 0, 1))
