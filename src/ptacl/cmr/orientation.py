"""Turn cines to one view: the short axis as seen from the apex, with the base as the first slice.

Files of one heart differ in the order of rows, columns and slices. For example, dcm2niix reverses
the rows and often the slices of a DICOM series. A picture that is mirrored has its ventricles
exchanged. The geometry in the file tells the directions of its axes in the body, and whole axes are
reversed or exchanged until the picture is closest to the view. Nothing is interpolated.

Directions are in LPS: to the left, to the back (posterior) and to the head (superior) of the body.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# The axis of the heart is taken to point to the left, to the front and to the feet in equal parts.
# Together, the three directions are a right-handed frame.
RIGHT = np.array([1, 1, 0]) / np.sqrt(2)  # right side of the picture: left and back of the body
DOWN = np.array([-1, 1, -2]) / np.sqrt(6)  # lower side of the picture: feet
TO_BASE = np.array([-1, 1, 1]) / np.sqrt(3)  # away from the viewer
# Cosine with the axis of the heart, 53 degrees. An image whose axes are those of the body, as in
# a header left at its defaults, has 0.58.
LEAST_COSINE = 0.6
_QUARTER = 1.0  # by how much a quarter turn must be closer; so it begins beyond 66 degrees


@dataclass(frozen=True)
class Turn:
    """How to turn the axes of a file to the view.

    exchange : exchange rows and columns first. rows, columns, slices : reverse these.
    """

    exchange: bool = False
    rows: bool = False
    columns: bool = False
    slices: bool = False

    def images(self, images: np.ndarray) -> np.ndarray:
        """Turn images (..., R, C), as a view."""
        turned = images.swapaxes(-1, -2) if self.exchange else images
        return turned[..., :: -1 if self.rows else 1, :: -1 if self.columns else 1]

    def stack(self, images_TZRC: np.ndarray) -> np.ndarray:
        """Turn images and the order of slices, as a view."""
        return self.images(images_TZRC)[:, :: -1 if self.slices else 1]

    def describe(self) -> str:
        """Say in words what is done."""
        steps = {
            "rows and columns exchanged": self.exchange,
            "rows reversed": self.rows,
            "columns reversed": self.columns,
            "slices reversed": self.slices,
        }
        return ", ".join(step for step, done in steps.items() if done) or "as stored"


def find(directions: Sequence[Vector]) -> Turn | None:
    """Find the turn for axes with these directions in the body.

    directions : three vectors in LPS, along which the columns, rows and slices of the file follow
    each other. None if they are not those of a short axis: the normal of the images is more than 53
    degrees from the axis of the heart, or a direction is missing.
    """
    column, row, step = (np.asarray(direction, np.float64) for direction in directions)
    lengths = [np.linalg.norm(vector) for vector in (column, row, step)]
    if not np.isfinite(lengths).all() or min(lengths) == 0:
        return None
    column, row, step = column / lengths[0], row / lengths[1], step / lengths[2]
    normal = np.cross(column, row)
    if abs(normal @ TO_BASE) < LEAST_COSINE:
        return None
    best, turn = -np.inf, Turn()
    for exchange, rows, columns in product((False, True), repeat=3):
        right, down = (row, column) if exchange else (column, row)
        right, down = (-right if columns else right), (-down if rows else down)
        if np.cross(right, down) @ TO_BASE < 0:  # mirrored
            continue
        closeness = right @ RIGHT + down @ DOWN - _QUARTER * exchange
        if closeness > best:
            best, turn = closeness, Turn(exchange, rows, columns, bool(step @ TO_BASE > 0))
    return turn
