"""A short-axis cine as every reader returns it.

Letters in shapes: T frames, Z slices, R rows, C columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ptacl.cmr.orientation import Turn, Vector, find


def no_faults() -> dict[str, int]:
    """Return zero counts of everything that a reader can leave out."""
    return {"decoys": 0, "duplicates": 0, "gaps": 0, "unreadable": 0}


@dataclass(frozen=True, eq=False)
class Cine:
    """One cine, with its slices in the order of their positions.

    Readers give the axes of the file; :meth:`turned` brings them to one view.

    slices : one array (T, R, C) per slice, native intensities; T differs if frames are missing.
    spacing_mm : distance between rows, columns, and slices along their normal (median).
    positions_mm : position of each slice along the normal.
    frame_ms : mean time between frames; None if the file does not give it.
    format : dicom-zip, dicom-folder or nifti.
    counts : decoys (files of other series), duplicates (files that repeat a slice and phase), gaps
      (missing frames), unreadable (files without a usable image).
    causes : numbers of unreadable files by cause.
    directions : directions of columns, rows and slices in the body (:mod:`ptacl.cmr.orientation`);
      None if the file does not give them. turn : how the cine was turned to the view; None if it
      has the axes of the file.
    """

    slices: tuple[np.ndarray, ...]
    spacing_mm: tuple[float, float, float]
    positions_mm: tuple[float, ...]
    frame_ms: float | None
    format: str
    counts: dict[str, int] = field(default_factory=no_faults)
    causes: dict[str, int] = field(default_factory=dict)
    directions: Sequence[Vector] | None = None
    turn: Turn | None = None

    def turned(self) -> "Cine":
        """Return the cine in the view, or unchanged if it has no directions of a short axis."""
        turn = find(self.directions) if self.directions is not None else None
        if turn is None:
            return self
        row_mm, column_mm, slice_mm = self.spacing_mm
        order = slice(None, None, -1 if turn.slices else 1)
        return replace(
            self,
            slices=tuple(turn.images(frames) for frames in self.slices[order]),
            spacing_mm=(column_mm, row_mm, slice_mm) if turn.exchange else self.spacing_mm,
            positions_mm=self.positions_mm[order],
            turn=turn,
        )

    @property
    def num_slices(self) -> int:
        """Number of slices, Z."""
        return len(self.slices)

    @property
    def num_frames(self) -> int:
        """Number of frames T of most slices; the larger of two equally frequent numbers."""
        frequency = Counter(len(s) for s in self.slices)
        return max(frequency, key=lambda t: (frequency[t], t))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the cine: (T, Z, R, C)."""
        rows, columns = self.slices[0].shape[1:]
        return self.num_frames, self.num_slices, int(rows), int(columns)
