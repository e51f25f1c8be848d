"""Evaluate a trained model on another cohort, without fitting anything again.

The cohort is a table of files and values (docs/other-cohorts.md). The model embeds the files as the
pipeline does, and its saved probes predict. A participant counts once, with the first visit whose
file can be used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import many, prediction, seeds
from ptacl.cohort import csv_tables, small_counts, table_source
from ptacl.evaluation import frozen, outcome_targets, risk, risk_curves, saved_risk, uncertainty
from ptacl.evaluation.frozen import Measured
from ptacl.evaluation.inputs import used
from ptacl.evaluation.outcome_targets import Target
from ptacl.evaluation.summary import Summary, stated
from ptacl.inference import Modality, Model
from ptacl.report import external_page

Array = NDArray[np.float64]

_FILES = {"ecg": "ecg", "cmr": "cine"}  # column of the table by modality
_NUMBERS = ("value", "low", "high")
_LEAST_PEOPLE = 10  # phenotypes that fewer people have are left out


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


@dataclass(frozen=True)
class _Cohort:
    """One usable visit per participant.

    rows : cells of the table as text, by visit. features : embeddings (n, D). predicted : values
    (n, P) by phenotype. outside : who is outside the training distribution, (n,). reasons : files
    that could not be used, by reason.
    """

    rows: pd.DataFrame
    features: Array
    predicted: pd.DataFrame
    outside: NDArray[np.bool_]
    reasons: Mapping[str, int]


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
        The model has no probe of this modality, or the table lacks what is needed.
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
    cohort = _embed(model, table, modality=modality, out=out, processes=processes)
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
        curves[name] = frozen.tenths(observed, cohort.predicted[name].to_numpy(np.float64))
    targets = _targets(cohort.rows, risks, known)
    for stored, target in targets:
        name = prediction.disease(stored)
        measured += frozen.of_disease(
            name,
            stored,
            cohort.features,
            target,
            counts=counts,
            horizon=float(stored["years"] or 0),
            least_events=settings.least_events,
            confidence=settings.confidence,
        )
        curves |= _curve_of_risk(name, stored, target, cohort, settings)
    share = frozen.share(cohort.outside, counts=counts, confidence=settings.confidence)
    found = _table(measured, share, len(cohort.rows), settings)
    notes = {"reasons": cohort.reasons, "implausible": implausible}
    _write(found, curves, notes, model, out=out, modality=modality, settings=settings)
    return found


def _known_columns(
    table: Path, probe: Mapping[str, Any], risks: list[Mapping[str, Any]]
) -> set[str]:
    """Return the columns of the table; raise ValueError if none of them can be evaluated."""
    columns = set(csv_tables.header(table))
    names = [phenotype["name"] for phenotype in probe["phenotypes"]]
    names += [name for stored in risks for name in _outcome_columns(stored)]
    if columns.isdisjoint(names):
        raise ValueError(
            f"{table}: no column that this model predicts; it predicts {', '.join(names)}"
        )
    return columns


def _outcome_columns(stored: Mapping[str, Any]) -> list[str]:
    kinds = ("before",) if stored["when"] == "before" else ("years", "event")
    return [f"{stored['disease']} {kind}" for kind in kinds]


def _embed(model: Model, table: Path, *, modality: Modality, out: Path, processes: int) -> _Cohort:
    """Embed the files of the table, and keep the first usable visit of each participant."""
    column = _FILES[modality]
    columns = csv_tables.header(table)
    if missing := [name for name in ("participant", "visit", column) if name not in columns]:
        raise ValueError(f"{table}: no column {', '.join(missing)} (docs/other-cohorts.md)")
    rows = table_source.text(table)
    table_source.require_keys(table, rows)
    rows = rows[rows[column] != ""].copy()
    if rows.empty:
        raise ValueError(f"{table}: the column {column} is empty")
    files = [table.parent / name for name in rows[column]]
    private = out / "private"
    private.mkdir(parents=True, exist_ok=True)
    embedded = many.embed(
        model, files, modality=modality, out=private / "embeddings.parquet", processes=processes
    ).set_index("input")
    # The first part of a reason is its kind, and the second part belongs to one file.
    reasons = Counter(embedded.loc[embedded["reason"] != "", "reason"].str.partition(":")[0])
    rows["usable"] = (embedded["reason"] == "").to_numpy()
    rows["number"] = rows["visit"].astype(int)
    rows["row"] = np.arange(len(rows))
    kept = rows[rows["usable"]].sort_values(["participant", "number"])
    kept = kept.drop_duplicates("participant").set_index("participant", drop=False)
    if kept.empty:
        raise ValueError(f"{table}: no file can be used: {', '.join(reasons)}")
    chosen = embedded.iloc[kept["row"].to_numpy()]
    stored = model.probes[used(modality)]
    predicted = prediction.table(chosen, probe=stored, risks=[])
    by_phenotype = predicted.pivot_table(index="input", columns="phenotype", values="value")
    outside = predicted.groupby("input")["out_of_distribution"].first()
    names = chosen.index
    return _Cohort(
        kept,
        chosen.drop(columns="reason").to_numpy(np.float64),
        by_phenotype.loc[names],
        outside.loc[names].to_numpy(bool),
        reasons,
    )


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
    cohort: _Cohort,
    observed: pd.DataFrame,
    probe: Mapping[str, Any],
    *,
    counts: Array,
    settings: Settings,
) -> Iterator[Measured]:
    for phenotype in probe["phenotypes"]:
        name = phenotype["name"]
        if name not in observed or observed[name].notna().sum() < _LEAST_PEOPLE:
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
    rows: pd.DataFrame, risks: list[Mapping[str, Any]], known: set[str]
) -> Iterator[tuple[Mapping[str, Any], Target]]:
    """Yield the stored model and the outcomes of each disease that the table has."""
    for stored in risks:
        names = _outcome_columns(stored)
        if not known.issuperset(names):
            continue
        values = rows[names].replace("", np.nan).astype(float)
        yield stored, outcome_targets.of_values(values, stored["disease"], stored["when"])


def _curve_of_risk(
    name: str,
    stored: Mapping[str, Any],
    target: Target,
    cohort: _Cohort,
    settings: Settings,
) -> dict[str, list[tuple[float, float]]]:
    """Return calibration by tenth of a disease with enough cases."""
    if target.num_cases("test") < settings.least_events:
        return {}
    horizon = float(stored["years"] or 0)
    scores = saved_risk.model_of(stored).score(cohort.features[target.members["test"]])
    outcome = target.outcomes["test"]
    risks = risk.of_score(scores, outcome, years=horizon)
    points = risk_curves.tenths(risks, outcome, horizon=horizon, least=settings.smallest_count)
    return {name: [(point["predicted"], point["observed"]) for point in points]}


def _table(measured: list[Measured], share: Summary, num: int, settings: Settings) -> pd.DataFrame:
    lines: list[dict[str, object]] = []
    for one in measured:
        counts = {"n": one.num, "cases": one.num_cases}
        line: dict[str, object] = {"target": one.target, "statistic": one.statistic}
        line |= small_counts.hidden(counts, least=settings.smallest_count)
        for prefix, summary in (("", one.here), ("home_", one.home)):
            numbers = asdict(summary)
            line |= {prefix + name: numbers[name] for name in _NUMBERS}
        lines.append(line)
    outside = asdict(share)
    last: dict[str, object] = {"target": "", "statistic": "out_of_distribution", "n": num}
    lines.append(last | {name: outside[name] for name in _NUMBERS})
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
