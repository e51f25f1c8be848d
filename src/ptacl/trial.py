"""Try one model in a minute or two, on a small simulated cohort: `ptacl try`.

The trial is the pipeline itself with few people and few steps, so an error appears as it would in a
long run. Its numbers say nothing about the method.
"""

import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ptacl import config

PEOPLE = 160  # about 100 train
_BATCH, _EPOCHS = 32, 7  # about 20 steps
_LOG = "trial.log"
_STARTED = re.compile(r"^(?:rule|checkpoint|localrule) (\w+):")
_WILDCARDS = re.compile(r"^ +wildcards: (?:model|shard)=(\w+)")
_FAILED_LINES = 25


def settings(
    values: Mapping[str, Any], *, defaults: Mapping[str, Any], model: str
) -> dict[str, Any]:
    """Return the settings of a trial.

    Parameters
    ----------
    values : mapping
        All settings as they are in the configuration files, before inheritance.
    defaults : mapping
        Settings of the project's own configuration, for the cohort.
    model : str
        Entry of the list of models to try. Its own rows of the tables are kept; if a table has
        none, it gets one that the kind of the entry allows.

    Raises
    ------
    ValueError
        If a setting is wrong, or if there is no such model.
    """
    whole = config.parse(dict(values))
    if model not in whole.models:
        raise ValueError(f"there is no model {model}; models are {', '.join(whole.models)}")
    entry = whole.models[model]
    probes = [
        {"label": f"{model}, {modality}", "model": model, "features": [modality], "ridge": True}
        for modality in entry.modalities
    ]
    pair = [{"label": model, "model": model}] if isinstance(entry, config.Contrastive) else []
    tables = {
        name: _own_rows(values[name], model=model, otherwise=rows)
        for name, rows in (("regression", probes), ("retrieval", pair), ("alignment", pair))
    }
    rows = [{**row, "reference": None} for row in tables["regression"]["rows"]]
    tables["regression"] |= {"rows": rows, "reference": rows[0]["label"], "whole_reference": None}
    changes: dict[str, Any] = {
        "seeds": [0],
        "simulation": {"participants": PEOPLE, "defects": 0, "zip_fraction": 0.0},
        "models": {name: _short(whole.models[name]) for name in _with_starts(whole, model)},
    }
    return {**config.merge(dict(values), changes), **tables, "cohort": _cohort(defaults)}


def _own_rows(
    table: Mapping[str, Any], *, model: str, otherwise: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a table with the rows of the model, or with others if it has none.

    If there are neither, the table stays as it is; :func:`run` does not compute it.
    """
    own = [row for row in table["rows"] if row.get("model") == model]
    return {**table, "bootstrap": 20, "rows": own or list(otherwise) or table["rows"]}


def _cohort(defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {**defaults["cohort"], "shards": 2, "validation_fraction": 0.12}


def _short(entry: config.Entry) -> dict[str, Any]:
    if not isinstance(entry, config.Trained):
        return {"seeds": None}
    size = min(entry.training.batch_size, _BATCH)
    training = {"batch_size": size, "epochs": _EPOCHS, "warmup_epochs": 1, "patience": 0}
    return {"seeds": None, "training": training}


def _with_starts(whole: config.Config, model: str) -> list[str]:
    return whole.needed([config.TableRow(label=model, model=model)])


def run(
    folder: Path,
    *,
    values: Mapping[str, Any],
    home: Path,
    model: str,
    environment: Mapping[str, str],
) -> Iterator[str]:
    """Run the pipeline with these settings, and yield what it does, then the results.

    Jobs are not repeated if they fail.

    Parameters
    ----------
    folder : Path
        Folder of the trial. What did not change since the last trial is kept.
    values : mapping
        Output of :func:`settings`.
    home : Path
        Folder of the Snakefile.
    model : str
        Entry of the list of models.
    environment : mapping of str to str
        Environment of the jobs. Its PYTHONPATH must lead to files of your own.

    Raises
    ------
    ValueError
        If a job fails, with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trial.yaml").write_text(yaml.safe_dump(dict(values), sort_keys=False))
    targets = ["results/tables/regression.csv"]
    for table, target in (
        ("retrieval", "results/tables/retrieval.csv"),
        ("alignment", "results/evaluation/alignment.json"),
    ):
        if any(row["model"] == model for row in values[table]["rows"]):
            targets.append(target)
    options = ["--cores", "all", "--resources", "gpu=2", "--set-threads", "train=1", "embed=1"]
    options += ["--retries", "0", "--rerun-incomplete", "--nolock"]
    places = ["--snakefile", str(home / "Snakefile"), "--directory", str(folder)]
    command = [sys.executable, "-m", "snakemake", *targets, *places, *options]
    with (folder / _LOG).open("w") as log:
        process = subprocess.Popen(
            [*command, "--configfile", str(folder / "trial.yaml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environment),
        )
        assert process.stdout is not None
        try:
            job = ""
            for line in process.stdout:
                log.write(line)
                if started := _STARTED.match(line):
                    job = started[1]
                elif job and (named := _WILDCARDS.match(line)):
                    job += f" {named[1]}"
                elif job and not line.strip():
                    yield f"  {job}"
                    job = ""
        finally:
            process.wait()  # after Ctrl-C, which the pipeline receives too, until it has stopped
    if process.returncode:
        raise ValueError(_failure(folder, model))
    yield from _results(folder, model)


def _failure(folder: Path, model: str) -> str:
    """Return the end of the training's log if it has an error, otherwise that of the pipeline's."""
    own = folder / f"results/logs/train/{model}-0.log"
    log = folder / _LOG
    for path in (own, log):
        lines = path.read_text().splitlines() if path.exists() else []
        if any("rror" in line for line in lines):
            end = "\n".join(line.rpartition("\r")[2] for line in lines[-_FAILED_LINES:])
            return f"the trial failed; the end of {path}:\n{end}"
    return f"the trial failed: see {log}"


def _results(folder: Path, model: str) -> Iterator[str]:
    metrics = folder / f"results/training/{model}-0.csv"
    epochs = pd.read_csv(metrics) if metrics.stat().st_size else pd.DataFrame()
    if len(epochs):
        first, last = epochs.iloc[0], epochs.iloc[-1]
        yield f"{model}: {int(last['step'])} steps"
        for name in epochs.columns:
            if name.startswith(("train_", "validation_")) and not name.endswith("_chance"):
                chance = last.get(f"{name}_chance", float("nan"))
                guessing = "" if math.isnan(chance) else f"  (guessing {chance:.4g})"
                yield f"  {name:24} {first[name]:.4g} -> {last[name]:.4g}{guessing}"
    for table, statistic in (("regression", "R2"), ("retrieval", "P@10")):
        path = folder / f"results/tables/{table}.csv"
        if path.exists():
            yield from _values(pd.read_csv(path), statistic)


def _values(table: pd.DataFrame, statistic: str) -> Iterator[str]:
    whole = table[(table["statistic"] == statistic) & (table["phenotype"] == "mean")]
    whole = whole[whole["reference"].isna() & (whole["method"] != "Random")]
    whole = whole.drop_duplicates("method")
    for method, value in zip(whole["method"], whole["value"], strict=True):
        yield f"  {statistic:24} {value:.3f}  {method}"
