"""Write the report: one self-contained page of aggregate numbers.

The page can be opened from disk without a network. It includes its styles and figures, and its
content security policy blocks everything else. It contains no data of single participants: if a
text looks like a visit, the page is not written.
"""

import argparse
import base64
import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ptacl import stage
from ptacl.cohort.small_counts import text, total
from ptacl.config import Config
from ptacl.evaluation.inputs import files as files_of
from ptacl.evaluation.summary import MEAN
from ptacl.report import (
    cells,
    comparison,
    label_curves,
    outcomes,
    panels,
    paper,
    provenance,
    records,
    templates,
    training_curves,
    verdict,
)
from ptacl.report.records import Record
from ptacl.report.training_curves import Metrics

_PARTICIPANT = re.compile(r"(?<![0-9A-Za-z.#])[1-9]\d{6}(?![0-9A-Za-z.])")


def image(svg: str) -> str:
    """Return an SVG as a data URL.

    This isolates its ids and styles from those of the page and of other figures.
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def table_notes(checks: Mapping[str, Any]) -> list[str]:
    """Describe problems of the phenotype tables.

    These are unreadable cells, implausible and contradictory values, and repeated values.
    """
    notes = []
    for name, reasons in checks.get("unreadable", {}).items():
        parts = ", ".join(f"{reason} {text(count)}" for reason, count in reasons.items())
        notes.append(f"{name}: {text(total(reasons.values()))} cells not read ({parts})")
    for name, count in checks.get("implausible", {}).items():
        if count:
            notes.append(f"{name}: {text(count)} implausible")
    for chamber, count in checks.get("inconsistent", {}).items():
        if count:
            fault = "visits whose volumes contradict the values derived from them"
            notes.append(f"{chamber}: {text(count)} {fault}")
    repeated = checks.get("repeated", 0)
    if repeated:
        notes.append(f"{text(repeated)} values that occur twice and agree")
    return notes


def settings_text(config: Config) -> str:
    """Return all settings as YAML, without the names of folders and files.

    These names can contain information that must not leave the platform.
    """
    values = config.model_dump(mode="json")
    for key in ("ecg_folders", "cmr_folders", "phenotype_tables", "withdrawals"):
        values["cohort"][key] = f"{len(values['cohort'][key])}, not shown"
    for section, key in (("cohort", "table"), ("maps", "folder")):
        values[section][key] = values[section][key] and "not shown"
    for row in values["regression"]["rows"]:
        row["table"] = row["table"] and "not shown"
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def render(
    config: Config,
    *,
    flow: Mapping[str, Any],
    flow_svg: str,
    regression: Sequence[Record],
    retrieval: Sequence[Record],
    alignment: Mapping[str, Any],
    alignment_svg: str,
    labels: pd.DataFrame,
    diseases: outcomes.Outcomes | None,
    metrics: Metrics,
    ceiling: Mapping[str, float],
    rules: Sequence[provenance.Rule],
) -> str:
    """Return the page as text; raises ValueError if it would show a participant's id."""
    rows = comparison.regression(regression)
    warnings = training_curves.unlearned(metrics, config=config)
    verdicts = [
        verdict.of_regression(regression, unlearned=warnings),
        verdict.of_retrieval(retrieval, unlearned=warnings),
    ]
    names = [MEAN, *records.phenotypes(regression)]
    known = [ceiling[name] for name in names[1:] if name in ceiling]
    full_ceiling = dict(ceiling)
    if len(known) == len(names) - 1:
        full_ceiling[MEAN] = sum(known) / len(known)
    environment = templates.environment()
    environment.globals |= {"duration": provenance.duration, "span": cells.span}
    environment.globals |= {
        "number": cells.number,
        "ends": cells.ends,
        "probability": cells.probability,
    }
    page = environment.get_template("page.html").render(
        style=templates.style(),
        title="PTACL: joint representations of ECG and cardiac MRI",
        config=config,
        config_text=settings_text(config),
        headline=verdict.headline(verdicts),
        verdicts=verdicts,
        warnings=list(chain.from_iterable(warnings.values())),
        num_models=len({name for name, _ in metrics}),
        cards=verdict.figures(regression, retrieval, alignment=alignment, flow=flow),
        flow=flow,
        flow_image=image(flow_svg),
        table_notes=table_notes(flow.get("tables", {})),
        regression=[row for row in rows if row.measured],
        to_come=[row for row in rows if not row.measured],
        names=names,
        units={p.name: p.unit for p in config.cohort.phenotypes},
        n_test=regression[0].n_test,
        confidence=f"{100 * regression[0].confidence:g}",
        ceiling=full_ceiling,
        panels=panels.dot_plots(rows, names=names, ceiling=full_ceiling),
        precision_panels=panels.precision_plots(
            comparison.retrieval(retrieval), random=_random_title(retrieval)
        ),
        own_partners=comparison.own_partners(retrieval),
        statistics=records.statistics(retrieval),
        decisive=comparison.decisive(retrieval),
        views=[
            (", ".join(view), comparison.retrieval(retrieval, view))
            for view in comparison.views(retrieval)
        ],
        labels=label_curves.read(labels),
        diseases=diseases,
        alignment=alignment,
        learned=training_curves.of_local(metrics, config=config),
        alignment_image=image(alignment_svg),
        training=training_curves.panels(metrics, config=config),
        versions=provenance.versions(),
        rules=rules,
        paper=paper.SOURCE,
    )
    encoded = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    for written in (encoded, flow_svg, alignment_svg):
        if _PARTICIPANT.search(written.replace("_", " ")):
            raise ValueError(
                "the page would show the id of a participant: an input holds more than "
                "aggregate numbers"
            )
    return page


def _random_title(retrieval: Sequence[Record]) -> str:
    return next(record.method for record in retrieval if record.model == comparison.RANDOM)


def _outcomes(table: Path, curves: Path, counts: Path) -> outcomes.Outcomes:
    of_cohort = json.loads(counts.read_text())
    return outcomes.read(pd.read_csv(table), json.loads(curves.read_text()), of_cohort)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Write the report page.")
    parser.add_argument("--config", required=True, help="the whole configuration, as JSON")
    parser.add_argument("--flow", required=True, type=Path, help="flow.json")
    parser.add_argument("--flow-svg", required=True, type=Path, help="flow.svg")
    parser.add_argument("--regression", required=True, type=Path, help="regression.csv")
    parser.add_argument("--retrieval", required=True, type=Path, help="retrieval.csv")
    parser.add_argument("--alignment", required=True, type=Path, help="alignment.json")
    parser.add_argument("--alignment-svg", required=True, type=Path, help="alignment.svg")
    parser.add_argument("--labels", required=True, type=Path, help="labels.csv")
    parser.add_argument(
        "--outcomes",
        nargs=3,
        type=Path,
        metavar=("TABLE", "CURVES", "COUNTS"),
        help="outcomes.csv, outcomes.json of the evaluation, and that of the cohort",
    )
    parser.add_argument(
        "--metrics", required=True, type=files_of, help="metrics (.csv) by model and seed, as JSON"
    )
    parser.add_argument(
        "--ceiling",
        type=Path,
        help="summary of the simulation, with the highest R² that an ECG can reach",
    )
    parser.add_argument(
        "--benchmarks", required=True, type=Path, help="folder of Snakemake's benchmark files"
    )
    parser.add_argument("--out", required=True, type=Path, help="page to write")
    args = parser.parse_args()
    metrics = {}
    for name, of_seed in args.metrics.items():
        for seed, path in of_seed.items():
            metrics[name, seed] = pd.read_csv(path)
    page = render(
        Config.model_validate_json(args.config),
        flow=json.loads(args.flow.read_text()),
        flow_svg=args.flow_svg.read_text(encoding="utf-8"),
        regression=records.records(records.read(args.regression)),
        retrieval=records.records(records.read(args.retrieval)),
        alignment=json.loads(args.alignment.read_text()),
        alignment_svg=args.alignment_svg.read_text(encoding="utf-8"),
        labels=pd.read_csv(args.labels),
        diseases=_outcomes(*args.outcomes) if args.outcomes else None,
        metrics=metrics,
        ceiling=json.loads(args.ceiling.read_text())["ceiling"] if args.ceiling else {},
        rules=provenance.wall_times(args.benchmarks),
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
