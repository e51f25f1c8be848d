"""A short-axis cine as every reader returns it.

Letters in shapes: T frames, Z slices, R rows, C columns. Axes are those of the file: no slice is
flipped or rotated.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np


def no_faults() -> dict[str, int]:
    """Return zero counts of everything that a reader can leave out."""
    return {"decoys": 0, "duplicates": 0, "gaps": 0, "unreadable": 0}


@dataclass(frozen=True, eq=False)
class Cine:
    """One cine, with its slices in the order of their positions.

    slices : one array (T, R, C) per slice, native intensities; T differs if frames are missing.
    spacing_mm : distance between rows, columns, and slices along their normal (median).
    positions_mm : position of each slice along the normal.
    frame_ms : mean time between frames; None if the file does not give it.
    format : dicom-zip, dicom-folder or nifti.
    counts : decoys (files of other series), duplicates (files that repeat a slice and phase), gaps
      (missing frames), unreadable (files without a usable image).
    causes : numbers of unreadable files by cause.
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
