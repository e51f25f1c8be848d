"""What the page shows of diseases: numbers by row, what can be known at best, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pandas as pd

from ptacl.cohort.small_counts import text
from ptacl.report import figures, outcome_rows, panels, risk_figures
from ptacl.report.cells import MethodRow, ends, number, probability

FEW = 100  # test participants with the disease; with fewer, numbers are marked as uncertain


@dataclass(frozen=True)
class Disease:
    """A disease before or after the visit.

    counts : people and cases by split; small ones are texts. statistics : names of the columns.
    rows : the numbers of each method, none if there are too few cases. ceiling : the
    best value of the main statistic by the features that a model sees; only for simulated cohorts.
    """

    name: str
    when: str
    counts: Mapping[str, Mapping[str, int | str]]
    statistics: list[str] = field(default_factory=list)
    rows: list[MethodRow] = field(default_factory=list)
    ceiling: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The disease and its time in words."""
        return f"{self.name} {self.when} the visit"

    @property
    def uncertain(self) -> bool:
        """Whether there are few test participants with the disease."""
        cases = self.counts["test"]["cases"]
        return not isinstance(cases, int) or cases < FEW


@dataclass(frozen=True)
class Outcomes:
    """What the page shows of diseases.

    sentences : the main results in words. panels : one dot plot by disease. curves : incidence and
    calibration of one method, `curves_of`.
    """

    horizon_years: float
    diseases: list[Disease]
    sentences: list[str]
    panels: list[str]
    curves: list[str]
    curves_of: str


def read(table: pd.DataFrame, measured: Mapping[str, Any], cohort: Mapping[str, Any]) -> Outcomes:
    """Read the results of :mod:`ptacl.evaluation.outcomes`.

    `cohort` holds the counts of :mod:`ptacl.cohort.outcomes`, and the ceilings of a simulation.
    """
    overall = outcome_rows.overall(table)
    ceilings = cohort.get("ceiling", {})
    diseases = []
    for listed in measured["diseases"]:
        name, when = listed["disease"], listed["when"]
        of_disease = overall[(overall["disease"] == name) & (overall["when"] == when)]
        statistics, rows = outcome_rows.rows(of_disease) if listed["evaluated"] else ([], [])
        ceiling = ceilings.get(name, {}).get(when, {})
        diseases.append(Disease(name, when, listed["counts"], statistics, rows, ceiling))
    shown = [disease for disease in diseases if disease.rows]
    sentences = [_sentence(disease, measured["horizon_years"]) for disease in shown]
    method = _method_of_curves(shown)
    return Outcomes(
        measured["horizon_years"],
        diseases,
        [sentence for sentence in sentences if sentence],
        [_panel(disease) for disease in shown],
        _curves(measured, method),
        method,
    )


def _panel(disease: Disease) -> str:
    """Draw the main statistic of every method, with the ceiling of an ECG."""
    limits = figures.shared_range(
        [row.cells[0] for row in disease.rows],
        floor=0.3,
        include=[0.5, *disease.ceiling.values()],
    )
    marks = [figures.Mark(panels.mark_label(row), _kind(row), row.cells[0]) for row in disease.rows]
    cases = text(disease.counts["test"]["cases"])
    few = " (few)" if disease.uncertain else ""
    title = f"{disease.name} {disease.when}: {disease.statistics[0]}, {cases} cases{few}"
    return figures.dot_plot(marks, title=title, limits=limits, dashed=disease.ceiling.get("ECG"))


def _kind(row: MethodRow) -> str:
    """Return the style of the mark, in which clinical features come first."""
    if row.group.endswith("+ clinical") or row.group == "Clinical":
        return "clinical"
    return panels.mark_kind(row)


def _sentence(disease: Disease, horizon: float) -> str:
    """Say what an embedding adds to the clinical features, for the first row that adds one."""
    gains = _gains(disease)
    if not gains:
        return ""
    row = gains[0]
    baseline = next((r for r in disease.rows if r.method == row.reference), None)
    assert row.difference is not None and baseline is not None
    low, high = ends(row.difference.low, row.difference.high, digits=3)
    when = f"within {horizon:g} years" if disease.when == "after" else "before the visit"
    return (
        f"{disease.name} {when}: {disease.statistics[0]} {baseline.cells[0].text} from "
        f"{baseline.method}, {row.cells[0].text} from {row.method} (difference "
        f"{number(row.difference.value, digits=3)}, CI {low} to {high}, adjusted p "
        f"{probability(row.p)})."
    )


def _gains(disease: Disease) -> list[MethodRow]:
    """Return the rows that add an embedding to clinical features."""
    clinical = {row.method for row in disease.rows if row.group == "Clinical"}
    found = []
    for row in disease.rows:
        measured = row.difference is not None and row.difference.measured
        if measured and row.reference in clinical and row.group != "Clinical":
            found.append(row)
    return found


def _method_of_curves(diseases: Sequence[Disease]) -> str:
    """Return the first method that adds an embedding to clinical features, or else the first."""
    adding = chain.from_iterable(_gains(disease) for disease in diseases)
    every = chain.from_iterable(disease.rows for disease in diseases)
    return next((row.method for row in chain(adding, every)), "")


def _curves(measured: Mapping[str, Any], method: str) -> list[str]:
    """Draw incidence and calibration of one method."""
    panels = []
    of_method = next((row for row in measured["rows"] if row["method"] == method), None)
    for found in of_method["diseases"] if of_method else []:
        title = f"{found['disease']} {found['when']}"
        if "incidence" in found:
            panels.append(
                risk_figures.incidence(
                    found["years"], found["incidence"], title=f"{title}: incidence by third of risk"
                )
            )
        pairs = [(point["predicted"], point["observed"]) for point in found["tenths"]]
        panels.append(risk_figures.calibration(pairs, title=f"{title}: observed by predicted"))
    return panels
