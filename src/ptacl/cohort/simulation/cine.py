"""A short-axis cine from causes: ventricles with the drawn volumes, and around them the chest that hides them.

Brightness is given as a share of LV blood until the last step, where gain, coil shading and Rician noise make counts of it.
"""

from dataclasses import dataclass

import numpy as np

from ptacl.cohort.simulation import heart
from ptacl.cohort.simulation.causes import Array, Causes
from ptacl.cohort.simulation.chest import draw_chest, paint
from ptacl.cohort.simulation.heart import FIELD, FRAMES, PIXEL_MM, SPACING_MM, Float32, Levels, SliceField
from ptacl.cohort.simulation.nuisance import CineNuisance

BLOOD_COUNTS = 36.0  # brightness of LV blood, before the gain of the person

_COLUMNS, _ROWS = (122, 134), (116, 126)  # ranges of the matrix: a reduced field of view
_NOISE_POOL = 1 << 20
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
    tissue = _Tissue.draw(rng, nuisance)

    pixels = np.empty((FRAMES, slices, rows, columns), dtype=np.float32)
    labels = np.zeros((FRAMES, slices, rows, columns), dtype=np.uint8)
    middle = np.array([corner[0], corner[1]]) + (FIELD - 1) / 2
    for z in range(slices):
        shift = nuisance.breath_hold_mm / PIXEL_MM * rng.standard_normal(2)
        centre = (FIELD - 1) / 2 + np.clip(shift, -2.5, 2.5)
        place = heart.field(rng, centre_px=(float(centre[0]), float(centre[1])), septum=septum, nuisance=nuisance)
        labels[(slice(None), z, *window)], levels = heart.label(place, counts, z)
        pixels[:, z] = paint(chest, rng, shape=(rows, columns), centre_px=middle, depth=z / (slices - 1))
        view = pixels[(slice(None), z, *window)]
        _paint_heart(view, place, levels, tissue=tissue, rim_px=chest.rim_px, filling=counts.filling)
    axes, origin = _orientation(rng, offset_px=offset, shape=(rows, columns), slices=slices, nuisance=nuisance)
    noisy = _receive(pixels, rng, nuisance=nuisance)
    return Cine(noisy, labels, axes, origin, 60000 / float(causes.heart_rate_bpm))


@dataclass(frozen=True)
class _Tissue:
    """Brightness of the heart's parts in one person, and where the papillary muscles stand."""

    muscle: float
    rv_blood: float
    fat: float
    papillary: float
    papillary_angles: tuple[float, float]
    inflow: float
    edge_px: float

    @classmethod
    def draw(cls, rng: np.random.Generator, nuisance: CineNuisance) -> "_Tissue":
        return cls(
            muscle=rng.uniform(*nuisance.muscle),
            rv_blood=rng.uniform(*nuisance.rv_blood),
            fat=rng.uniform(*nuisance.fat),
            papillary=rng.uniform(*nuisance.papillary),
            papillary_angles=(2.2 + 0.3 * rng.standard_normal(), -2.0 + 0.3 * rng.standard_normal()),
            inflow=nuisance.inflow * rng.standard_normal(),
            edge_px=rng.uniform(*nuisance.edge_px),
        )


def _paint_heart(ground: Float32, place: SliceField, levels: Levels, *, tissue: _Tissue, rim_px: float, filling: Array) -> None:
    """Fat rim, RV wall, RV blood, myocardium and LV blood over the surroundings (T, FIELD, FIELD), in place, softly bordered."""
    edge = np.float32(tissue.edge_px)
    box = _reach(place, levels, margin_px=rim_px + tissue.edge_px)
    place, heart = place.part(box), ground[(slice(None), *box)]

    def inside(level: Float32, distance: Float32) -> Float32:
        depth = level - distance
        depth /= edge
        depth += np.float32(0.5)
        return np.clip(depth, 0, 1, out=depth)

    cavity, muscle, rv = (x[:, None, None] for x in (levels.cavity, levels.muscle, levels.rv))
    blood = (1 + tissue.inflow * (1 - filling)).astype(np.float32)[:, None, None]
    border = muscle * place.shape + rv * place.rv_width  # outer border of both ventricles along each angle
    present = (levels.muscle > 0).astype(np.float32)[:, None, None]
    wall = np.float32(_WALL_PX) * (rv > 0)
    heart += present * inside(border + wall + np.float32(rim_px), place.rho) * (np.float32(tissue.fat) - heart)
    heart += present * inside(border + wall, place.rho) * (np.float32(tissue.muscle) - heart)
    heart += (rv > 0) * inside(border, place.rho) * (np.float32(tissue.rv_blood) * blood - heart)
    heart += present * inside(muscle, place.radius) * (np.float32(tissue.muscle) - heart)
    dark = _papillary(place, levels, tissue)
    heart += (cavity > 0) * inside(cavity, place.radius) * (blood - dark - heart)


_WALL_PX = 1.8  # thickness of the RV wall


def _reach(place: SliceField, levels: Levels, *, margin_px: float) -> tuple[slice, slice]:
    """Rows and columns that any part of the heart touches in any frame: beyond them the surroundings stay as they are."""
    far = levels.muscle.max() * place.shape + levels.rv.max() * place.rv_width + _WALL_PX + margin_px
    rows, columns = np.nonzero(place.rho <= far)
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def _papillary(place: SliceField, levels: Levels, tissue: _Tissue) -> Float32:
    """(T, FIELD, FIELD) darkening by two papillary muscles that move with the wall."""
    size = np.maximum(levels.cavity, 1)[:, None, None]
    relative = place.radius / size
    dark = np.zeros_like(relative)
    for angle in tissue.papillary_angles:
        away = place.angle - np.float32(angle)
        sideways = np.minimum(np.abs(away), np.float32(2 * np.pi) - np.abs(away))
        across = np.square(sideways / np.float32(0.33))
        dark += np.maximum(1 - np.square((relative - np.float32(0.70)) / np.float32(0.24)) - across, 0)
    return np.asarray(np.float32(tissue.papillary * (1 - tissue.muscle)) * np.minimum(dark * 1.5, 1), dtype=np.float32)


def _receive(pixels: Float32, rng: np.random.Generator, *, nuisance: CineNuisance) -> np.ndarray:
    """Counts (T, Z, Y, X) int16: coil shading, gain and the magnitude of a complex signal with noise in both parts.

    Noise is read from a pool of draws at random places, which costs a tenth of drawing each value.
    """
    rows, columns = pixels.shape[2:]
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    tilt, bend = nuisance.shading * rng.standard_normal(2), 0.3 * nuisance.shading * rng.standard_normal(2)
    shade = np.exp(tilt[0] * x + tilt[1] * y + bend[0] * x * y + bend[1] * (x * x - y * y))
    gain = (BLOOD_COUNTS * np.exp(nuisance.gain_log * rng.standard_normal()) * shade).astype(np.float32)
    sigma = rng.uniform(*nuisance.noise) * BLOOD_COUNTS
    pool = rng.standard_normal(_NOISE_POOL, dtype=np.float32) * np.float32(sigma)
    squared = pool * pool
    out = np.empty(pixels.shape, dtype=np.int16)
    length = pixels[0].size
    starts = rng.integers(0, _NOISE_POOL - length, (len(pixels), 2))
    for t, (real, imaginary) in enumerate(starts):
        signal = pixels[t] * gain
        signal += pool[real : real + length].reshape(signal.shape)
        signal *= signal
        signal += squared[imaginary : imaginary + length].reshape(signal.shape)
        out[t] = np.rint(np.sqrt(signal, out=signal), out=signal)
    return out


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
