"""Draw a contact sheet: small drawings of many records on one page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """The page of a modality.

    number : largest number of records. columns : records next to one another. panel_inches : width
    and height of one record. note : line below the page. empty : text of a page without records.
    """

    number: int
    columns: int
    panel_inches: tuple[float, float]
    empty: str
    note: str = ""


def draw(
    captions: Sequence[str],
    draw_panel: Callable[[Any, int], None],
    *,
    layout: Layout,
    out_png: Path,
) -> None:
    """Draw one panel per caption; `draw_panel(axes, i)` draws the record of caption i."""
    from matplotlib.figure import Figure

    rows = max(-(-len(captions) // layout.columns), 1)
    width, height = layout.panel_inches
    figure = Figure(figsize=(width * layout.columns, height * rows), layout="constrained")
    if not captions:
        figure.text(0.5, 0.5, layout.empty, ha="center", va="center")
    for panel, caption in enumerate(captions):
        axes = figure.add_subplot(rows, layout.columns, panel + 1)
        draw_panel(axes, panel)
        axes.set_title(caption, fontsize=7, loc="left", pad=2)
    if layout.note:
        figure.supxlabel(layout.note, fontsize=7)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=90)
