"""Measure Table 2 on the validation participants of a run, to choose between methods or settings.

It needs the embeddings of the run, and no table. The test participants are not read.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ptacl import config, participants
from ptacl.evaluation import regression, summary


def evaluate(run: Path, settings: config.Config) -> tuple[pd.DataFrame, list[str]]:
    """Return Table 2 on validation participants, and the labels of the rows that it leaves out.

    Rows with ridge regression are left out, because its strength is chosen with the same
    participants, and so are rows of models without the embeddings of all their seeds.

    Parameters
    ----------
    run : Path
        Folder of a run, or its `results`.
    settings : Config
        Configuration of the run.

    Returns
    -------
    table : DataFrame
        As :func:`ptacl.evaluation.regression.evaluate` returns it.
    left_out : list of str
        Labels of rows, in their order.

    Raises
    ------
    FileNotFoundError
        If the folder is not that of a run.
    ValueError
        If the reference of a table cannot be measured, or if there is no validation participant.
    """
    private = participants.private_folder(run)
    embeddings: dict[str, dict[int, Path]] = {}
    for model in settings.models:
        seeds = settings.seeds_of(model)
        paths = {seed: private / "embeddings" / f"{model}-{seed}.npz" for seed in seeds}
        if all(path.is_file() for path in paths.values()):
            embeddings[model] = paths
    table = settings.regression
    rows = []
    for row in table.rows:
        if not row.ridge and (row.model is None or row.model in embeddings):
            rows.append(row)
    if not rows:
        raise ValueError(
            f"{private}/embeddings has no embeddings of any row: run snakemake embeddings with the "
            "same configuration files"
        )
    labels = [row.label for row in rows]
    _require_references(table, rows)
    found = regression.evaluate(
        table.model_copy(update={"rows": rows}),
        participants=private / "participants.csv",
        phenotypes=[phenotype.name for phenotype in settings.cohort.phenotypes],
        embeddings=embeddings,
        probes={},
        seed=settings.seed,
        measured_on="validation",
    )
    return found, [row.label for row in table.rows if row.label not in labels]


def lines(table: pd.DataFrame) -> list[str]:
    """Format the mean R² of each row, and its difference from the reference, as lines of text."""
    means = table[(table["phenotype"] == summary.MEAN) & (table["group"] == summary.ALL)]
    means = means[means["seed"].isna()]
    first = means.iloc[0]
    out = [
        f"Mean R² of {first['n_test']:,} validation participants, "
        f"{first['confidence']:.0%} intervals"
    ]
    compared = means[means["reference"] != ""].set_index(["input", "method"])
    widths = [means[name].str.len().max() for name in ("input", "method")]
    for _, row in means[means["reference"] == ""].iterrows():
        text = f"  {row['input']:{widths[0]}}  {row['method']:{widths[1]}}  {row['value']:.3f}"
        text += f" ({row['low']:.3f} to {row['high']:.3f})"
        key = (row["input"], row["method"])
        if key in compared.index:
            other = compared.loc[key]
            text += f"  {other['value']:+.3f} ({other['low']:.3f} to {other['high']:.3f})"
            text += f" from {other['reference']}"
        out.append(text)
    return out


def _require_references(table: config.Regression, rows: Sequence[config.RegressionRow]) -> None:
    measured = {row.label for row in rows if row.input == "ecg"}
    for row in rows:
        reference = table.reference_of(row)
        if reference not in measured:
            raise ValueError(
                f"{row.label} is compared with {reference}, which has no embeddings yet or uses "
                "ridge regression: run snakemake embeddings, or name another reference"
            )
