"""Draw the figures of the page as SVG text.

They are small panels that reflow on a narrow screen. All shapes have classes instead of colours, so
that the style sheet of the page sets the colours for light, dark and print.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain

from ptacl.report.cells import Cell, number

WIDTH = 340.0
_TEXT, _ROW = 11.0, 19.0


_LABEL_GAP = 11.5  # between labels at the ends of curves
_LETTER, _LONGEST = 6.2, 27  # width of a letter, and longest label in letters


@dataclass(frozen=True)
class Mark:
    """A line of a dot plot: its label, its colour class, and the number to draw."""

    label: str
    kind: str
    cell: Cell


@dataclass(frozen=True)
class Axis:
    """A linear axis that maps values to positions.

    Values outside the axis are placed at its end, where an arrow marks them.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def beyond(self, value: float) -> int:
        """Return -1 for a value below the axis, 1 for one above it, and 0 otherwise."""
        return int(value > self.high) - int(value < self.low)

    def ticks(self, *, most: int) -> list[float]:
        """Return round values inside the axis, at most `most` + 1 of them."""
        span = self.high - self.low
        rough = span / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough - 1e-12)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def shared_range(
    cells: Sequence[Cell], *, floor: float, include: Sequence[float]
) -> tuple[float, float]:
    """Return an axis range for numbers, intervals, the paper's numbers and `include`.

    It does not extend below `floor`, because one very low value would make the others unreadable.
    """
    values: list[float] = []
    for cell in cells:
        shown = (cell.value, cell.low, cell.high, cell.paper)
        values += [value for value in shown if value is not None and math.isfinite(value)]
    low, high = min([*include, *values]), max([*include, *values])
    margin = 0.03 * (high - low)
    return max(low - margin, floor), high + margin


def dot_plot(
    marks: Sequence[Mark], *, title: str, limits: tuple[float, float], dashed: float | None
) -> str:
    """Draw the numbers of one phenotype: a dot with its interval for each method.

    The paper's number is a ring. `dashed` is the position of a line across the ECG rows, which
    shows the ceiling of an ECG or chance. An arrow at the border marks numbers and ends of
    intervals that are outside `limits`; the numbers are also written there.
    """
    labels = [_lines(mark.label) for mark in marks]
    longest = max((len(text) for lines in labels for text in lines), default=0)
    top, left = 26.0, max(118.0, _LETTER * longest + 12)
    axis = Axis(*limits, left, WIDTH - 10)
    tops = [top]  # of each row, and the bottom of the last one
    for lines in labels:
        tops.append(tops[-1] + _ROW + _TEXT * (len(lines) - 1))
    bottom = tops[-1]
    shapes = [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    for tick in axis.ticks(most=5):
        x = axis.at(tick)
        kind = "zero" if tick == 0 else "grid"
        shapes.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top - 4}" y2="{bottom}"/>')
        shapes.append(
            f'<text class="tick" x="{x}" y="{bottom + 14}" '
            f'text-anchor="middle">{number(tick, digits=_digits(tick))}</text>'
        )
    of_ecg = [i for i, mark in enumerate(marks) if mark.kind == "ecg"]
    if dashed is not None and of_ecg:
        x, y1, y2 = axis.at(dashed), tops[of_ecg[0]] - 2, tops[of_ecg[-1] + 1] - 2
        shapes.append(f'<line class="ceiling" x1="{x}" x2="{x}" y1="{y1}" y2="{y2}"/>')
    for i, mark in enumerate(marks):
        y = (tops[i] + tops[i + 1]) / 2 - 2
        shapes += _label(mark.label, labels[i], y=y)
        shapes += _mark(mark, axis=axis, y=y)
    said = "; ".join(f"{m.label} {m.cell.text} ({m.cell.interval})" for m in marks)
    return svg(shapes, height=bottom + 20, label=f"{title}: {said}")


def _lines(label: str) -> list[str]:
    """Divide a long label into two lines, to leave room for the axis."""
    lines = textwrap.wrap(label, _LONGEST)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: _LONGEST - 1]}…"]
    return lines or [""]


def _label(label: str, lines: Sequence[str], *, y: float) -> list[str]:
    first = y + 4 - _TEXT * (len(lines) - 1) / 2
    return [
        f'<text class="label" x="0" y="{first + _TEXT * i}">'
        f"<title>{escape(label)}</title>{escape(text)}</text>"
        for i, text in enumerate(lines)
    ]


def _mark(mark: Mark, *, axis: Axis, y: float) -> list[str]:
    cell = mark.cell
    shapes = []
    if cell.paper is not None:
        shapes.append(f'<circle class="paper" cx="{axis.at(cell.paper)}" cy="{y}" r="3.6"/>')
    if math.isfinite(cell.low) and math.isfinite(cell.high):
        shapes.append(
            f'<line class="bar {mark.kind}" x1="{axis.at(cell.low)}" '
            f'x2="{axis.at(cell.high)}" y1="{y}" y2="{y}"/>'
        )
    outside = [v for v in (cell.low, cell.high) if math.isfinite(v) and axis.beyond(v)]
    shapes += [
        _arrow(axis, v, y=y, kind=mark.kind, size=3)
        for v in outside
        if axis.beyond(v) != axis.beyond(cell.value)
    ]
    if cell.measured and (side := axis.beyond(cell.value)):
        x = axis.at(cell.value) - 12 * side
        anchor = "start" if side < 0 else "end"
        shapes.append(_arrow(axis, cell.value, y=y, kind=mark.kind, size=5))
        shapes.append(
            f'<text class="tick outside" x="{x}" y="{y + 3.5}" text-anchor="{anchor}">'
            f"{cell.text}</text>"
        )
    elif cell.measured:
        shapes.append(
            f'<circle class="dot {mark.kind}" cx="{axis.at(cell.value)}" cy="{y}" r="4"/>'
        )
    return shapes


def _arrow(axis: Axis, value: float, *, y: float, kind: str, size: float) -> str:
    """Draw a triangle at the end of the axis that points to a value outside it."""
    x, back = axis.at(value), -axis.beyond(value) * 1.6 * size
    points = f"{x},{y} {x + back:g},{y - size:g} {x + back:g},{y + size:g}"
    return f'<polygon class="arrow {kind}" points="{points}"/>'


def _digits(tick: float) -> int:
    return 0 if tick == round(tick) else 1 if tick * 10 == round(tick * 10) else 2


def curves(
    epochs: Sequence[float],
    *,
    title: str,
    lines: Sequence[tuple[str, Sequence[float]]],
    chance: float | None,
    chosen: float | None,
    floor: float | None = None,
) -> str:
    """Draw the loss of one training over its epochs.

    Each (class, values) with a finite value becomes a line, and its last value is part of the
    figure's label. `chance` (the loss of guessing) and `floor` (the lowest possible loss) are
    dashed lines. `chosen`, the epoch whose weights were kept, is a vertical line.
    """
    top, height, left = 26.0, 118.0, 40.0
    every = chain.from_iterable(values for _, values in lines)
    finite = [value for value in every if math.isfinite(value)]
    if not finite or not len(epochs):
        return svg(
            [f'<text class="title" x="0" y="14">{escape(title)}: no epoch</text>'],
            height=30,
            label=f"{title}: no epoch",
        )
    levels = {
        name: level for name, level in (("chance", chance), ("floor", floor)) if level is not None
    }
    finite += levels.values()
    low, high = min(finite), max(finite)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    across = Axis(min(epochs), max(max(epochs), min(epochs) + 1), left, WIDTH - 8)
    up = Axis(low - margin, high + margin, top + height, top)
    shapes = [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    digits = max(0, 2 - math.floor(math.log10(up.high - up.low)))  # enough to distinguish the ticks
    for tick in up.ticks(most=4):
        y = up.at(tick)
        shapes.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 8}" y1="{y}" y2="{y}"/>')
        shapes.append(
            f'<text class="tick" x="{left - 5}" y="{y + 3.5}" '
            f'text-anchor="end">{round(tick, digits):g}</text>'
        )
    for tick in [t for t in across.ticks(most=6) if t == round(t)]:
        x, y = across.at(tick), top + height + 14
        shapes.append(f'<text class="tick" x="{x}" y="{y}" text-anchor="middle">{tick:g}</text>')
    said = []
    for name, level in levels.items():
        y = up.at(level)
        shapes.append(f'<line class="chance" x1="{left}" x2="{WIDTH - 8}" y1="{y}" y2="{y}"/>')
        shapes.append(
            f'<text class="tick" x="{WIDTH - 8}" y="{y - 3}" text-anchor="end">{name}</text>'
        )
        said.append(f"{name} {level:.4g}")
    if chosen is not None:
        x = across.at(chosen)
        shapes.append(f'<line class="chosen" x1="{x}" x2="{x}" y1="{top}" y2="{top + height}"/>')
        said.append(f"epoch kept {chosen:g}")
    for kind, values in lines:
        points = [
            f"{across.at(e)},{up.at(v)}"
            for e, v in zip(epochs, values, strict=True)
            if math.isfinite(v)
        ]
        if points:
            shapes.append(f'<polyline class="curve {kind}" points="{" ".join(points)}"/>')
            end_x, end_y = points[-1].split(",")
            shapes.append(f'<circle class="end {kind}" cx="{end_x}" cy="{end_y}" r="2.6"/>')
            said.append(f"{kind} {[v for v in values if math.isfinite(v)][-1]:.4g}")
    return svg(
        shapes,
        height=top + height + 20,
        label=f"{title}, loss over epochs; last: {', '.join(said)}",
    )


def apart(
    ends: Sequence[tuple[float, str, str]], *, lowest: float
) -> list[tuple[float, tuple[str, str]]]:
    """Move labels apart that would overlap, and keep their order."""
    placed: list[tuple[float, tuple[str, str]]] = []
    for y, method, colour in sorted(ends):
        above = placed[-1][0] + _LABEL_GAP if placed else -math.inf
        placed.append((max(y, above), (method, colour)))
    if not placed:
        return placed
    excess = max(0.0, placed[-1][0] - lowest)
    return [(y - excess, what) for y, what in placed]


def svg(shapes: Sequence[str], *, height: float, label: str) -> str:
    """Return a panel as SVG text, with a label for screen readers."""
    head = (
        f'<svg class="panel" viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}" font-size="{_TEXT:g}">'
    )
    return head + "".join(shapes) + "</svg>"
