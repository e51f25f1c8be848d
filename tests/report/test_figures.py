import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from ptacl.report import figures
from ptacl.report.comparison import Cell

NAN = math.nan


def shapes(svg: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if kind in e.get("class", "").split()]


def test_axis_is_linear_and_clamped():
    axis = figures.Axis(-1, 3, 100, 300)
    assert [axis.at(v) for v in (-1, 1, 3, 99, -99)] == [100, 200, 300, 300, 100]


@pytest.mark.parametrize(
    ("low", "high"), [(-0.25, 0.9), (0, 1), (3.1, 3.4), (0.002, 0.0031), (-7, 120), (0.0, 1e-6)]
)
def test_ticks_are_few_round_and_inside(low, high):
    ticks = figures.Axis(low, high, 0, 1).ticks(most=5)
    assert 2 <= len(ticks) <= 6
    span = high - low
    assert all(low - 1e-9 * span <= t <= high + 1e-9 * span for t in ticks)
    steps = {round((b - a) / span, 6) for a, b in pairwise(ticks)}
    assert len(steps) == 1


def test_dots_lie_where_the_numbers_say():
    marks = [
        figures.Mark("CMR MAE", "cmr", Cell(0.7, 0.6, 0.8, 0.69, 3)),
        figures.Mark("ECG <b>", "ecg", Cell(0.3, 0.2, 0.4, None, 3)),
    ]
    svg = figures.dot_plot(marks, title="LVEDV", limits=(0.0, 1.0), dashed=0.5)
    axis = figures.Axis(0, 1, 118, 330)
    dots, bars = shapes(svg, "dot"), shapes(svg, "bar")
    assert [float(d.get("cx")) for d in dots] == [axis.at(0.7), axis.at(0.3)]
    assert [(float(b.get("x1")), float(b.get("x2"))) for b in bars] == [
        (axis.at(0.6), axis.at(0.8)),
        (axis.at(0.2), axis.at(0.4)),
    ]
    assert [float(r.get("cx")) for r in shapes(svg, "paper")] == [axis.at(0.69)]
    line = shapes(svg, "ceiling")[0]
    assert float(line.get("x1")) == axis.at(0.5)
    assert float(line.get("y1")) > float(dots[0].get("cy"))  # only next to the ECG
    assert float(line.get("y1")) < float(dots[1].get("cy")) < float(line.get("y2"))


def test_missing_numbers_are_not_drawn():
    marks = [figures.Mark("ECG", "ecg", Cell(NAN, NAN, NAN, 0.5, 3))]
    svg = figures.dot_plot(marks, title="x", limits=(0.0, 1.0), dashed=None)
    assert (
        not shapes(svg, "dot")
        and not shapes(svg, "bar")
        and not shapes(svg, "ceiling")
        and shapes(svg, "paper")
    )


def test_shared_range_covers_all_numbers_but_nothing_far_below():
    cells = [Cell(0.3, 0.1, 0.5, 0.8, 3), Cell(-4.0, -9.0, NAN, None, 3)]
    low, high = figures.shared_range(cells, floor=-0.25, include=[0.0])
    assert low == -0.25 and 0.8 < high < 1.2
    low, high = figures.shared_range([], floor=-0.25, include=[0.0, 0.1])
    assert low < 0 < high


def test_curves_have_a_point_an_epoch_and_skip_what_is_not_finite():
    svg = figures.curves(
        [1, 2, 3],
        title="Run",
        lines=[("train", [3.0, 2.0, 1.0]), ("validation", [NAN, 2.5, NAN])],
        chance=None,
        chosen=None,
    )
    points = [line.get("points").split() for line in shapes(svg, "curve")]
    assert [len(p) for p in points] == [3, 1]
    heights = [float(p.split(",")[1]) for p in points[0]]
    assert heights == sorted(heights)  # a falling loss goes down the page
    assert "train 1" in ElementTree.fromstring(svg).get("aria-label")


@pytest.mark.parametrize("values", [[], [NAN, NAN], [0.5], [0.5, 0.5]])
def test_curves_of_odd_runs_are_still_figures(values):
    svg = figures.curves(
        list(range(1, len(values) + 1)),
        title="Run & co",
        lines=[("train", values)],
        chance=None,
        chosen=None,
    )
    assert ElementTree.fromstring(svg).tag == "svg"
    assert "nan" not in svg


def test_numbers_beyond_the_axis_get_an_arrow_and_their_value():
    marks = [
        figures.Mark("far below", "ecg", Cell(-2.345, -3.0, -1.0, None, 3)),
        figures.Mark("wide", "ecg", Cell(0.2, -0.9, 1.4, None, 3)),
        figures.Mark("inside", "ecg", Cell(0.5, 0.4, 0.6, None, 3)),
    ]
    svg = figures.dot_plot(marks, title="x", limits=(-0.25, 1.0), dashed=None)
    assert len(shapes(svg, "dot")) == 2 and "\N{MINUS SIGN}2.345" in svg
    tips = [polygon.get("points").split()[0].split(",")[0] for polygon in shapes(svg, "arrow")]
    assert tips == ["118.0", "118.0", "330.0"]


def test_chance_and_the_epoch_kept_are_drawn():
    svg = figures.curves(
        [1, 2, 3], title="Run", lines=[("train", [3.0, 2.0, 1.0])], chance=3.5, chosen=2
    )
    (chance,), (chosen,) = shapes(svg, "chance"), shapes(svg, "chosen")
    start = float(shapes(svg, "curve")[0].get("points").split()[0].split(",")[1])
    assert float(chance.get("y1")) < start  # above every loss: nothing is clipped
    assert chosen.get("x1") == shapes(svg, "curve")[0].get("points").split()[1].split(",")[0]
    assert "chance 3.5" in svg and "epoch kept 2" in svg


@pytest.mark.parametrize("values", [[2.565, 2.5625], [4.2, 3.7], [120.0, 80.0], [0.0091, 0.0077]])
def test_ticks_of_curves_are_told_apart(values):
    svg = figures.curves([1, 2], title="Run", lines=[("train", values)], chance=None, chosen=None)
    left = [e.text for e in shapes(svg, "tick") if e.get("text-anchor") == "end"]
    assert len(left) == len(set(left)) > 1 and all(
        min(values) * 0.5 < float(t) < max(values) * 1.5 for t in left
    )
