"""Paint the heart of one slice as layers with soft borders.

The layers are fat, RV wall, RV blood, myocardium, and LV blood with papillary muscles.
"""

from dataclasses import dataclass

import numpy as np

from ptacl.cohort.simulation.causes import Array
from ptacl.cohort.simulation.heart import Float32, Levels, SliceField
from ptacl.cohort.simulation.nuisance import CineNuisance

Box = tuple[slice, slice]
Level = Array | Float32

_WALL_PX = 1.8  # thickness of the RV wall


@dataclass(frozen=True)
class Tissue:
    """Brightness of the parts of one heart, and the positions of its papillary muscles."""

    muscle: float
    rv_blood: float
    fat: float
    papillary: float
    papillary_angles: tuple[float, float]
    inflow: float
    edge_px: float

    @classmethod
    def draw(cls, rng: np.random.Generator, nuisance: CineNuisance) -> "Tissue":
        """Draw the tissue of one visit."""
        return cls(
            muscle=rng.uniform(*nuisance.muscle),
            rv_blood=rng.uniform(*nuisance.rv_blood),
            fat=rng.uniform(*nuisance.fat),
            papillary=rng.uniform(*nuisance.papillary),
            papillary_angles=(
                2.2 + 0.3 * rng.standard_normal(),
                -2.0 + 0.3 * rng.standard_normal(),
            ),
            inflow=nuisance.inflow * rng.standard_normal(),
            edge_px=rng.uniform(*nuisance.edge_px),
        )


class Layers:
    """Paints one slice, a few frames at a time, so that the arrays fit in the CPU cache.

    Depths are in units of the width of the soft border: 0 is its outer end and 1 its inner end.
    Each layer is only computed in the box that it can reach in any frame; `box` contains all of
    these boxes.
    """

    def __init__(
        self, place: SliceField, levels: Levels, *, tissue: Tissue, rim_px: float, filling: Array
    ) -> None:
        edge, muscle = np.float32(tissue.edge_px), levels.muscle.max()
        far = (
            muscle * place.shape
            + levels.rv.max() * place.rv_width
            + np.float32(_WALL_PX + rim_px + tissue.edge_px)
        )
        self.box = _bounds(place.rho <= far)
        self._tissue, part = tissue, place.part(self.box)
        self._shape, self._rv_width, self._rho = (
            part.shape / edge,
            part.rv_width / edge,
            part.rho / edge,
        )
        self._muscle_box = _bounds(part.radius <= muscle + edge)
        self._cavity_box = _bounds(part.radius <= levels.cavity.max() + edge)
        self._from_muscle = part.radius[self._muscle_box] / edge
        self._radius = part.radius[self._cavity_box]
        self._away = [
            _sideways(part.angle[self._cavity_box], angle) for angle in tissue.papillary_angles
        ]
        self._muscle, self._rv, self._cavity = (
            _by_frame(x) for x in (levels.muscle, levels.rv, levels.cavity)
        )
        wall = _WALL_PX * (levels.rv > 0)
        self._to_fat = _start((wall + rim_px) / edge, levels.muscle)
        self._to_wall = _start(wall / edge, levels.muscle)
        self._to_rv = _start(0, levels.rv)
        self._to_muscle = _start(levels.muscle / edge, levels.muscle)
        self._to_cavity = _start(levels.cavity / edge, levels.cavity)
        self._blood = _by_frame(1 + tissue.inflow * (1 - filling))

    def paint(self, ground: Float32, frames: slice) -> Float32:
        """Paint frames of `box`, (n, rows, columns), over the ground, (rows, columns)."""
        tissue, blood = self._tissue, self._blood[frames]
        border = (
            self._muscle[frames] * self._shape
        )  # outer border of both ventricles along each angle
        border += self._rv[frames] * self._rv_width
        border -= self._rho
        heart = border + self._to_fat[frames]
        np.clip(heart, 0, 1, out=heart)
        heart *= np.float32(tissue.fat) - ground
        heart += ground
        _blend(heart, border + self._to_wall[frames], np.float32(tissue.muscle))
        border += self._to_rv[frames]
        _blend(heart, border, np.float32(tissue.rv_blood) * blood)
        _blend(
            heart[(..., *self._muscle_box)],
            self._to_muscle[frames] - self._from_muscle,
            np.float32(tissue.muscle),
        )
        depth = self._to_cavity[frames] - self._radius / np.float32(tissue.edge_px)
        _blend(heart[(..., *self._cavity_box)], depth, blood - self._papillary(frames))
        return heart

    def _papillary(self, frames: slice) -> Float32:
        """Return how much two papillary muscles, which move with the wall, darken the cavity."""
        ring = self._radius / np.maximum(self._cavity[frames], 1)
        ring -= np.float32(0.70)
        ring /= np.float32(0.24)
        ring *= ring
        np.subtract(1, ring, out=ring)
        first, second = (np.maximum(ring - away, 0) for away in self._away)
        first += second
        first *= np.float32(1.5)
        np.minimum(first, 1, out=first)
        first *= np.float32(self._tissue.papillary * (1 - self._tissue.muscle))
        return first


def _blend(ground: Float32, depth: Float32, value: Float32 | np.float32) -> None:
    """Blend `value` into `ground` in place, with the weight `depth` clipped to 0..1.

    `depth` is overwritten.
    """
    np.clip(depth, 0, 1, out=depth)
    depth *= value - ground
    ground += depth


def _bounds(inside: np.ndarray) -> Box:
    """Return the smallest box that contains all pixels of `inside`, or an empty box."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _start(depth: Level | int, level: Float32) -> Float32:
    """Return the depth at distance 0 by frame, (T, 1, 1).

    It is minus infinity in frames where the layer is absent, that is, where its level is 0.
    """
    return _by_frame(np.where(level > 0, depth + 0.5, -np.inf))


def _by_frame(values: Level) -> Float32:
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _sideways(angle: Float32, middle: float) -> Float32:
    """Return the squared distance of each angle from a papillary muscle, in half widths of it."""
    away = np.abs(angle - np.float32(middle))
    return np.asarray(np.square(np.minimum(away, np.float32(2 * np.pi) - away) / np.float32(0.33)))
