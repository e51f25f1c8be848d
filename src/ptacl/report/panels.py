"""Draw the dot plots of the tables: one panel for the mean and one per phenotype."""

from collections.abc import Mapping, Sequence
from itertools import chain

from ptacl.evaluation.summary import MEAN
from ptacl.report import cells, figures


def dot_plots(
    rows: Sequence[cells.MethodRow], *, names: Sequence[str], ceiling: Mapping[str, float]
) -> list[str]:
    """Draw a panel for the mean and one per phenotype, on a common axis, for all measured rows."""
    measured = [row for row in rows if row.measured]
    shown = list(chain.from_iterable(row.cells for row in measured))
    limits = figures.shared_range(shown, floor=-0.25, include=[0.0, 0.1, *ceiling.values()])
    panels = []
    for c, name in enumerate(names):
        marks = [figures.Mark(mark_label(row), mark_kind(row), row.cells[c]) for row in measured]
        panels.append(
            figures.dot_plot(
                marks, title=_panel_title(name), limits=limits, dashed=ceiling.get(name)
            )
        )
    return panels


def mark_label(row: cells.MethodRow) -> str:
    """Return input and method, and the evaluation unless it is a linear probe."""
    other = "" if row.evaluation == "LP" else f", {row.evaluation}"
    group = f"{row.group} " if row.group in ("CMR", "ECG") else ""
    return f"{group}{row.method}{other}"


def mark_kind(row: cells.MethodRow) -> str:
    """Return the input as the style of the mark names it."""
    if "ECG" in row.group:
        return "ecg"
    return "other" if row.group.startswith("Other") else row.group.lower()


def precision_plots(rows: Sequence[cells.MethodRow], *, random: str) -> list[str]:
    """Draw one panel for the mean and one per phenotype.

    A panel shows each method's precision at the first k with its interval, and chance as a dashed
    line.
    """
    shown = [row.cells[0] for row in rows]
    limits = figures.shared_range(shown, floor=0.0, include=[])
    panels = []
    for name in dict.fromkeys(row.group for row in rows):
        of_phenotype = [row for row in rows if row.group == name]
        marks = [
            figures.Mark(row.method, "ecg", row.cells[0])
            for row in of_phenotype
            if row.method != random
        ]
        dashed = [row.cells[0].value for row in of_phenotype if row.method == random]
        panels.append(
            figures.dot_plot(
                marks, title=_panel_title(name), limits=limits, dashed=next(iter(dashed), None)
            )
        )
    return panels


def _panel_title(name: str) -> str:
    return "Mean over phenotypes" if name == MEAN else name
