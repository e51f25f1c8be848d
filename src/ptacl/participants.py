"""The list of participants, one row per usable visit: what training and evaluation read of the cohort."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

SPLITS = ("train", "validation", "test")


def visit_order(visit: str) -> tuple[str, int]:
    """Sort key of a visit `participant_number`: visit 2 of a participant comes before visit 10."""
    participant, _, number = visit.rpartition("_")
    return participant, int(number)


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows sorted by their column `visit`, with a new index."""
    return rows.sort_values("visit", key=lambda column: column.map(visit_order), ignore_index=True)


def read(path: Path, *, splits: Sequence[str] = SPLITS, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of some splits, the first visit of each participant first; the order of the file does not matter.

    Parameters
    ----------
    path : participants.csv, or another table with the columns visit, participant and split, which are read as text.
    splits : splits to keep.
    columns : columns that the table must have in addition.

    Raises
    ------
    ValueError
        A column is missing.
    """
    table = pd.read_csv(path, dtype={"visit": str, "participant": str, "split": str})
    if missing := [name for name in ("visit", "participant", "split", *columns) if name not in table.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: rerun the cohort stages")
    return in_order(table[table["split"].isin(splits)])
