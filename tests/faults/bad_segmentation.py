"""Bad segmentations by kind."""

from collections.abc import Iterator

import numpy as np
from phantom import IMAGE, LABELS, MYOCARDIUM, T


def cases() -> Iterator[tuple[str, np.ndarray]]:
    """Segmentations that must be refused while the cine is used."""
    yield "another shape", LABELS[:, 1:]
    yield "turned", np.ascontiguousarray(LABELS.swapaxes(2, 3))
    yield "the cine itself", np.clip(IMAGE // 3, 0, 255).astype(np.uint8)
    yield "no known label", np.where(LABELS == 0, 0, LABELS + 40).astype(np.uint8)
    yield "upside down", LABELS[:, :, ::-1]
    yield "mirrored", LABELS[..., ::-1]
    yield "not finite", np.where(LABELS == MYOCARDIUM, np.nan, LABELS).astype(np.float32)
    for frames in (1, T // 2, T - 2):
        yield (
            f"in {frames} frames",
            LABELS * (np.arange(T) < frames)[:, None, None, None].astype(np.uint8),
        )
    for rows, columns in ((5, 0), (-5, 0), (0, 6), (0, -6), (8, 8)):
        yield (
            f"moved by {rows} rows and {columns} columns",
            np.roll(LABELS, (rows, columns), (2, 3)),
        )
    for shift in (T // 2 - 1, T // 2, T // 2 + 1):
        yield f"{shift} frames late", np.roll(LABELS, shift, 0)
