"""Read features that others computed, such as the embedding of another model or a risk score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import raw
from ptacl.cohort import csv_tables
from ptacl.participants import FACTS

MOST_LACKING = 0.01  # share of the visits that a table can lack


def read(
    path: Path, *, label: str, train: Sequence[str], visits: Sequence[str]
) -> tuple[NDArray[np.float64], float]:
    """Read the features (n, D) of some visits, and the share of these visits that has none.

    The table is a CSV or parquet file with a column `visit` (`participant_instance`) and one column
    per number. The other columns that `ptacl export` writes (participant, instance, split and
    evaluate) are ignored. Missing values are replaced by the mean over the training visits.

    Parameters
    ----------
    path : Path
        The table. Errors name its file, but not its folder.
    label : str
        Label of the row, for errors.
    train : sequence of str
        Training visits.
    visits : sequence of str
        Visits to return, in this order; they contain the training visits.

    Raises
    ------
    ValueError
        There is no column `visit`, a visit is repeated, a column is not numeric or has no training
        value, or more than 1 % of the visits are missing.
    """
    table = _table(path)
    if "visit" not in table.columns:
        raise ValueError(f"row {label}: {path.name} has no column visit (participant_instance)")
    table = table.set_index(table["visit"].astype(str))
    if repeated := int(table.index.duplicated().sum()):
        raise ValueError(f"row {label}: {path.name} has {repeated} repeated visits")
    values = table.drop(columns=[name for name in FACTS if name in table.columns])
    if values.empty:
        raise ValueError(f"row {label}: {path.name} has no column with features")
    if text := [name for name in values if not pd.api.types.is_numeric_dtype(values[name])]:
        raise ValueError(f"row {label}: {path.name} has columns that are not numeric: {text[:5]}")
    values = values.reindex(list(visits)).astype(np.float64)
    values = values.where(np.isfinite(values))
    lacking = float(values.isna().all(axis=1).mean())
    if lacking > MOST_LACKING:
        raise ValueError(
            f"row {label}: {path.name} lacks {lacking:.1%} of the visits that are evaluated, and "
            f"at most {MOST_LACKING:.0%} can be missing: compute their features, or check that "
            "the column visit holds participant_instance, such as 9000001_2"
        )
    means = values.loc[list(train)].mean()
    if empty := [str(name) for name in means.index[means.isna()]]:
        raise ValueError(f"row {label}: {path.name} has no training value of {empty[:5]}")
    filled: NDArray[np.float64] = values.fillna(means).to_numpy(np.float64)
    return filled, lacking


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        with raw.open_file(path) as file:
            return pd.read_parquet(file)
    with csv_tables.open_text(path) as file:
        return pd.read_csv(file, sep=csv_tables.separator(path), dtype={"visit": str})
