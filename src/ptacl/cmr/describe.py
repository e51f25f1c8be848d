"""Show how the pipeline processes one cine, as JSON values and as a drawing."""

from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.cmr import crop, read, sheet
from ptacl.cmr.sequence import Examined, examine
from ptacl.exclusions import Excluded, Reason


def describe(
    path: Path, *, settings: config.Cmr, segmentation: Path | None = None
) -> dict[str, Any]:
    """Return facts about a cine; `excluded` is null or the reason for the exclusion.

    `volumes` is included if a segmentation is given or found next to the cine. Raises
    Excluded(UNREADABLE) if the file is not a readable cine.
    """
    try:
        examined = examine(
            path, segmentation=segmentation or read.find_labels(path), settings=settings
        )
    except Excluded as error:
        if error.reason is Reason.UNREADABLE:
            raise
        nothing = dict.fromkeys(("num_slices", "num_frames", "spacing_mm", "middle_slice", "crop"))
        return {"kind": "cine", "format": read.format_of(path), **nothing, "excluded": str(error)}
    return {
        "kind": "cine",
        **examined.facts,
        "excluded": str(examined.excluded) if examined.excluded else None,
    }


def draw(
    path: Path, out_png: Path, *, settings: config.Cmr, segmentation: Path | None = None
) -> None:
    """Draw the middle slice with the crop window, the crop, and one row of it over time.

    The crop is shown at end-diastole and end-systole.
    """
    from matplotlib.figure import Figure

    examined = examine(path, segmentation=segmentation or read.find_labels(path), settings=settings)
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    whole, cropped, line = figure.subplots(1, 3, width_ratios=[1, 2, 1])
    _draw_slice(whole, examined, size=settings.size)
    if examined.sequence is not None:
        shown = sheet.panel(examined.sequence, title="", volume_ml=examined.volume_ml.get("lv"))
        cropped.set_title(f"crop in frame 0 and in frame {shown.systole_frame}")
        cropped.imshow(np.hstack([shown.diastole, shown.systole]), cmap="gray", vmin=0, vmax=255)
        line.imshow(
            examined.sequence[:, settings.size // 2].T, cmap="gray", vmin=0, vmax=255, aspect="auto"
        )
    line.set(title="middle row of the crop", xlabel="frame")
    figure.suptitle(_title(examined), fontsize=10)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=100)


def _draw_slice(axes: Any, examined: Examined, *, size: int) -> None:
    place, frame = examined.location, examined.cine.slices[examined.location.slice][0]
    axes.imshow(frame, cmap="gray")
    if examined.labels_TZRC is not None:
        axes.contour(
            examined.labels_TZRC[0, place.slice] > 0,
            levels=[0.5],
            colors="tab:orange",
            linewidths=0.8,
        )
    top, left = (crop.first_pixel(centre, size=size) - 0.5 for centre in (place.row, place.col))
    axes.plot(
        [left, left + size, left + size, left, left],
        [top, top, top + size, top + size, top],
        color="tab:red",
        linewidth=1,
    )
    axes.plot(place.col, place.row, "+", color="tab:red")
    axes.set_title(f"slice {place.slice} of {examined.cine.num_slices}, centre from {place.source}")


def _title(examined: Examined) -> str:
    told = {"LVEDV": "mL", "LVESV": "mL", "LVEF": "%", "LVM": "g"}
    values = [
        f"{name} {examined.volumes[name]:.0f} {unit}"
        for name, unit in told.items()
        if name in examined.volumes
    ]
    return f"excluded: {examined.excluded}" if examined.excluded else "   ".join(values)
