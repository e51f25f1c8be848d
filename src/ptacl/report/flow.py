"""Stage: draw the flow of the cohort from its counts, as a CONSORT diagram.

The exclusions are shown next to the arrow at which they happen.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ptacl import stage
from ptacl.cohort import small_counts

# The main boxes run down the left, with exclusions to the right of the arrows between them and the
# splits side by side at the bottom. Numbers are visits unless their label says otherwise.
_WIDTH, _MARGIN, _MAIN, _SIDE, _GAP, _LINE, _PAD = 900, 20, 400, 400, 34, 20, 14
_LEFT = {
    "found": "",
    "kept": "Withdrawn",
    "paired": "Not paired",
    "ecg": "ECG not usable",
    "usable": "Cine not usable",
}
_COLOURS = {
    "main": ("#eef3fa", "#34558b"),
    "side": ("#fbf3ea", "#a8672d"),
    "split": ("#edf6ef", "#3d7350"),
}
_STROKE, _TIP = 'fill="none" stroke="#555" stroke-width="1.4"', "cohort-flow-tip"

Rows = Sequence[tuple[str, str]]


def draw(flow: Mapping[str, Any]) -> str:
    """Return the diagram as SVG text."""
    shapes: list[str] = []
    centre, bottom = _MARGIN + _MAIN / 2, 0.0
    for step in flow["steps"]:
        top = bottom + (_GAP if bottom else _MARGIN)
        if step["excluded"]:
            head = (_LEFT[step["step"]], _visits(small_counts.total(step["excluded"].values())))
            rows = [
                (reason, small_counts.text(n))
                for reason, n in step["excluded"].items()
                if reason != head[0].lower()
            ]
            left, middle = _WIDTH - _MARGIN - _SIDE, bottom + (_GAP + _height(rows)) / 2
            shapes += [
                _arrow((centre, middle), (left, middle)),
                _box(left, bottom + _GAP / 2, _SIDE, head, rows, "side"),
            ]
            top = bottom + _GAP + _height(rows)
        if bottom:
            shapes.append(_arrow((centre, bottom), (centre, top)))
        rows = _details(flow, step)
        shapes.append(
            _box(_MARGIN, top, _MAIN, (step["title"], _visits(step["visits"])), rows, "main")
        )
        bottom = top + _height(rows)
    splits, bottom = _draw_splits(flow, centre, bottom)
    return _document([*shapes, *splits], bottom + _MARGIN)


def _details(flow: Mapping[str, Any], step: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(_people(step["participants"]), "")]
    if step["step"] == "found":
        files = flow["files"]
        for kind in ("ECG", "cine"):
            rows.append((f"{kind} files", small_counts.text(files[kind]["files"])))
        for key, label in (
            ("duplicates", "additional files of a visit, not used"),
            ("other_instances", "files of other imaging visits, not used"),
        ):
            if count := small_counts.total(files[kind][key] for kind in ("ECG", "cine")):
                rows.append((label, small_counts.text(count)))
    if step["step"] == "usable":
        for source, n in flow["crop"].items():
            rows.append((f"crop centre from {source}", small_counts.text(n)))
        if flow["interpolated"]:
            text = small_counts.text(flow["interpolated"])
            rows.append(("cine interpolated to more or fewer frames", text))
        more = {"ecg": "ECGs", "cmr": "cines"}
        rows += [
            (f"further {more[m]} in pre-training", small_counts.text(n))
            for m, n in flow["pretraining"].items()
            if n
        ]
        for flag, n in flow["flags"].items():
            rows.append((f"used, {flag}", small_counts.text(n)))
    return rows


def _draw_splits(flow: Mapping[str, Any], centre: float, top: float) -> tuple[list[str], float]:
    titles = {"train": "Training", "validation": "Validation", "test": "Test"}
    width = (_WIDTH - 2 * _MARGIN - 2 * _PAD) / 3
    bar, y = top + _GAP / 2, top + _GAP
    middles = [_MARGIN + i * (width + _PAD) + width / 2 for i in range(3)]
    shapes = [
        f'<path d="M{centre:g} {top:g}V{bar:g}M{middles[0]:g} {bar:g}H{middles[2]:g}" {_STROKE}/>'
    ]
    height = 0.0
    for split, middle in zip(titles, middles, strict=True):
        rows = [(_people(flow["splits"][split]["participants"]), "")]
        rows += [
            (f"visits with {name}", small_counts.text(counts[split]))
            for name, counts in flow["phenotypes"].items()
        ]
        head = (titles[split], _visits(flow["splits"][split]["visits"]))
        shapes += [
            _arrow((middle, bar), (middle, y)),
            _box(middle - width / 2, y, width, head, rows, "split"),
        ]
        height = max(height, _height(rows))
    return shapes, y + height


def _visits(count: int | str) -> str:
    return f"{small_counts.text(count)} visit{'' if count == 1 else 's'}"


def _people(count: int | str) -> str:
    return f"of {small_counts.text(count)} participant{'' if count == 1 else 's'}"


def _height(rows: Rows) -> float:
    return 2 * _PAD + _LINE * (len(rows) + 1) - 4


def _box(x: float, y: float, width: float, head: tuple[str, str], rows: Rows, kind: str) -> str:
    fill, edge = _COLOURS[kind]
    out = [
        (
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_height(rows):g}" rx="6" '
            f'fill="{fill}" stroke="{edge}"/>'
        )
    ]
    for i, (label, value) in enumerate([head, *rows]):
        at = y + _PAD + 13 + i * _LINE
        style = ' font-weight="bold"' if i == 0 else ""
        out.append(f'<text x="{x + _PAD:g}" y="{at:g}"{style}>{escape(label)}</text>')
        out.append(
            f'<text x="{x + width - _PAD:g}" y="{at:g}" '
            f'text-anchor="end"{style}>{escape(value)}</text>'
        )
    return "\n".join(out)


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<path d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}" {_STROKE} '
        f'marker-end="url(#{_TIP})"/>'
    )


def _document(shapes: Sequence[str], height: float) -> str:
    size = (
        f'viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" height="{height:g}" '
        'style="max-width:100%;height:auto"'
    )
    tip = (
        f'<marker id="{_TIP}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto">'
    )
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="14">'
        ),
        "<title>Flow of the cohort: from files to usable visits</title>",
        f'<defs>{tip}<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height:g}" fill="#fff"/>',
        *shapes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flow", required=True, type=Path, help="flow.json with the counts")
    parser.add_argument("--out", required=True, type=Path, help="SVG to write")
    args = parser.parse_args()
    args.out.write_text(draw(json.loads(args.flow.read_text())), encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
