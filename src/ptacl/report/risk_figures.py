"""Draw incidence over time by third of risk, and calibration by tenth of risk, as SVG text."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import chain

from ptacl.report import figures
from ptacl.report.cells import number

_HEIGHT, _LEFT, _RIGHT, _TOP = 150.0, 40.0, 70.0, 26.0
_NAMES = ("lowest third", "middle third", "highest third")


def incidence(
    years: Sequence[float], curves: Sequence[Sequence[float] | None], *, title: str
) -> str:
    """Draw the share of people with the event over years, one curve per third of predicted risk.

    A curve can be missing.
    """
    end = figures.WIDTH - _RIGHT
    highest = max((max(curve) for curve in curves if curve), default=0.0)
    across = figures.Axis(0.0, max(years), _LEFT, end)
    up = figures.Axis(0.0, max(1.05 * highest, 0.01), _TOP + _HEIGHT, _TOP)
    shapes = _frame(
        title, across=across, up=up, right=end, format_x=_format(False), format_y=_format(True)
    )
    said, ends = [], []
    for place, (name, curve) in enumerate(zip(_NAMES, curves, strict=True)):
        if not curve:
            continue
        colour = f"s{place}"
        points = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in zip(years, curve, strict=True))
        shapes.append(f'<polyline class="series {colour}" points="{points}"/>')
        ends.append((up.at(curve[-1]), name.removesuffix(" third"), colour))
        said.append(f"{name} {100 * curve[-1]:.1f} %")
    for y, (name, colour) in figures.apart(ends, lowest=_TOP + _HEIGHT):
        shapes.append(
            f'<text class="end-label {colour}" x="{end + 6}" y="{y + 3.5:.1f}">{name}</text>'
        )
    label = f"{title}; at {max(years):g} years: {', '.join(said)}"
    return figures.svg(shapes, height=_TOP + _HEIGHT + 30, label=label)


def calibration(tenths: Sequence[tuple[float, float]], *, title: str, percent: bool = True) -> str:
    """Draw mean observed over mean predicted value, one point per tenth of the predicted value.

    Risks are in percent, and their axes start at zero.
    """
    end = figures.WIDTH - _RIGHT
    values = list(chain.from_iterable(tenths)) or [0.01]
    highest, lowest = max(values), 0.0 if percent else min(values)
    margin = 0.05 * (highest - lowest) or 1.0
    first, last = lowest - (0.0 if percent else margin), highest + margin
    across = figures.Axis(first, last, _LEFT, end)
    up = figures.Axis(first, last, _TOP + _HEIGHT, _TOP)
    shapes = _frame(
        title, across=across, up=up, right=end, format_x=_format(percent), format_y=_format(percent)
    )
    x1, x2, y1, y2 = across.at(lowest), across.at(highest), up.at(lowest), up.at(highest)
    shapes.append(f'<line class="chance" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>')
    for predicted, observed in tenths:
        x, y = across.at(predicted), up.at(observed)
        shapes.append(f'<circle class="point s0" cx="{x}" cy="{y}" r="3"/>')
    write = _format(percent)
    said = "; ".join(f"{write(predicted)} and {write(observed)}" for predicted, observed in tenths)
    label = f"{title}, predicted and observed by tenth of the predicted value: {said}"
    return figures.svg(shapes, height=_TOP + _HEIGHT + 30, label=label)


def _frame(
    title: str,
    *,
    across: figures.Axis,
    up: figures.Axis,
    right: float,
    format_x: Callable[[float], str],
    format_y: Callable[[float], str],
) -> list[str]:
    """Return title, grid and ticks, whose values the functions write."""
    shapes = [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    for tick in up.ticks(most=4):
        kind, y = "zero" if tick == 0 else "grid", up.at(tick)
        shapes.append(f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        shapes.append(
            f'<text class="tick" x="{_LEFT - 5}" y="{y + 3.5}" text-anchor="end">'
            f"{format_y(tick)}</text>"
        )
    for tick in across.ticks(most=5):
        shapes.append(
            f'<text class="tick" x="{across.at(tick)}" y="{_TOP + _HEIGHT + 14}" '
            f'text-anchor="middle">{format_x(tick)}</text>'
        )
    return shapes


def _format(percent: bool) -> Callable[[float], str]:
    return _percent if percent else _plain


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{number(100 * value, digits=0 if round(100 * value, 6) % 1 == 0 else 1)} %"
