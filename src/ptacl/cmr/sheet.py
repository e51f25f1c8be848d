"""Draw a contact sheet: some crops at end-diastole and end-systole, to review their place at a
glance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Panel:
    """One cine: the crop (R, C) at end-diastole, frame 0, and at end-systole, `systole_frame`."""

    title: str
    diastole: np.ndarray
    systole: np.ndarray
    systole_frame: int


def panel(sequence_TRC: np.ndarray, *, title: str, volume_ml: np.ndarray | None) -> Panel:
    """Make a panel of a stored sequence.

    End-systole is the frame of the smallest volume or, without volumes, the frame that differs most
    from frame 0.
    """
    difference = np.abs(sequence_TRC.astype(np.int16) - sequence_TRC[0]).sum(axis=(1, 2))
    systole = int(np.argmax(difference) if volume_ml is None else np.argmin(volume_ml))
    return Panel(
        title=title, diastole=sequence_TRC[0], systole=sequence_TRC[systole], systole_frame=systole
    )


def draw(panels: Sequence[Panel], *, out_png: Path) -> None:
    """Draw each panel as a pair of images; an empty page says so."""
    from matplotlib.figure import Figure

    rows = max(-(-len(panels) // _COLUMNS), 1)
    figure = Figure(figsize=(2.6 * _COLUMNS, 1.6 * rows), layout="constrained")
    if not panels:
        figure.text(0.5, 0.5, "no usable cine", ha="center", va="center")
    for axes, shown in zip(
        figure.subplots(rows, _COLUMNS, squeeze=False).flat,
        [*panels, *[None] * rows * _COLUMNS],
        strict=False,
    ):
        axes.set_axis_off()
        if shown:
            axes.imshow(np.hstack([shown.diastole, shown.systole]), cmap="gray", vmin=0, vmax=255)
            axes.set_title(shown.title, fontsize=7, pad=2)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=90)
