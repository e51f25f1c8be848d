"""Draw cines: the place of the crop, and the crop at end-diastole and end-systole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptacl.cmr import crop
from ptacl.cmr.examine import ExaminedCine

_UNITS = {"LVEDV": "mL", "LVESV": "mL", "LVEF": "%", "LVM": "g"}


def draw(examined: ExaminedCine, out_png: Path, *, size: int) -> None:
    """Draw the middle slice with the crop window, the crop, and one row of it over time.

    The crop is shown at end-diastole and end-systole. A record without a short-axis cine has empty
    axes, and the title gives the reason.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    whole, cropped, line = figure.subplots(1, 3, width_ratios=[1, 2, 1])
    _draw_slice(whole, examined, size=size)
    if examined.arrays:
        draw_panel(cropped, examined.arrays)
        cropped.set_axis_on()
        cropped.set_title(f"crop in frame 0 and in frame {examined.arrays['systole']}")
        middle_row = examined.arrays["frames"][:, size // 2].T
        line.imshow(middle_row, cmap="gray", vmin=0, vmax=255, aspect="auto")
    line.set(title="middle row of the crop", xlabel="frame")
    figure.suptitle(_title(examined), fontsize=10)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=100)


def draw_panel(axes: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Draw a stored crop at end-diastole, frame 0, next to end-systole."""
    frames, systole = arrays["frames"], int(arrays["systole"])
    axes.set_axis_off()
    axes.imshow(np.hstack([frames[0], frames[systole]]), cmap="gray", vmin=0, vmax=255)


def _draw_slice(axes: Any, examined: ExaminedCine, *, size: int) -> None:
    cine, place = examined.cine, examined.location
    if cine is None or place is None:
        return
    axes.imshow(cine.slices[place.slice][0], cmap="gray")
    if examined.labels_TZRC is not None:
        outline = examined.labels_TZRC[0, place.slice] > 0
        axes.contour(outline, levels=[0.5], colors="tab:orange", linewidths=0.8)
    top = crop.first_pixel(place.row, size=size) - 0.5
    left = crop.first_pixel(place.col, size=size) - 0.5
    columns = [left, left + size, left + size, left, left]
    rows = [top, top, top + size, top + size, top]
    axes.plot(columns, rows, color="tab:red", linewidth=1)
    axes.plot(place.col, place.row, "+", color="tab:red")
    axes.set_title(f"slice {place.slice} of {cine.num_slices}, centre from {place.source}")


def _title(examined: ExaminedCine) -> str:
    if examined.excluded:
        return f"excluded: {examined.excluded}"
    values = []
    for name, unit in _UNITS.items():
        if name in examined.volumes:
            values.append(f"{name} {examined.volumes[name]:.0f} {unit}")
    return "   ".join(values)
