"""A short-axis cine as every reader returns it.

Letters in shapes: T frames, Z slices, R rows, C columns. Axes are those of the file: no slice is flipped or turned.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np


def no_faults() -> dict[str, int]:
    """Counts of what a reader had to leave out, all zero."""
    return {"decoys": 0, "duplicates": 0, "gaps": 0, "unreadable": 0}


@dataclass(frozen=True, eq=False)
class Cine:
    """One cine, slices in the order of their positions.

    slices : one array (T, R, C) a slice, in native intensities; T may differ where a slice lacks frames.
    spacing_mm : distance of rows, of columns, and of slices along their normal (median).
    positions_mm : position of each slice along the normal.
    frame_ms : mean time between frames, None where the file does not tell.
    format : dicom-zip, dicom-folder or nifti.
    counts : decoys (files of other series), duplicates (files that repeat a slice and phase), gaps (frames that are missing),
        unreadable (files that hold no image).
    causes : unreadable files by what is wrong with them.
    """

    slices: tuple[np.ndarray, ...]
    spacing_mm: tuple[float, float, float]
    positions_mm: tuple[float, ...]
    frame_ms: float | None
    format: str
    counts: dict[str, int] = field(default_factory=no_faults)
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def num_slices(self) -> int:
        """Z."""
        return len(self.slices)

    @property
    def num_frames(self) -> int:
        """T of most slices; of two equally frequent, the larger."""
        frequency = Counter(len(s) for s in self.slices)
        return max(frequency, key=lambda t: (frequency[t], t))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, Z, R, C)."""
        rows, columns = self.slices[0].shape[1:]
        return self.num_frames, self.num_slices, int(rows), int(columns)
