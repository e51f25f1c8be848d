"""Evaluate how well embeddings and other features tell diseases, before and after the visit.

Every row of Table 2 that has features is evaluated, by the linear models of
:mod:`ptacl.disease.risk`. They are fitted on the training participants, and their strength is
chosen with the validation participants; sex, age, height and weight are not shrunk. Statistics of a
disease before the visit are AUROC, average precision, observed/expected, calibration slope and
Brier score; after it, Uno's C and AUROC up to the horizon, and observed/expected.

Differences are taken from the reference of the row. Rows that add features to those of the baseline
are compared with the baseline instead, because the gain over known facts counts.
The p values of AUROC and C are adjusted for all diseases of a row.

A disease of fewer training or test participants than `least_events` is only counted. Rows of
`ecg_phases` are left out, because they have more features than most cohorts have people with a
disease.

Shapes: n participants, D features, B bootstrap draws, of which the first is the sample itself.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import config, stage
from ptacl.cohort import small_counts
from ptacl.config import Regression, RegressionRow
from ptacl.disease import risk
from ptacl.evaluation import (
    inputs,
    outcome_lines,
    outcome_statistics,
    outcome_targets,
    probes,
    results,
    risk_curves,
    strata,
    uncertainty,
)
from ptacl.evaluation.outcome_targets import Target
from ptacl.evaluation.results import Line, Reference
from ptacl.evaluation.summary import RANKINGS
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WITH_DIFFERENCE = 2  # the first statistics are compared between rows
_WITH_GROUPS = ("ECG", "Whole ECG")  # rows that are also evaluated by sex and age group

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Context:
    """What the evaluation of every row needs.

    counts : bootstrap counts (B, n) of all test participants. groups : the test participants (n,)
    of each group. smallest_count : smaller counts are hidden.
    """

    settings: config.Outcomes
    table: Regression
    counts: Array
    groups: Mapping[str, Mask]
    smallest_count: int


@dataclass(frozen=True)
class _Fitted:
    """Scores (n,) of the test members by seed, and the statistics (S, B) by name."""

    scores: list[Array]
    seeds: Sequence[int | None]
    statistics: Mapping[str, Estimates]


def evaluate(
    settings: config.Outcomes,
    table: Regression,
    *,
    participants: Path,
    outcomes: Path,
    embeddings: inputs.Files,
    probe_files: inputs.Files,
    seed: int,
    smallest_count: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the long table, and counts and curves of each disease as JSON values.

    `outcomes` is the table of :mod:`ptacl.cohort.outcomes`. Counts below `smallest_count` are
    hidden.
    """
    splits = inputs.read_splits(participants)
    test_visits = splits["test"].visits
    counts = uncertainty.shared_counts(len(test_visits), draws=table.bootstrap, seed=seed)
    groups = strata.read(participants, visits=test_visits)
    context = _Context(settings, table, counts, groups, smallest_count)
    targets = outcome_targets.read(outcomes, settings=settings, splits=splits)
    evaluable = [target for target in targets if target.is_evaluable(settings.least_events)]
    rows = [row for row in table.rows if row.features and inputs.PHASES not in row.features]
    fitted: list[dict[str, _Fitted]] = []
    for row in rows:
        features = {}
        for model_seed in inputs.seeds_of(row.model, embeddings=embeddings):
            features[model_seed] = probes.covariates_first(
                row,
                inputs.file_of(row.model, model_seed, files=embeddings),
                probe=inputs.file_of(row.model, model_seed, files=probe_files),
                participants=participants,
                splits=list(splits.values()),
            )
        of_row = {target.name: _fit(target, features, context) for target in evaluable}
        fitted.append(of_row)
        for name, found in of_row.items():
            main, estimates = next(iter(found.statistics.items()))
            log.info("%s %s, %s: %s %.3f", row.group, row.label, name, main, estimates.value)
    lines: list[Line] = []
    for row, of_row in zip(rows, fitted, strict=True):
        other = compared_row(row, rows, settings, table)
        reference = of_row if other is None else fitted[rows.index(other)]
        label = row.label if other is None else other.label
        lines += _lines(row, of_row, evaluable, (label, reference), context)
    scores = []
    for of_row in fitted:
        scores.append({name: one.scores for name, one in of_row.items()})
    curves = risk_curves.of_rows(
        [(row.group, row.label) for row in rows],
        targets,
        scores=scores,
        settings=settings,
        smallest_count=smallest_count,
    )
    return outcome_lines.table(lines), curves


def compared_row(
    row: RegressionRow,
    rows: Sequence[RegressionRow],
    settings: config.Outcomes,
    table: Regression,
) -> RegressionRow | None:
    """Return the row with which a row is compared, if it is among the rows.

    It is the baseline if the row adds features to it, and otherwise an ECG row.
    """
    for other in rows:
        adds = set(other.features) < set(row.features) and other.table in (None, row.table)
        if other.label == settings.baseline and other.input != "ecg" and adds:
            return other
    label = table.reference_of(row)
    return next((other for other in rows if other.label == label and other.input == "ecg"), None)


def _fit(
    target: Target,
    features: Mapping[int | None, tuple[int, Sequence[Array]]],
    context: _Context,
) -> _Fitted:
    """Fit and measure one row for one disease; `features` are those of the three splits by seed."""
    members, outcomes = target.members, target.outcomes
    counts = context.counts[:, members["test"]]
    scores: list[Array] = []
    values: dict[str, list[Array]] = {}
    for free, (train, validation, test) in features.values():
        unseen = validation[members["validation"]], outcomes["validation"]
        seen = train[members["train"]]
        model, _ = risk.choose(seen, outcomes["train"], validation=unseen, free=free)
        scores.append(model.score(test[members["test"]]))
        measured = outcome_statistics.of_scores(
            scores[-1], outcomes["test"], horizon=context.settings.horizon_years, counts=counts
        )
        for name, value in measured.items():
            values.setdefault(name, []).append(value)
    model_seeds = list(features)
    estimates = {}
    for name, of_seed in values.items():
        estimates[name] = Estimates(np.stack(of_seed), model_seeds, target.num("test"))
    return _Fitted(scores, model_seeds, estimates)


def _lines(
    row: RegressionRow,
    of_row: Mapping[str, _Fitted],
    targets: Sequence[Target],
    reference: tuple[str, Mapping[str, _Fitted]],
    context: _Context,
) -> list[Line]:
    """Return the lines of a row; it is not compared with itself."""
    compared_with, of_reference = reference
    found: list[Line] = []
    for target in targets:
        columns = _columns(row, of_row[target.name], target, context)
        for place, (name, estimates) in enumerate(of_row[target.name].statistics.items()):
            other = None
            if of_reference is not of_row and place < _WITH_DIFFERENCE:
                other = Reference(compared_with, of_reference[target.name].statistics[name])
            found += outcome_lines.of_statistic(
                columns, name, estimates, disease=target.disease, reference=other
            )
    results.adjust([line for line in found if line["statistic"] in RANKINGS.values()])
    if row.group in _WITH_GROUPS:
        for target in targets:
            found += _by_group(row, of_row[target.name], target, context)
    return found


def _columns(
    row: RegressionRow, fitted: _Fitted, target: Target, context: _Context
) -> dict[str, object]:
    return outcome_lines.columns(
        row,
        target,
        seeds=fitted.seeds,
        confidence=context.table.confidence,
        smallest_count=context.smallest_count,
    )


def _by_group(
    row: RegressionRow, fitted: _Fitted, target: Target, context: _Context
) -> Iterator[Line]:
    """Yield the lines of all people and of each group with enough cases.

    They say how well the risks rank and how high they are, and whom a common threshold flags: that
    of the tenth of all people with the highest risk.
    """
    members, outcome = target.members["test"], target.outcomes["test"]
    measured = partial(
        outcome_statistics.in_group,
        outcome=outcome,
        horizon=context.settings.horizon_years,
        counts=context.counts[:, members],
    )
    of_all_cases = target.cases("test")
    everybody = np.ones(target.num("test"), bool)
    of_all = strata.estimate(measured, fitted.scores, members=everybody, seeds=fitted.seeds)
    columns = _columns(row, fitted, target, context)
    for name in ("sensitivity", "false-positive rate"):
        yield from outcome_lines.of_statistic(
            columns, name, of_all[name], disease=target.disease, reference=None
        )
    for group, of_group in context.groups.items():
        people = of_group[members]
        cases = int((of_all_cases & people).sum())
        others = int(of_all_cases.sum()) - cases
        if cases < context.settings.least_events or 0 < others < context.smallest_count:
            continue  # the others would follow from the difference
        counted = {"n_test": int(people.sum()), "cases_test": cases}
        columns |= small_counts.hidden(counted, least=context.smallest_count)
        estimates = strata.estimate(measured, fitted.scores, members=people, seeds=fitted.seeds)
        for name, found in estimates.items():
            yield from outcome_lines.of_statistic(
                columns, name, found, disease=target.disease, reference=None, group=group
            )


def main() -> None:
    """Write the table and the curves of diseases."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    inputs.add_arguments(parser, section="regression")
    outcome_targets.add_arguments(parser)
    parser.add_argument(
        "--probes", required=True, type=inputs.files, help="probe.json by model and seed, as JSON"
    )
    parser.add_argument("--smallest-count", required=True, type=int, help="smaller ones are hidden")
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    parser.add_argument("--json", required=True, type=Path, help="counts and curves to write")
    args = parser.parse_args()
    table, curves = evaluate(
        config.Outcomes.model_validate_json(args.outcome_settings),
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        outcomes=args.outcomes,
        embeddings=args.embeddings,
        probe_files=args.probes,
        seed=args.seed,
        smallest_count=args.smallest_count,
    )
    results.write(table, args.out)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(curves, indent=1) + "\n")


if __name__ == "__main__":
    stage.run(main)
