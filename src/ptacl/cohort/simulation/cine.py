"""Generate a short-axis cine from causes.

It shows ventricles with the drawn volumes, inside a chest that varies between participants.
Brightness is relative to LV blood until the last step, where gain, coil shading and Rician noise
turn it into counts.
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

BLOOD_COUNTS = 36.0  # brightness of LV blood, before the gain that is drawn for the visit

_COLUMNS, _ROWS = (122, 134), (116, 126)  # ranges of the matrix: a reduced field of view
_NOISE_POOL = 1 << 20
_BLOCKS = tuple(slice(t, t + 10) for t in range(0, FRAMES, 10))  # fits in the CPU cache
_APEX_LPS = np.array([0.62, -0.60, -0.50])  # from base to apex: left, to the front, down
_RIGHT_LPS = np.array([0.62, 0.72, -0.10])  # image right: left and to the back of the person


@dataclass(frozen=True)
class SimulatedCine:
    """A cine with its segmentation and geometry.

    `image` is (T, Z, Y, X) int16 and `labels` is (T, Z, Y, X) uint8; frame 0 is at the R-peak and
    slice 0 at the base. The columns of `axes` (3, 3) are the directions of X, Y and Z in LPS.
    `origin_mm` is the position of the first voxel in LPS, and `rr_ms` the length of the cycle.
    """

    image: np.ndarray
    labels: np.ndarray
    axes: Array
    origin_mm: Array
    rr_ms: float


def image(causes: Causes, rng: np.random.Generator, *, nuisance: CineNuisance) -> SimulatedCine:
    """Generate the cine of one visit with its segmentation."""
    counts = heart.count(causes, rng, nuisance=nuisance)
    slices = counts.cavity.shape[0]
    columns, rows = int(rng.integers(*_COLUMNS)), int(rng.integers(*_ROWS))
    septum = np.deg2rad(205 + nuisance.rotation_degrees * rng.standard_normal())
    limit = (min(columns, rows) - FIELD) / 2 * PIXEL_MM
    offset = np.minimum(nuisance.centre_mm, limit) * rng.uniform(-1, 1, 2) / PIXEL_MM
    corner = np.rint([(rows - FIELD) / 2 + offset[0], (columns - FIELD) / 2 + offset[1]]).astype(
        int
    )
    window = (slice(corner[0], corner[0] + FIELD), slice(corner[1], corner[1] + FIELD))
    largest = float(np.sqrt((counts.cavity + counts.muscle).max() / np.pi))
    chest = draw_chest(causes, rng, radius_px=largest, septum=septum, nuisance=nuisance)
    tissue = Tissue.draw(rng, nuisance)

    middle = np.array([corner[0], corner[1]]) + (FIELD - 1) / 2
    drawn = [
        (_place(rng, septum=septum, nuisance=nuisance), draw_knots(rng)) for _ in range(slices)
    ]
    axes, origin = _orientation(
        rng, offset_px=offset, shape=(rows, columns), slices=slices, nuisance=nuisance
    )
    scanner = _Scanner.draw(rng, (rows, columns), nuisance)

    pixels = np.empty((FRAMES, slices, rows, columns), dtype=np.int16)
    labels = np.zeros((FRAMES, slices, rows, columns), dtype=np.uint8)
    for z, (place, knots) in enumerate(drawn):
        labels[(slice(None), z, *window)], levels = heart.label(place, counts, z)
        ground = paint(
            chest, knots, shape=(rows, columns), centre_px=middle, depth=z / (slices - 1)
        )
        layers = Layers(place, levels, tissue=tissue, rim_px=chest.rim_px, filling=counts.filling)
        box, still = _moved(layers.box, corner), ground * scanner.gain
        for frames in _BLOCKS:
            scanner.receive(pixels[frames, z], still, layers.paint(ground[box], frames), box, rng)
    return SimulatedCine(pixels, labels, axes, origin, 60000 / float(causes.heart_rate_bpm))


def _moved(box: Box, corner: np.ndarray) -> Box:
    rows, columns = (
        slice(part.start + int(at), part.stop + int(at))
        for part, at in zip(box, corner, strict=True)
    )
    return rows, columns


def _place(rng: np.random.Generator, *, septum: float, nuisance: CineNuisance) -> SliceField:
    """Draw the coordinates of one slice; each slice has its own breath hold."""
    shift = nuisance.breath_hold_mm / PIXEL_MM * rng.standard_normal(2)
    centre = (FIELD - 1) / 2 + np.clip(shift, -2.5, 2.5)
    return heart.field(
        rng, centre_px=(float(centre[0]), float(centre[1])), septum=septum, nuisance=nuisance
    )


@dataclass(frozen=True)
class _Scanner:
    """Converts brightness to counts.

    `gain` (rows, columns) includes coil shading and is in units of `sigma`, the noise in counts.
    """

    gain: Float32
    sigma: np.float32

    @classmethod
    def draw(
        cls, rng: np.random.Generator, shape: tuple[int, int], nuisance: CineNuisance
    ) -> "_Scanner":
        y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        tilt, bend = (
            nuisance.shading * rng.standard_normal(2),
            0.3 * nuisance.shading * rng.standard_normal(2),
        )
        shade = np.exp(tilt[0] * x + tilt[1] * y + bend[0] * x * y + bend[1] * (x * x - y * y))
        gain = BLOOD_COUNTS * np.exp(nuisance.gain_log * rng.standard_normal()) * shade
        sigma = rng.uniform(*nuisance.noise) * BLOOD_COUNTS
        return cls((gain / sigma).astype(np.float32), np.float32(sigma))

    def receive(
        self, out: np.ndarray, still: Float32, heart: Float32, box: Box, rng: np.random.Generator
    ) -> None:
        """Write counts (n, rows, columns) to `out`.

        A count is the magnitude of a complex signal with independent noise in both parts. `still`
        (rows, columns) is the same in all frames and includes the gain; `heart` covers `box` and
        does not include the gain. Noise is taken from random places of a pool of draws, which
        takes a tenth of the time of drawing each value.
        """
        noise, squared = (
            x[start : start + out.size].reshape(out.shape)
            for x, start in zip(
                _noise_pool(), rng.integers(0, _NOISE_POOL - out.size, 2), strict=True
            )
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
    """Return standard normal draws and their squares.

    They are the same in every process, so the files depend only on the visit.
    """
    pool = seeds.generator(0, "simulation noise pool").standard_normal(
        _NOISE_POOL, dtype=np.float32
    )
    return pool, pool * pool


def _orientation(
    rng: np.random.Generator,
    *,
    offset_px: Array,
    shape: tuple[int, int],
    slices: int,
    nuisance: CineNuisance,
) -> tuple[Array, Array]:
    """Draw the directions of X, Y and Z in LPS and the position of the first voxel.

    The axes are left-handed, as in real short-axis stacks.
    """
    tilt = np.deg2rad(nuisance.plane_degrees)
    normal = _APEX_LPS + tilt * rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    right = _RIGHT_LPS + tilt * rng.standard_normal(3)
    right -= normal * (normal @ right)
    right /= np.linalg.norm(right)
    down = np.cross(right, normal)
    axes = np.stack([right, down, normal], axis=1)
    centre = np.array([35.0, -25.0, 20.0]) + 15 * rng.standard_normal(3)
    middle = (
        np.array([(shape[1] - 1) / 2 + offset_px[1], (shape[0] - 1) / 2 + offset_px[0]]) * PIXEL_MM
    )
    return axes, centre - axes @ np.array([*middle, SPACING_MM * (slices - 1) / 2])
