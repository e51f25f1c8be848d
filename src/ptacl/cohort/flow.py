"""Stage: join the manifest with what preparation made of it: the usable visits, all exclusions, and the flow diagram.

The diagram follows CONSORT: every visit that is left out stands beside the arrow where it left, under one reason. A visit whose
ECG and cine are both unusable leaves at the ECG; `exclusions` of flow.json counts it under both. No id leaves results/private.
"""

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd

from ptacl import stage
from ptacl.exclusions import Reason

LOG = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
_FIXED = ("visit", "participant", "instance", "split", "shard", "sex", "age", "height_cm", "weight_kg")
_ORDER = {reason.value: i for i, reason in enumerate(Reason)}


@dataclass(frozen=True)
class Prepared:
    """What one modality's shards say: `usable` visits, `excluded` rows (visit, reason, detail), `quality` by visit; `stored`, a
    digest of visits and arrays, whatever their quality."""

    usable: frozenset[str]
    excluded: list[dict[str, str]]
    quality: dict[str, dict[str, Any]]
    stored: str = ""


def merge(shards: Iterable[Mapping[str, Any]]) -> Prepared:
    """Join the shards of one modality."""
    usable: set[str] = set()
    excluded: list[dict[str, str]] = []
    quality: dict[str, dict[str, Any]] = {}
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(json.dumps([shard["visits"], shard.get("stored")]).encode())
        usable.update(shard["visits"])
        excluded.extend(shard["excluded"])
        quality.update(shard["quality"])
    return Prepared(frozenset(usable), sorted(excluded, key=lambda row: row["visit"]), quality, digest.hexdigest())


def keep(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files of a folder, each only where its content differs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != text.encode():
            partial = folder / f"{name}.partial"
            partial.write_bytes(text.encode())
            partial.replace(path)


def check(visits: Iterable[str], prepared: Prepared, *, stage: str) -> None:
    """ValueError unless the shards cover the manifest, no more (a withdrawn participant, say) and no less."""
    expected, seen = set(visits), prepared.usable | {row["visit"] for row in prepared.excluded}
    if seen != expected:
        raise ValueError(
            f"{stage}: {len(seen - expected)} prepared visits are not in the manifest (withdrawn, or of an old run) and "
            f"{len(expected - seen)} visits of the manifest are not prepared: run the {stage} preparation of every shard again"
        )


def join(manifest: pd.DataFrame, *, ecg: Prepared, cmr: Prepared) -> pd.DataFrame:
    """The rows usable in both modalities, with ECG measurements as `ecg_x`, and `evaluate`: the first usable visit of each."""
    rows = manifest[manifest["visit"].isin(ecg.usable & cmr.usable)].sort_values("visit").reset_index(drop=True)
    measured = pd.DataFrame([ecg.quality[visit].get("measurements", {}) for visit in rows["visit"]], index=rows.index)
    rows = pd.concat([rows, measured.add_prefix("ecg_")], axis=1)
    return rows.assign(evaluate=~rows["participant"].duplicated())


def exclusions(cohort: pd.DataFrame, *, ecg: Prepared, cmr: Prepared) -> pd.DataFrame:
    """All exclusions of all stages: visit, stage, reason, detail."""
    rows = [{"stage": stage, **row} for stage, p in (("ecg", ecg), ("cmr", cmr)) for row in p.excluded]
    return pd.concat([cohort, pd.DataFrame(rows, columns=list(cohort.columns))], ignore_index=True)


def describe(
    manifest: pd.DataFrame, participants: pd.DataFrame, *, ecg: Prepared, cmr: Prepared, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts alone, in the order of the diagram; `visits` of a step are those left after its `excluded`.

    All columns of `manifest` and `participants` are text, an empty one is missing.
    """
    unpaired = summary["excluded"]
    kept = {key: summary["found"][key] - unpaired[Reason.WITHDRAWN.value][key] for key in ("visits", "participants")}
    reasons = {name: {row["visit"]: row["reason"] for row in p.excluded} for name, p in (("ecg", ecg), ("cmr", cmr))}
    with_ecg = manifest[~manifest["visit"].isin(list(reasons["ecg"]))]
    only_cmr = {visit: reason for visit, reason in reasons["cmr"].items() if visit not in reasons["ecg"]}
    single = {reason: unpaired[reason]["visits"] for reason in (Reason.NO_ECG.value, Reason.NO_CMR.value)}
    steps = [
        _step("found", "Visits with an ECG or a cine", summary["found"], {}),
        _step("kept", "Consent not withdrawn", kept, {"withdrawn": unpaired[Reason.WITHDRAWN.value]["visits"]}),
        _step("paired", "ECG and cine of the same visit", summary["paired"], single),
        _step("ecg", "ECG usable", _count(with_ecg), _tally(reasons["ecg"].values())),
        _step("usable", "ECG and cine usable", _count(participants), _tally(only_cmr.values())),
    ]
    parts = {split: participants[participants["split"] == split] for split in SPLITS}
    names = [name for name in manifest.columns if name not in _FIXED]
    return {
        "files": summary["files"],
        "steps": steps,
        "splits": {split: _count(rows) for split, rows in parts.items()},
        "phenotypes": {name: {split: int((rows[name] != "").sum()) for split, rows in parts.items()} for name in names},
        "crop": dict(sorted(Counter(str(cmr.quality[v]["crop"]["source"]) for v in participants["visit"]).items())),
        "flags": dict(
            sorted(Counter(f for p in (ecg, cmr) for v in participants["visit"] for f in p.quality[v].get("flags", [])).items())
        ),
        "exclusions": {stage: _tally(by_visit.values()) for stage, by_visit in reasons.items()},
        "tables": summary["tables"],
    }


def _step(name: str, title: str, left: Mapping[str, int], excluded: Mapping[str, int]) -> dict[str, Any]:
    counts = {"visits": left["visits"], "participants": left["participants"]}
    return {"step": name, "title": title, **counts, "excluded": {k: n for k, n in excluded.items() if n}}


def _count(rows: pd.DataFrame) -> dict[str, int]:
    return {"visits": len(rows), "participants": int(rows["participant"].nunique())}


def _tally(reasons: Iterable[str]) -> dict[str, int]:
    """Counts by reason, in the order of the enum."""
    return dict(sorted(Counter(reasons).items(), key=lambda item: (_ORDER.get(item[0], len(_ORDER)), item[0])))


# The drawing: main boxes down the left, exclusions at the right of the arrow where they leave, splits side by side below. Numbers
# are visits unless they say otherwise.
_WIDTH, _MARGIN, _MAIN, _SIDE, _GAP, _LINE, _PAD = 900, 20, 400, 400, 34, 20, 14
_LEFT = {"found": "", "kept": "Withdrawn", "paired": "Not paired", "ecg": "ECG not usable", "usable": "Cine not usable"}
_COLOURS = {"main": ("#eef3fa", "#34558b"), "side": ("#fbf3ea", "#a8672d"), "split": ("#edf6ef", "#3d7350")}
_STROKE, _TIP = 'fill="none" stroke="#555" stroke-width="1.4"', "cohort-flow-tip"

Rows = Sequence[tuple[str, str]]


def draw(flow: Mapping[str, Any]) -> str:
    """The diagram as SVG text."""
    shapes: list[str] = []
    centre, bottom = _MARGIN + _MAIN / 2, 0.0
    for step in flow["steps"]:
        top = bottom + (_GAP if bottom else _MARGIN)
        if step["excluded"]:
            head = (_LEFT[step["step"]], _visits(sum(step["excluded"].values())))
            rows = [(reason, f"{n:,}") for reason, n in step["excluded"].items() if reason != head[0].lower()]
            left, middle = _WIDTH - _MARGIN - _SIDE, bottom + (_GAP + _height(rows)) / 2
            shapes += [_arrow((centre, middle), (left, middle)), _box(left, bottom + _GAP / 2, _SIDE, head, rows, "side")]
            top = bottom + _GAP + _height(rows)
        if bottom:
            shapes.append(_arrow((centre, bottom), (centre, top)))
        rows = _details(flow, step)
        shapes.append(_box(_MARGIN, top, _MAIN, (step["title"], _visits(step["visits"])), rows, "main"))
        bottom = top + _height(rows)
    splits, bottom = _draw_splits(flow, centre, bottom)
    return _document([*shapes, *splits], bottom + _MARGIN)


def _details(flow: Mapping[str, Any], step: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(_people(step["participants"]), "")]
    if step["step"] == "found":
        files = flow["files"]
        rows += [(f"{kind} files", f"{files[kind]['files']:,}") for kind in ("ECG", "cine")]
        for key, label in (
            ("duplicates", "further files of a visit, not used"),
            ("other_instances", "files of other imaging visits, not used"),
        ):
            if count := sum(files[kind][key] for kind in ("ECG", "cine")):
                rows.append((label, f"{count:,}"))
    if step["step"] == "usable":
        rows += [(f"crop centre from {source}", f"{n:,}") for source, n in flow["crop"].items()]
        rows += [(f"used, {flag}", f"{n:,}") for flag, n in flow["flags"].items()]
    return rows


def _draw_splits(flow: Mapping[str, Any], centre: float, top: float) -> tuple[list[str], float]:
    titles = {"train": "Training", "validation": "Validation", "test": "Test"}
    width = (_WIDTH - 2 * _MARGIN - 2 * _PAD) / 3
    bar, y = top + _GAP / 2, top + _GAP
    middles = [_MARGIN + i * (width + _PAD) + width / 2 for i in range(3)]
    shapes = [f'<path d="M{centre:g} {top:g}V{bar:g}M{middles[0]:g} {bar:g}H{middles[2]:g}" {_STROKE}/>']
    height = 0.0
    for split, middle in zip(SPLITS, middles, strict=True):
        rows = [(_people(flow["splits"][split]["participants"]), "")]
        rows += [(f"visits with {name}", f"{counts[split]:,}") for name, counts in flow["phenotypes"].items()]
        head = (titles[split], _visits(flow["splits"][split]["visits"]))
        shapes += [_arrow((middle, bar), (middle, y)), _box(middle - width / 2, y, width, head, rows, "split")]
        height = max(height, _height(rows))
    return shapes, y + height


def _visits(count: int) -> str:
    return f"{count:,} visit" if count == 1 else f"{count:,} visits"


def _people(count: int) -> str:
    return f"of {count:,} participant" if count == 1 else f"of {count:,} participants"


def _height(rows: Rows) -> float:
    return 2 * _PAD + _LINE * (len(rows) + 1) - 4


def _box(x: float, y: float, width: float, head: tuple[str, str], rows: Rows, kind: str) -> str:
    fill, edge = _COLOURS[kind]
    out = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{_height(rows):g}" rx="6" fill="{fill}" stroke="{edge}"/>']
    for i, (label, value) in enumerate([head, *rows]):
        at = y + _PAD + 13 + i * _LINE
        style = ' font-weight="bold"' if i == 0 else ""
        out.append(f'<text x="{x + _PAD:g}" y="{at:g}"{style}>{escape(label)}</text>')
        out.append(f'<text x="{x + width - _PAD:g}" y="{at:g}" text-anchor="end"{style}>{escape(value)}</text>')
    return "\n".join(out)


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return f'<path d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}" {_STROKE} marker-end="url(#{_TIP})"/>'


def _document(shapes: Sequence[str], height: float) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" height="{height:g}" style="max-width:100%;height:auto"'
    tip = f'<marker id="{_TIP}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="Helvetica, Arial, sans-serif" font-size="14">',
        "<title>Flow of the cohort: from files to usable visits</title>",
        f'<defs>{tip}<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height:g}" fill="#fff"/>',
        *shapes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", required=True, type=Path, help="folder with manifest.csv, exclusions.csv, summary.json")
    parser.add_argument("--ecg", required=True, nargs="+", type=Path, help="the k.json of every ECG shard")
    parser.add_argument("--cmr", required=True, nargs="+", type=Path, help="the k.json of every CMR shard")
    parser.add_argument("--participants", required=True, type=Path, help="CSV to write: usable visits")
    parser.add_argument(
        "--current", required=True, type=Path, help="folder of files that are rewritten only where their content changed"
    )
    parser.add_argument("--exclusions", required=True, type=Path, help="CSV to write: exclusions of all stages")
    parser.add_argument("--json", required=True, type=Path, help="JSON to write: counts")
    parser.add_argument("--svg", required=True, type=Path, help="SVG to write: the diagram")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    manifest = pd.read_csv(args.manifest / "manifest.csv", dtype=str, keep_default_na=False)
    cohort = pd.read_csv(args.manifest / "exclusions.csv", dtype=str, keep_default_na=False)
    summary = json.loads((args.manifest / "summary.json").read_text())
    ecg, cmr = (merge(json.loads(path.read_text()) for path in paths) for paths in (args.ecg, args.cmr))
    for modality, prepared in (("ecg", ecg), ("cmr", cmr)):
        check(manifest["visit"], prepared, stage=modality)
    participants = join(manifest, ecg=ecg, cmr=cmr)
    flow = describe(manifest, participants, ecg=ecg, cmr=cmr, summary=summary)
    for path in (args.participants, args.exclusions, args.json, args.svg):
        path.parent.mkdir(parents=True, exist_ok=True)
    participants.to_csv(args.participants, index=False, lineterminator="\n")
    visits = participants[["visit", "participant", "split"]]
    texts = {
        f"{name}.csv": table.to_csv(index=False, lineterminator="\n")
        for name, table in (("participants", participants), ("visits", visits))
    }
    keep(args.current, texts | {"ecg": ecg.stored, "cmr": cmr.stored})
    exclusions(cohort, ecg=ecg, cmr=cmr).to_csv(args.exclusions, index=False, lineterminator="\n")
    args.json.write_text(json.dumps(flow, indent=1) + "\n")
    args.svg.write_text(draw(flow))
    LOG.info("%d of %d paired visits are usable", len(participants), len(manifest))


if __name__ == "__main__":
    stage.run(main)
