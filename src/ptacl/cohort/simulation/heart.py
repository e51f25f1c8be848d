"""Draw the ventricles as pixels.

In every frame and slice, the labels have as many pixels as the drawn volumes need. Outlines are
level sets. In each slice the LV has a fixed shape r(angle), and its pixels are ordered by rho /
r: the first pixels belong to the cavity and the next ones to the myocardium. The RV is on the
septal side. It consists of the pixels closest to the outer border of the LV, where distance is
relative to a thickness that falls to zero where the RV meets the LV. Pixel counts are prescribed
instead of outlines, so volumes are exact to one pixel. The real-valued levels give the smooth
borders of the image.
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
    """Number of pixels of each part, (Z, T) int64, and filling of the ventricles by frame, (T,)."""

    cavity: np.ndarray
    muscle: np.ndarray
    rv: np.ndarray
    filling: Array


@dataclass(frozen=True)
class SliceField:
    """Coordinates of one slice around its LV centre, (FIELD, FIELD) float32 in pixels and radians.

    `radius` is rho / shape(angle), which is constant along an outline. `angle` is 0 towards the
    septum.
    """

    rho: Float32
    angle: Float32
    shape: Float32
    radius: Float32
    rv_width: Float32

    def part(self, box: tuple[slice, slice]) -> "SliceField":
        """Return the rows and columns of `box`."""
        return SliceField(
            self.rho[box], self.angle[box], self.shape[box], self.radius[box], self.rv_width[box]
        )


@dataclass(frozen=True)
class Levels:
    """Borders of one slice by frame, (T,): radii of cavity and muscle, RV thickness, in pixels."""

    cavity: Float32
    muscle: Float32
    rv: Float32


def count(causes: Causes, rng: np.random.Generator, *, nuisance: CineNuisance) -> SliceCounts:
    """Count the pixels by slice: the heart tapers to the apex, and its base descends in systole."""
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
    length = np.clip(
        93 * (edv / 147) ** 0.30 * np.exp(nuisance.length_log * rng.standard_normal()), 72, 110
    )
    edges = _slice_edges(float(length), rng)
    descent = (4 + 18 * (1 - esv / edv)) * np.exp(0.2 * rng.standard_normal()) * (1 - filling)
    wall = 6 * (muscle_ml / 86) ** 0.5 * (1 + 0.35 * (1 - filling))
    taper = 2.0 + nuisance.profile * rng.standard_normal()
    cavity_ml = esv + (edv - esv) * filling
    cavity = _spread(cavity_ml, edges, base=descent, apex=length - wall, taper=taper)
    whole = _spread(
        cavity_ml + muscle_ml, edges, base=descent, apex=np.full(FRAMES, length), taper=taper
    )
    reach = 0.88 + nuisance.rv_length * rng.standard_normal()
    rv = _spread(
        rv_esv + (rv_edv - rv_esv) * filling,
        edges,
        base=descent,
        apex=np.full(FRAMES, reach * length),
        taper=taper - 0.4,
    )
    lv_pixels, whole_pixels = _whole_pixels(cavity), _whole_pixels(whole)
    return SliceCounts(
        lv_pixels, np.maximum(whole_pixels - lv_pixels, 0), _whole_pixels(rv), filling
    )


def field(
    rng: np.random.Generator,
    *,
    centre_px: tuple[float, float],
    septum: float,
    nuisance: CineNuisance,
) -> SliceField:
    """Draw the coordinates around an LV centre (row, column) of the square.

    `septum` is the direction of the RV in radians.
    """
    along = np.arange(FIELD, dtype=np.float32)
    dy, dx = along[:, None] - np.float32(centre_px[0]), along - np.float32(centre_px[1])
    rho = np.sqrt(dx * dx + dy * dy)
    turn = np.arctan2(dy, dx) - np.float32(septum)
    angle = np.arctan2(np.sin(turn), np.cos(turn))
    second, third = nuisance.shape * rng.standard_normal(2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    shape = (
        1 + second * np.cos(2 * angle + phases[0]) + 0.5 * third * np.cos(3 * angle + phases[1])
    ).astype(np.float32)
    reach = np.deg2rad(78 + nuisance.rv_angle_degrees * rng.standard_normal())
    width = np.clip(np.cos(angle * np.float32(np.pi / 2 / reach)), 0, 1) * (np.abs(angle) < reach)
    towards = width > 0  # powers are slow, and 0 stays 0
    width[towards] = np.power(width[towards], np.float32(0.75))
    return SliceField(rho, angle, shape, rho / shape, width)


def label(place: SliceField, counts: SliceCounts, z: int) -> tuple[np.ndarray, Levels]:
    """Return the labels of one slice, (T, FIELD, FIELD) uint8, and the levels of its borders."""
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
    levels = Levels(
        _level(sorted_radius, cavity),
        border,
        _add_rv(labels, place, border, rank, whole, wanted=rv),
    )
    return labels.reshape(FRAMES, FIELD, FIELD), levels


def _innermost(radius: Float32, count: int) -> np.ndarray:
    """Return the indices of the `count` smallest values and of the next one, in sorted order.

    Sorting only these is much faster than sorting all values.
    """
    near = np.flatnonzero(radius <= np.partition(radius, count)[count])
    return np.asarray(near[np.argsort(radius[near], kind="stable")])


def _add_rv(
    labels: np.ndarray,
    place: SliceField,
    border: Float32,
    rank: np.ndarray,
    whole: np.ndarray,
    *,
    wanted: np.ndarray,
) -> Float32:
    """Write the RV into (T, FIELD * FIELD) labels and return its thickness by frame.

    In each frame the LV consists of the pixels whose `rank` is below `whole` (T,), and its border
    is at `border` (T,).
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


def _reachable(
    side: np.ndarray, outside: np.ndarray, place: SliceField, border: Float32, wanted: int
) -> np.ndarray:
    """Return the pixels of `side` that can be among the `wanted` nearest to the LV in some frame.

    Most pixels never are. Depth decreases as the border grows. The largest depth that is needed
    is therefore found at the smallest border, among the pixels that are `outside` the LV in every
    frame. The largest border then shows which pixels can be that near.
    """
    if len(outside) <= wanted:
        return side
    bound = np.partition(_depth(outside, place, border.min()), wanted)[wanted]
    return np.asarray(side[_depth(side, place, border.max()) <= bound])


def _depth(side: np.ndarray, place: SliceField, border: Float32) -> Float32:
    """Return the distance of pixels from the LV border, relative to the RV width at their angle."""
    rho, shape, width = (x.reshape(-1)[side] for x in (place.rho, place.shape, place.rv_width))
    return np.asarray((rho - border * shape) / width)


def _slice_edges(length: float, rng: np.random.Generator) -> Array:
    """Draw the slice borders along the long axis in mm, (Z + 1,), with the base at 0.

    The stack covers the heart in all frames.
    """
    start = -SPACING_MM * rng.uniform(0.05, 0.95)
    slices = int(np.ceil((length - start) / SPACING_MM))
    if rng.random() < 0.4:
        slices += 1  # one slice behind the apex
    slices = min(max(slices, MIN_SLICES), MAX_SLICES)  # the longest heart needs twelve
    return np.asarray(start + SPACING_MM * np.arange(slices + 1))


def _spread(volume_ml: Array, edges: Array, *, base: Array, apex: Array, taper: float) -> Array:
    """Spread a volume over the slices, (Z, T) in mL.

    The cross-section decreases as 1 - s**taper from the base (s = 0) to the apex (s = 1).
    """
    s = np.clip((edges[:, None] - base) / (apex - base), 0, 1)
    below = (s - s ** (taper + 1) / (taper + 1)) * (taper + 1) / taper
    return np.asarray(volume_ml * np.diff(below, axis=0))


def _whole_pixels(volume_ml: Array) -> np.ndarray:
    """Return pixel counts (Z, T) that add up to the volume.

    The rounding error of a slice is carried over to the next slice.
    """
    return np.diff(np.rint(np.cumsum(volume_ml, axis=0) / _VOXEL_ML), axis=0, prepend=0).astype(
        np.int64
    )


def _level(sorted_values: Float32, counts: np.ndarray) -> Float32:
    """Return the level between the last pixel inside and the first outside, or 0 if none is in."""
    inside = sorted_values[np.maximum(counts - 1, 0)]
    level = (inside + sorted_values[np.minimum(counts, len(sorted_values) - 1)]) / 2
    return np.asarray(np.where(counts > 0, level, 0), dtype=np.float32)
