"""The ventricles as pixels: in every frame and slice as many of each label as the drawn volumes ask for.

Outlines are level sets. The LV has a fixed shape in each slice, r(angle), and pixels ordered by rho / r: the cavity takes the
first of them, the myocardium the next. The RV lies on the septal side and takes the pixels nearest to the LV's outer border,
measured in a thickness that falls to zero where the RV meets the LV. Counts, not outlines, are given, so volumes are exact to a
pixel, while the real-valued level gives the smooth border of the image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptacl.cohort.simulation import cycle
from ptacl.cohort.simulation.causes import DENSITY_G_PER_ML, Array, Causes
from ptacl.cohort.simulation.nuisance import CineNuisance

FRAMES = 50
PIXEL_MM = 1.8269
SPACING_MM = 10.0
LV, MYOCARDIUM, RV = 1, 2, 3
FIELD = 96  # side of the square around the LV in which the heart is drawn, pixels
MIN_SLICES, MAX_SLICES = 8, 12

Float32 = NDArray[np.float32]

_VOXEL_ML = PIXEL_MM * PIXEL_MM * SPACING_MM / 1000


@dataclass(frozen=True)
class SliceCounts:
    """Pixels of each part by slice and frame, (Z, T) int64, and the fill state of the ventricles (T,)."""

    cavity: np.ndarray
    muscle: np.ndarray
    rv: np.ndarray
    filling: Array


@dataclass(frozen=True)
class SliceField:
    """Coordinates of one slice around its LV centre, (FIELD, FIELD) float32 in pixels and radians.

    `radius` is rho / shape(angle): equal values lie on one outline. `angle` is 0 towards the septum.
    """

    rho: Float32
    angle: Float32
    shape: Float32
    radius: Float32
    rv_width: Float32

    def part(self, box: tuple[slice, slice]) -> "SliceField":
        """Some rows and columns of it."""
        return SliceField(self.rho[box], self.angle[box], self.shape[box], self.radius[box], self.rv_width[box])


@dataclass(frozen=True)
class Levels:
    """Borders of one slice by frame, (T,): radii of cavity and muscle, and RV thickness, in pixels."""

    cavity: Float32
    muscle: Float32
    rv: Float32


def count(causes: Causes, rng: np.random.Generator, *, nuisance: CineNuisance) -> SliceCounts:
    """Pixels by slice: the long axis tapers to the apex, and the base comes down in systole."""
    edv, esv = float(causes.edv_ml), float(causes.esv_ml)
    rv_edv, rv_esv = float(causes.rv_edv_ml), float(causes.rv_esv_ml)
    muscle_ml = float(causes.mass_g) / DENSITY_G_PER_ML
    rr = 60000 / float(causes.heart_rate_bpm)
    filling = cycle.filling(
        np.arange(FRAMES) * rr / FRAMES,
        delay_ms=float(causes.ejection_delay_ms),
        systole_ms=float(causes.systole_ms),
        rr_ms=rr,
        early=cycle.early_share(float(causes.age)),
    )
    length = np.clip(93 * (edv / 147) ** 0.30 * np.exp(nuisance.length_log * rng.standard_normal()), 72, 110)
    edges = _slice_edges(float(length), rng)
    descent = (4 + 18 * (1 - esv / edv)) * np.exp(0.2 * rng.standard_normal()) * (1 - filling)
    wall = 6 * (muscle_ml / 86) ** 0.5 * (1 + 0.35 * (1 - filling))
    taper = 2.0 + nuisance.profile * rng.standard_normal()
    cavity_ml = esv + (edv - esv) * filling
    cavity = _spread(cavity_ml, edges, base=descent, apex=length - wall, taper=taper)
    whole = _spread(cavity_ml + muscle_ml, edges, base=descent, apex=np.full(FRAMES, length), taper=taper)
    reach = 0.88 + nuisance.rv_length * rng.standard_normal()
    rv = _spread(
        rv_esv + (rv_edv - rv_esv) * filling, edges, base=descent, apex=np.full(FRAMES, reach * length), taper=taper - 0.4
    )
    lv_pixels, whole_pixels = _whole_pixels(cavity), _whole_pixels(whole)
    return SliceCounts(lv_pixels, np.maximum(whole_pixels - lv_pixels, 0), _whole_pixels(rv), filling)


def field(rng: np.random.Generator, *, centre_px: tuple[float, float], septum: float, nuisance: CineNuisance) -> SliceField:
    """Coordinates about an LV centre (row, column) in the square; `septum` is the direction of the RV in radians."""
    along = np.arange(FIELD, dtype=np.float32)
    dy, dx = along[:, None] - np.float32(centre_px[0]), along - np.float32(centre_px[1])
    rho = np.sqrt(dx * dx + dy * dy)
    turn = np.arctan2(dy, dx) - np.float32(septum)
    angle = np.arctan2(np.sin(turn), np.cos(turn))
    second, third = nuisance.shape * rng.standard_normal(2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    shape = (1 + second * np.cos(2 * angle + phases[0]) + 0.5 * third * np.cos(3 * angle + phases[1])).astype(np.float32)
    reach = np.deg2rad(78 + nuisance.rv_angle_degrees * rng.standard_normal())
    width = np.clip(np.cos(angle * np.float32(np.pi / 2 / reach)), 0, 1) * (np.abs(angle) < reach)
    towards = width > 0  # powers take long, and those of 0 are 0
    width[towards] = np.power(width[towards], np.float32(0.75))
    return SliceField(rho, angle, shape, rho / shape, width)


def label(place: SliceField, counts: SliceCounts, z: int) -> tuple[np.ndarray, Levels]:
    """Labels (T, FIELD, FIELD) uint8 of one slice, and the levels at which its borders lie."""
    cavity, whole, rv = counts.cavity[z], counts.cavity[z] + counts.muscle[z], counts.rv[z]
    order = _innermost(place.radius.reshape(-1), int(whole.max()) + 1)
    labels = np.zeros((FRAMES, FIELD * FIELD), dtype=np.uint8)
    for flat, inner, outer in zip(labels, cavity, whole, strict=True):
        flat[order[:inner]] = LV
        flat[order[inner:outer]] = MYOCARDIUM
    sorted_radius = place.radius.reshape(-1)[order]
    border = _level(sorted_radius, whole)
    rank = np.full(FIELD * FIELD, len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    levels = Levels(_level(sorted_radius, cavity), border, _add_rv(labels, place, border, rank, whole, wanted=rv))
    return labels.reshape(FRAMES, FIELD, FIELD), levels


def _innermost(radius: Float32, count: int) -> np.ndarray:
    """Places of the `count` smallest values in their order: sorting these alone is far faster than sorting all."""
    near = np.flatnonzero(radius <= np.partition(radius, count)[count])
    return np.asarray(near[np.argsort(radius[near], kind="stable")])


def _add_rv(
    labels: np.ndarray, place: SliceField, border: Float32, rank: np.ndarray, whole: np.ndarray, *, wanted: np.ndarray
) -> Float32:
    """Write the RV into (T, FIELD * FIELD) labels and return its thickness by frame.

    In each frame the LV holds the pixels of a `rank` below `whole` (T,) and ends at `border` (T,).
    """
    levels = np.zeros(FRAMES, dtype=np.float32)
    side = np.flatnonzero(place.rv_width > 0.02)
    side = _reachable(side, side[rank[side] >= whole.max()], place, border, int(wanted.max()))
    depth = _depth(side, place, border[:, None])
    np.copyto(depth, np.inf, where=rank[side] < whole.astype(np.int32)[:, None])
    for t in np.flatnonzero(wanted):
        nearest = np.argpartition(depth[t], wanted[t])[: wanted[t] + 1]
        levels[t] = depth[t, nearest[-1]]
        labels[t, side[nearest[:-1]]] = RV
    return levels


def _reachable(side: np.ndarray, outside: np.ndarray, place: SliceField, border: Float32, wanted: int) -> np.ndarray:
    """Pixels of `side` that may be among the `wanted` nearest to the LV in some frame: most of them never are.

    Depth falls as the border grows. So the largest depth needed is that of pixels `outside` the LV in every frame, at the
    smallest border, and the largest border says which pixels come that near.
    """
    if len(outside) <= wanted:
        return side
    bound = np.partition(_depth(outside, place, border.min()), wanted)[wanted]
    return np.asarray(side[_depth(side, place, border.max()) <= bound])


def _depth(side: np.ndarray, place: SliceField, border: Float32) -> Float32:
    """Distance of pixels beyond the LV's border, over the width of the RV in their direction."""
    rho, shape, width = (x.reshape(-1)[side] for x in (place.rho, place.shape, place.rv_width))
    return np.asarray((rho - border * shape) / width)


def _slice_edges(length: float, rng: np.random.Generator) -> Array:
    """(Z + 1,) borders of the slices along the long axis in mm, the base at 0: the stack covers the heart in all frames."""
    start = -SPACING_MM * rng.uniform(0.05, 0.95)
    slices = int(np.ceil((length - start) / SPACING_MM))
    if rng.random() < 0.4:
        slices += 1  # one slice behind the apex
    slices = min(max(slices, MIN_SLICES), MAX_SLICES)  # the longest heart needs twelve
    return np.asarray(start + SPACING_MM * np.arange(slices + 1))


def _spread(volume_ml: Array, edges: Array, *, base: Array, apex: Array, taper: float) -> Array:
    """(Z, T) mL of a body whose cross-section falls as 1 - s**taper from its base (s = 0) to its apex (s = 1)."""
    s = np.clip((edges[:, None] - base) / (apex - base), 0, 1)
    below = (s - s ** (taper + 1) / (taper + 1)) * (taper + 1) / taper
    return np.asarray(volume_ml * np.diff(below, axis=0))


def _whole_pixels(volume_ml: Array) -> np.ndarray:
    """(Z, T) pixel counts that add up to the volume: the rounding error goes on to the next slice."""
    return np.diff(np.rint(np.cumsum(volume_ml, axis=0) / _VOXEL_ML), axis=0, prepend=0).astype(np.int64)


def _level(sorted_values: Float32, counts: np.ndarray) -> Float32:
    """Level between the last pixel inside and the first outside; 0 where nothing is inside."""
    inside = sorted_values[np.maximum(counts - 1, 0)]
    level = (inside + sorted_values[np.minimum(counts, len(sorted_values) - 1)]) / 2
    return np.asarray(np.where(counts > 0, level, 0), dtype=np.float32)
