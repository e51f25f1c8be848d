"""Evaluate a trained model on another cohort, without fitting anything again.

The model embeds the files of a table (:mod:`ptacl.external_cohort`), and its saved probes predict.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import external_cohort, prediction, seeds
from ptacl.cohort import csv_tables, small_counts, table_source
from ptacl.disease import risk
from ptacl.evaluation import frozen, outcome_targets, risk_curves, saved_risk, uncertainty
from ptacl.evaluation.frozen import Measured
from ptacl.evaluation.inputs import used
from ptacl.evaluation.outcome_targets import Target
from ptacl.evaluation.summary import Summary, stated
from ptacl.external_cohort import LEAST_PEOPLE, Cohort
from ptacl.inference import Modality, Model
from ptacl.report import external_page

Array = NDArray[np.float64]

_NUMBERS = ("value", "low", "high")


@dataclass(frozen=True)
class Settings:
    """How a cohort is evaluated.

    bootstrap : draws over participants. confidence : coverage of the intervals. least_events :
    diseases of fewer people are only counted. smallest_count : smaller counts are hidden.
    """

    bootstrap: int = 1000
    confidence: float = 0.95
    least_events: int = 20
    smallest_count: int = 5


def evaluate(
    model: Model,
    table: Path,
    *,
    out: Path,
    modality: Modality = "ecg",
    settings: Settings | None = None,
    processes: int = 1,
) -> pd.DataFrame:
    """Evaluate a frozen model on a cohort, and write a table and a page.

    Parameters
    ----------
    model : Model
        Trained model with its saved probes.
    table : Path
        Table of the cohort. It needs the columns participant, visit, and ecg or cine, and has
        columns with the names of the model's phenotypes and diseases (`AF before`, `AF years` and
        `AF event`), of which some can be missing.
    out : Path
        Folder for `evaluation.csv`, `evaluation.html` and `private`, which holds the embeddings.
    modality : str
        `ecg` or `cmr`.
    settings : Settings, optional
        Numbers of the evaluation.
    processes : int
        Number of processes for the embedding.

    Returns
    -------
    DataFrame
        One row per phenotype or disease and statistic, with its interval, and the value of the
        test participants of the model's own cohort (`home`).

    Raises
    ------
    ValueError
        The model has no probe of this modality, or the table lacks a column.
    """
    settings = settings or Settings()
    if used(modality) not in model.probes:
        raise ValueError(
            f"{model.folder} has no {modality.upper()} probe: run the pipeline to "
            "results/report.html"
        )
    probe = model.probes[used(modality)]
    risks = model.risks.get(used(modality), [])
    known = _known_columns(table, probe, risks)
    outcome_names = chain.from_iterable(map(_outcome_columns, risks))
    cohort = external_cohort.embed(
        model,
        table,
        modality=modality,
        out=out,
        processes=processes,
        outcome_names=list(dict.fromkeys(outcome_names)),
    )
    generator = seeds.generator(0, "bootstrap", "external")
    counts = uncertainty.draw_counts(
        len(cohort.rows), draws=settings.bootstrap, generator=generator
    )
    names = [phenotype["name"] for phenotype in probe["phenotypes"] if phenotype["name"] in known]
    values, _ = table_source.numbers(
        cohort.rows, names, decimal_comma=csv_tables.decimal_comma(table)
    )
    implausible = _drop_implausible(values, probe, names)
    measured = list(_phenotypes(cohort, values[names], probe, counts=counts, settings=settings))
    curves = {}
    for name in names:
        observed = values[name].to_numpy(np.float64)
        predicted = cohort.predicted[name].to_numpy(np.float64)
        curves[name] = frozen.tenths(observed, predicted, least=LEAST_PEOPLE)
    for stored, target in _targets(cohort, risks):
        name = prediction.disease(stored)
        measured += frozen.of_disease(
            name,
            stored,
            cohort.features,
            target,
            counts=counts,
            least_events=settings.least_events,
            confidence=settings.confidence,
        )
        curves |= _curve_of_risk(name, stored, target, cohort, settings)
    share = frozen.share(cohort.outside, counts=counts, confidence=settings.confidence)
    found = _table(measured, share, cohort.outside, settings)
    notes = {"reasons": cohort.reasons, "implausible": implausible}
    _write(found, curves, notes, model, out=out, modality=modality, settings=settings)
    return found


def _known_columns(
    table: Path, probe: Mapping[str, Any], risks: list[Mapping[str, Any]]
) -> set[str]:
    """Return the columns of the table; raise ValueError if none of them can be evaluated."""
    columns = set(csv_tables.header(table))
    names = [phenotype["name"] for phenotype in probe["phenotypes"]]
    diseases = [_outcome_columns(stored) for stored in risks]
    if columns.isdisjoint(names) and not any(columns.issuperset(group) for group in diseases):
        known = ", ".join([*names, *dict.fromkeys(chain.from_iterable(diseases))])
        raise ValueError(f"{table}: no column that this model predicts; it predicts {known}")
    return columns


def _outcome_columns(stored: Mapping[str, Any]) -> list[str]:
    kinds = ("before",) if stored["when"] == "before" else ("before", "years", "event")
    return [f"{stored['disease']} {kind}" for kind in kinds]


def _drop_implausible(
    values: pd.DataFrame, probe: Mapping[str, Any], names: list[str]
) -> dict[str, int]:
    """Replace values outside the ranges of the model's own cohort by NaN, and count them."""
    counts = {}
    for phenotype in probe["phenotypes"]:
        name = phenotype["name"]
        if name not in names or "range" not in phenotype:
            continue
        low, high = phenotype["range"]
        outside = values[name].notna() & ~values[name].between(low, high)
        values[name] = values[name].mask(outside)
        if outside.any():
            counts[name] = int(outside.sum())
    return counts


def _phenotypes(
    cohort: Cohort,
    observed: pd.DataFrame,
    probe: Mapping[str, Any],
    *,
    counts: Array,
    settings: Settings,
) -> Iterator[Measured]:
    for phenotype in probe["phenotypes"]:
        name = phenotype["name"]
        if name not in observed or observed[name].notna().sum() < LEAST_PEOPLE:
            continue
        yield from frozen.of_phenotype(
            name,
            observed[name].to_numpy(np.float64),
            cohort.predicted[name].to_numpy(np.float64),
            counts=counts,
            home_r2=stated(phenotype["r2"]),
            confidence=settings.confidence,
        )


def _targets(
    cohort: Cohort, risks: list[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], Target]]:
    """Yield the stored model and the outcomes of each disease that the table has."""
    for stored in risks:
        names = _outcome_columns(stored)
        if set(names) <= set(cohort.outcomes):
            horizon = float(stored["years"] or 0)
            yield (
                stored,
                outcome_targets.of_values(
                    cohort.outcomes[names], stored["disease"], stored["when"], horizon=horizon
                ),
            )


def _curve_of_risk(
    name: str,
    stored: Mapping[str, Any],
    target: Target,
    cohort: Cohort,
    settings: Settings,
) -> dict[str, list[tuple[float, float]]]:
    """Return calibration by tenth of a disease with enough cases."""
    if not target.is_measurable("test", settings.least_events):
        return {}
    scores = saved_risk.model_of(stored).score(cohort.features[target.members["test"]])
    outcome = target.outcomes["test"]
    horizon, least = target.horizon, settings.smallest_count
    risks = risk.of_score(scores, outcome, years=horizon)
    points = risk_curves.tenths(risks, outcome, horizon=horizon, least=least)
    return {name: [(point["predicted"], point["observed"]) for point in points]}


def _table(
    measured: list[Measured],
    share: Summary,
    outside: NDArray[np.bool_],
    settings: Settings,
) -> pd.DataFrame:
    lines: list[dict[str, object]] = []
    for one in measured:
        counts = {"n": one.num, "cases": one.num_cases}
        line: dict[str, object] = {"target": one.target, "statistic": one.statistic}
        line |= small_counts.hidden(counts, least=settings.smallest_count)
        for prefix, summary in (("", one.here), ("home_", one.home)):
            numbers = asdict(summary)
            line |= {prefix + name: numbers[name] for name in _NUMBERS}
        lines.append(line)
    num_outside = small_counts.hidden(int(outside.sum()), least=settings.smallest_count)
    last: dict[str, object] = {"target": "", "statistic": "out_of_distribution"}
    last |= {"n": len(outside), "cases": num_outside}
    if not isinstance(num_outside, str):  # a share would tell a hidden count
        last |= {name: asdict(share)[name] for name in _NUMBERS}
    lines.append(last)
    return pd.DataFrame(lines).rename(columns={"home_value": "home"})


def _write(
    found: pd.DataFrame,
    curves: Mapping[str, list[tuple[float, float]]],
    notes: Mapping[str, Mapping[str, int]],
    model: Model,
    *,
    out: Path,
    modality: Modality,
    settings: Settings,
) -> None:
    found.to_csv(out / "evaluation.csv", index=False, float_format="%.6g")
    page = external_page.render(
        found,
        curves,
        model=model.folder.name,
        modality=modality.upper(),
        notes=small_counts.hidden(notes, least=settings.smallest_count),
        confidence=settings.confidence,
    )
    (out / "evaluation.html").write_text(page, encoding="utf-8")
