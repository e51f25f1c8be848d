"""Draw incidence over time by third of risk, and calibration by tenth of risk, as SVG text."""

from collections.abc import Sequence
from html import escape

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
    shapes = _frame(title, across=across, up=up, right=end)
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


def calibration(tenths: Sequence[tuple[float, float]], *, title: str) -> str:
    """Draw observed share over mean predicted risk, one point per tenth of predicted risk."""
    end = figures.WIDTH - _RIGHT
    highest = max((value for pair in tenths for value in pair), default=0.01)
    across = figures.Axis(0.0, 1.05 * highest, _LEFT, end)
    up = figures.Axis(0.0, 1.05 * highest, _TOP + _HEIGHT, _TOP)
    shapes = _frame(title, across=across, up=up, right=end, percent=True)
    x1, x2, y1, y2 = across.at(0), across.at(highest), up.at(0), up.at(highest)
    shapes.append(f'<line class="chance" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>')
    for predicted, observed in tenths:
        x, y = across.at(predicted), up.at(observed)
        shapes.append(f'<circle class="point s0" cx="{x}" cy="{y}" r="3"/>')
    said = "; ".join(f"{100 * p:.1f} % and {100 * o:.1f} %" for p, o in tenths)
    label = f"{title}, predicted and observed by tenth of predicted risk: {said}"
    return figures.svg(shapes, height=_TOP + _HEIGHT + 30, label=label)


def _frame(
    title: str, *, across: figures.Axis, up: figures.Axis, right: float, percent: bool = False
) -> list[str]:
    """Return title, grid and ticks; the horizontal axis is in percent or in years."""
    shapes = [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    for tick in up.ticks(most=4):
        kind, y = "zero" if tick == 0 else "grid", up.at(tick)
        shapes.append(f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        shapes.append(
            f'<text class="tick" x="{_LEFT - 5}" y="{y + 3.5}" text-anchor="end">'
            f"{_percent(tick)}</text>"
        )
    for tick in across.ticks(most=5):
        text = _percent(tick) if percent else f"{tick:g}"
        shapes.append(
            f'<text class="tick" x="{across.at(tick)}" y="{_TOP + _HEIGHT + 14}" '
            f'text-anchor="middle">{text}</text>'
        )
    return shapes


def _percent(value: float) -> str:
    return f"{number(100 * value, digits=0 if round(100 * value, 6) % 1 == 0 else 1)} %"
