"""Read the list of participants, the only part of the cohort that training and evaluation use.

It has one row per usable visit.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

SPLITS = ("train", "validation", "test")
FACTS = ("visit", "participant", "instance", "split", "evaluate")  # columns of exported tables


def private_folder(run: Path) -> Path:
    """Return the folder `private` of a run, which is named by its own folder or its `results`.

    Raises FileNotFoundError if there is none.
    """
    for path in (run / "results/private", run / "private"):
        if path.is_dir():
            return path
    raise FileNotFoundError(f"{run} has no results/private: name the folder of a run")


def visit_order(visit: str) -> tuple[str, int]:
    """Return the sort key of a visit `participant_number`.

    With it, visit 2 of a participant comes before visit 10.
    """
    participant, _, number = visit.rpartition("_")
    return participant, int(number)


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by their column `visit`, with a new index."""
    return rows.sort_values("visit", key=lambda column: column.map(visit_order), ignore_index=True)


def read(
    path: Path, *, splits: Sequence[str] = SPLITS, columns: Sequence[str] = ()
) -> pd.DataFrame:
    """Read the rows of some splits, the first visit of each participant first.

    The order of the file does not matter.

    Parameters
    ----------
    path : Path
        participants.csv, or another table with the columns visit, participant and split, which are
        read as text.
    splits : sequence of str
        Splits to keep.
    columns : sequence of str
        Columns that the table must have in addition.

    Returns
    -------
    DataFrame
        The rows, with a new index.

    Raises
    ------
    ValueError
        A column is missing.
    """
    table = pd.read_csv(path, dtype={"visit": str, "participant": str, "split": str})
    if missing := [
        name for name in ("visit", "participant", "split", *columns) if name not in table.columns
    ]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: rerun the cohort stages")
    return in_order(table[table["split"].isin(splits)])
