"""Curves of R² over the fraction of training labels, and the table of their numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain

import pandas as pd

from ptacl.evaluation.summary import MEAN, Summary
from ptacl.report import comparison, figures
from ptacl.report.cells import Cell, cell, number

_HEIGHT, _LEFT, _RIGHT = 150.0, 34.0, 142.0
_COLOURS = 8  # classes s0, s1, ... of the style sheet
_FLOOR = -0.2  # lowest value on the axis: least people, worst probes
_FEW_PEOPLE = 50  # people of the fraction that the sentence is about, at least
_LONGEST = 20  # letters of a label at the end of a curve


@dataclass(frozen=True)
class Curve:
    """The mean R² of one row by fraction of labels."""

    group: str
    method: str
    by_fraction: Mapping[float, Summary]


@dataclass(frozen=True)
class LabelCurves:
    """What the page shows of label efficiency.

    sentence : the main result in words. panels : one figure by group of rows. people : training
    people by fraction, the mean over draws. rows : group, method and cells by fraction.
    """

    sentence: str
    panels: list[str]
    people: dict[float, int]
    rows: list[tuple[str, str, list[Cell]]]


def read(table: pd.DataFrame) -> LabelCurves:
    """Draw the curves of a table of :mod:`ptacl.evaluation.labels`."""
    of_mean = table[(table["phenotype"] == MEAN) & (table["reference"].fillna("") == "")]
    counts = of_mean.drop_duplicates("fraction")[["fraction", "n_train"]].to_numpy()
    people = {float(fraction): int(count) for fraction, count in counts}
    curves = []
    for (group, method), lines in of_mean.groupby(["input", "method"], sort=False):
        by_fraction = {}
        for line in lines.to_dict("records"):
            numbers = (float(line[name]) for name in ("value", "low", "high", "p"))
            by_fraction[float(line["fraction"])] = Summary(*numbers)
        curves.append(Curve(str(group), str(method), by_fraction))
    groups = dict.fromkeys([*comparison.GROUPS, *(curve.group for curve in curves)])
    values = list(chain.from_iterable(curve.by_fraction.values() for curve in curves))
    high = max((s.high for s in values if math.isfinite(s.high)), default=1.0)
    low = min((s.low for s in values if math.isfinite(s.low)), default=0.0)
    limits = (max(_FLOOR, min(0.0, low)), max(0.1, min(1.0, high + 0.02)))
    panels, rows = [], []
    for group in groups:
        of_group = [curve for curve in curves if curve.group == group]
        if of_group:
            panels.append(panel(of_group, title=group, people=people, limits=limits))
        for curve in of_group:
            cells = []
            for fraction in sorted(people):
                found = curve.by_fraction.get(fraction)
                assert found is not None
                cells.append(cell(found, reference=None, digits=3))
            rows.append((group, curve.method, cells))
    return LabelCurves(_sentence(curves, people), panels, dict(sorted(people.items())), rows)


def _sentence(curves: Sequence[Curve], people: Mapping[float, int]) -> str:
    """Say what the rows of the input ECG reach with few labels, and with all."""
    fractions = sorted(people)
    few = next((f for f in fractions if people[f] >= _FEW_PEOPLE), fractions[0])
    told = []
    for fraction in dict.fromkeys([few, fractions[-1]]):
        of_fraction = [
            (c.by_fraction[fraction].value, c.method) for c in curves if c.group == "ECG"
        ]
        known = [pair for pair in of_fraction if math.isfinite(pair[0])]
        ranked = sorted(known, key=lambda pair: -pair[0])
        values = ", ".join(f"{method} {number(value, digits=2)}" for value, method in ranked)
        if values:
            share = f"{100 * fraction:g} % of the labels ({people[fraction]:,} people)"
            told.append(f"With {share}: {values}.")
    return " ".join(told)


def panel(
    curves: Sequence[Curve],
    *,
    title: str,
    people: Mapping[float, int],
    limits: tuple[float, float],
) -> str:
    """Draw the curves of one group of rows over the logarithm of the fraction of labels.

    Values below the axis are drawn at its lower end.
    """
    top = 26.0
    logs = [math.log10(fraction) for fraction in people]
    end = figures.WIDTH - _RIGHT
    across = figures.Axis(min(logs) - 0.05, max(logs) + 0.05, _LEFT, end)
    up = figures.Axis(*limits, top + _HEIGHT, top)
    shapes = [f'<text class="title" x="0" y="14">{escape(title)}</text>']
    for tick in up.ticks(most=5):
        kind, y = "zero" if tick == 0 else "grid", up.at(tick)
        shapes.append(f'<line class="{kind}" x1="{_LEFT}" x2="{end}" y1="{y}" y2="{y}"/>')
        shapes.append(_tick(_LEFT - 5, y + 3.5, number(tick, digits=1), anchor="end"))
    for fraction, count in people.items():
        x = across.at(math.log10(fraction))
        shapes.append(_tick(x, top + _HEIGHT + 13, f"{100 * fraction:g} %", anchor="middle"))
        shapes.append(_tick(x, top + _HEIGHT + 25, f"{count:,}", anchor="middle"))
    ends = []
    for place, curve in enumerate(curves):
        colour = f"s{place % _COLOURS}"
        points = []
        for fraction, found in curve.by_fraction.items():
            if not math.isfinite(found.value):
                continue
            x, y = across.at(math.log10(fraction)), up.at(found.value)
            points.append(f"{x},{y}")
            if math.isfinite(found.low):
                y1, y2 = up.at(found.low), up.at(found.high)
                shapes.append(
                    f'<line class="spread {colour}" x1="{x}" x2="{x}" y1="{y1}" y2="{y2}"/>'
                )
            shapes.append(f'<circle class="point {colour}" cx="{x}" cy="{y}" r="2.6"/>')
        if points:
            shapes.append(f'<polyline class="series {colour}" points="{" ".join(points)}"/>')
            ends.append((float(points[-1].split(",")[1]), curve.method, colour))
    for y, (method, colour) in figures.apart(ends, lowest=top + _HEIGHT):
        text = method.replace(", whole ECG", "")  # the title of the panel says it
        text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        shapes.append(
            f'<text class="end-label {colour}" x="{end + 6}" y="{y + 3.5:.1f}">'
            f"<title>{escape(method)}</title>{escape(text)}</text>"
        )
    said = "; ".join(f"{curve.method}: {_said(curve)}" for curve in curves)
    label = f"{title}, mean R² by fraction of labels. {said}"
    return figures.svg(shapes, height=top + _HEIGHT + 30, label=label)


def _tick(x: float, y: float, text: str, *, anchor: str) -> str:
    return f'<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def _said(curve: Curve) -> str:
    return ", ".join(f"{100 * f:g} % {s.value:.3f}" for f, s in curve.by_fraction.items())
