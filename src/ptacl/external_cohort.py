"""Embed the files of another cohort, and keep one visit of each participant.

The cohort is a table of files and values (docs/other-cohorts.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import many
from ptacl.cohort import csv_tables, outcome_columns, table_source
from ptacl.evaluation import probes, saved_probe
from ptacl.evaluation.inputs import used
from ptacl.inference import Modality, Model

Array = NDArray[np.float64]

LEAST_PEOPLE = 10  # fewer people are not evaluated
_FILES = {"ecg": "ecg", "cmr": "cine"}  # column of the table by modality


@dataclass(frozen=True)
class Cohort:
    """One usable visit per participant.

    rows : cells of the table as text, by visit. outcomes : columns of diseases. features :
    embeddings (n, D). predicted : values (n, P) by phenotype. outside : who is outside the training
    distribution, (n,). reasons : files that could not be used, by reason.
    """

    rows: pd.DataFrame
    outcomes: pd.DataFrame
    features: Array
    predicted: pd.DataFrame
    outside: NDArray[np.bool_]
    reasons: Mapping[str, int]


def embed(
    model: Model,
    table: Path,
    *,
    modality: Modality,
    out: Path,
    processes: int,
    outcome_names: Sequence[str],
) -> Cohort:
    """Embed the files of the table, and keep the first usable visit of each participant.

    Columns of diseases with these names are read before, so that errors in the table come first.
    Raises ValueError if the table lacks a column, or if too few participants can be used.
    """
    column = _FILES[modality]
    columns = csv_tables.header(table)
    if missing := [name for name in ("participant", "visit", column) if name not in columns]:
        raise ValueError(f"{table}: no column {', '.join(missing)} (docs/other-cohorts.md)")
    rows = table_source.text(table)
    table_source.require_keys(table, rows)
    rows = rows[rows[column] != ""].copy()
    if rows.empty:
        raise ValueError(f"{table}: the column {column} is empty")
    of_diseases = [name for name in outcome_names if name in rows]
    outcomes = outcome_columns.read(rows, of_diseases, path=table)
    files = [table.parent / name for name in rows[column]]
    private = out / "private"
    private.mkdir(parents=True, exist_ok=True)
    embedded = many.embed(
        model, files, modality=modality, out=private / "embeddings.parquet", processes=processes
    ).drop(columns="input")
    # The first part of a reason is its kind, and the second part belongs to one file.
    reasons = Counter(text.partition(":")[0] for text in embedded["reason"] if text)
    rows["usable"] = (embedded["reason"] == "").to_numpy()
    rows["number"] = rows["visit"].astype(int)
    rows["row"] = np.arange(len(rows))
    kept = rows[rows["usable"]].sort_values(["participant", "number"])
    kept = kept.drop_duplicates("participant").set_index("participant", drop=False)
    if len(kept) < LEAST_PEOPLE:
        lost = f" ({', '.join(reasons)})" if reasons else ""
        raise ValueError(
            f"{table}: only {len(kept)} participants have a file that can be used{lost}; at least "
            f"{LEAST_PEOPLE} are needed"
        )
    chosen = embedded.iloc[kept["row"].to_numpy()]
    features = chosen.drop(columns="reason").to_numpy(np.float64)
    stored = model.probes[used(modality)]
    probe, names = probes.of_json(stored)
    return Cohort(
        kept,
        outcomes.iloc[kept["row"].to_numpy()],
        features,
        pd.DataFrame(probe.predict(features), columns=names),
        saved_probe.is_outside(features, stored=stored),
        reasons,
    )
