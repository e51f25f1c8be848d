"""A short-axis cine from causes: ventricles with the drawn volumes, and around them the chest that hides them.

Brightness is given as a share of LV blood until the last step, where gain, coil shading and Rician noise make counts of it.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ptacl import seeds
from ptacl.cohort.simulation import heart
from ptacl.cohort.simulation.causes import Array, Causes
from ptacl.cohort.simulation.chest import draw_chest, draw_knots, paint
from ptacl.cohort.simulation.heart import FIELD, FRAMES, PIXEL_MM, SPACING_MM, Float32, SliceField
from ptacl.cohort.simulation.layers import Box, Layers, Tissue
from ptacl.cohort.simulation.nuisance import CineNuisance

BLOOD_COUNTS = 36.0  # brightness of LV blood, before the gain of the person

_COLUMNS, _ROWS = (122, 134), (116, 126)  # ranges of the matrix: a reduced field of view
_NOISE_POOL = 1 << 20
_BLOCKS = tuple(slice(t, t + 10) for t in range(0, FRAMES, 10))  # frames at a time: their arrays stay in the processor's cache
_APEX_LPS = np.array([0.62, -0.60, -0.50])  # from base to apex: left, to the front, down
_RIGHT_LPS = np.array([0.62, 0.72, -0.10])  # image right: left and to the back of the person


@dataclass(frozen=True)
class Cine:
    """`image` (T, Z, Y, X) int16 and `labels` (T, Z, Y, X) uint8, frame 0 at the R-peak, slice 0 at the base.

    `axes` (3, 3): directions of X, Y and Z in LPS as columns; `origin_mm` LPS of the first voxel; `rr_ms` cycle length.
    """

    image: np.ndarray
    labels: np.ndarray
    axes: Array
    origin_mm: Array
    rr_ms: float


def image(causes: Causes, rng: np.random.Generator, *, nuisance: CineNuisance) -> Cine:
    """The cine of one visit with its segmentation."""
    counts = heart.count(causes, rng, nuisance=nuisance)
    slices = counts.cavity.shape[0]
    columns, rows = int(rng.integers(*_COLUMNS)), int(rng.integers(*_ROWS))
    septum = np.deg2rad(205 + nuisance.rotation_degrees * rng.standard_normal())
    limit = (min(columns, rows) - FIELD) / 2 * PIXEL_MM
    offset = np.minimum(nuisance.centre_mm, limit) * rng.uniform(-1, 1, 2) / PIXEL_MM
    corner = np.rint([(rows - FIELD) / 2 + offset[0], (columns - FIELD) / 2 + offset[1]]).astype(int)
    window = (slice(corner[0], corner[0] + FIELD), slice(corner[1], corner[1] + FIELD))
    largest = float(np.sqrt((counts.cavity + counts.muscle).max() / np.pi))
    chest = draw_chest(causes, rng, radius_px=largest, septum=septum, nuisance=nuisance)
    tissue = Tissue.draw(rng, nuisance)

    middle = np.array([corner[0], corner[1]]) + (FIELD - 1) / 2
    drawn = [(_place(rng, septum=septum, nuisance=nuisance), draw_knots(rng)) for _ in range(slices)]
    axes, origin = _orientation(rng, offset_px=offset, shape=(rows, columns), slices=slices, nuisance=nuisance)
    scanner = _Scanner.draw(rng, (rows, columns), nuisance)

    pixels = np.empty((FRAMES, slices, rows, columns), dtype=np.int16)
    labels = np.zeros((FRAMES, slices, rows, columns), dtype=np.uint8)
    for z, (place, knots) in enumerate(drawn):
        labels[(slice(None), z, *window)], levels = heart.label(place, counts, z)
        ground = paint(chest, knots, shape=(rows, columns), centre_px=middle, depth=z / (slices - 1))
        layers = Layers(place, levels, tissue=tissue, rim_px=chest.rim_px, filling=counts.filling)
        box, still = _moved(layers.box, corner), ground * scanner.gain
        for frames in _BLOCKS:
            scanner.receive(pixels[frames, z], still, layers.paint(ground[box], frames), box, rng)
    return Cine(pixels, labels, axes, origin, 60000 / float(causes.heart_rate_bpm))


def _moved(box: Box, corner: np.ndarray) -> Box:
    rows, columns = (slice(part.start + int(at), part.stop + int(at)) for part, at in zip(box, corner, strict=True))
    return rows, columns


def _place(rng: np.random.Generator, *, septum: float, nuisance: CineNuisance) -> SliceField:
    """Coordinates of one slice: each has a breath hold of its own."""
    shift = nuisance.breath_hold_mm / PIXEL_MM * rng.standard_normal(2)
    centre = (FIELD - 1) / 2 + np.clip(shift, -2.5, 2.5)
    return heart.field(rng, centre_px=(float(centre[0]), float(centre[1])), septum=septum, nuisance=nuisance)


@dataclass(frozen=True)
class _Scanner:
    """From brightness to counts: `gain` (rows, columns) with coil shading, in units of `sigma`, the noise in counts."""

    gain: Float32
    sigma: np.float32

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, int], nuisance: CineNuisance) -> "_Scanner":
        y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        tilt, bend = nuisance.shading * rng.standard_normal(2), 0.3 * nuisance.shading * rng.standard_normal(2)
        shade = np.exp(tilt[0] * x + tilt[1] * y + bend[0] * x * y + bend[1] * (x * x - y * y))
        gain = BLOOD_COUNTS * np.exp(nuisance.gain_log * rng.standard_normal()) * shade
        sigma = rng.uniform(*nuisance.noise) * BLOOD_COUNTS
        return cls((gain / sigma).astype(np.float32), np.float32(sigma))

    def receive(self, out: np.ndarray, still: Float32, heart: Float32, box: Box, rng: np.random.Generator) -> None:
        """Write counts (n, rows, columns): the magnitude of a complex signal with independent noise in both parts.

        `still` (rows, columns), gain included, is the same in all frames; `heart`, without gain, stands in its `box`. Noise is
        read from a pool of draws at random places, which costs a tenth of drawing each value.
        """
        noise, squared = (
            x[start : start + out.size].reshape(out.shape)
            for x, start in zip(_noise_pool(), rng.integers(0, _NOISE_POOL - out.size, 2), strict=True)
        )
        signal = noise + still
        heart *= self.gain[box]
        np.add(heart, noise[(..., *box)], out=signal[(..., *box)])
        signal *= signal
        signal += squared
        np.sqrt(signal, out=signal)
        signal *= self.sigma
        out[...] = np.rint(signal, out=signal)


@cache
def _noise_pool() -> tuple[Float32, Float32]:
    """Standard normal draws and their squares: the same in every process, so that files depend on the visit alone."""
    pool = seeds.generator(0, "simulation noise pool").standard_normal(_NOISE_POOL, dtype=np.float32)
    return pool, pool * pool


def _orientation(
    rng: np.random.Generator, *, offset_px: Array, shape: tuple[int, int], slices: int, nuisance: CineNuisance
) -> tuple[Array, Array]:
    """Directions of X, Y, Z in LPS (left-handed, as short-axis stacks are) and the position of the first voxel."""
    tilt = np.deg2rad(nuisance.plane_degrees)
    normal = _APEX_LPS + tilt * rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    right = _RIGHT_LPS + tilt * rng.standard_normal(3)
    right -= normal * (normal @ right)
    right /= np.linalg.norm(right)
    down = np.cross(right, normal)
    axes = np.stack([right, down, normal], axis=1)
    centre = np.array([35.0, -25.0, 20.0]) + 15 * rng.standard_normal(3)
    middle = np.array([(shape[1] - 1) / 2 + offset_px[1], (shape[0] - 1) / 2 + offset_px[0]]) * PIXEL_MM
    return axes, centre - axes @ np.array([*middle, SPACING_MM * (slices - 1) / 2])
