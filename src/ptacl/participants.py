"""The list of participants, one row a usable visit: what training and evaluation read of the cohort."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def read(path: Path, *, splits: Sequence[str] = ("train", "validation", "test"), columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of some splits sorted by visit: the order of the file decides nothing. Visit, participant and split are text.

    ValueError names what is missing of visit, participant, split and `columns`.
    """
    table = pd.read_csv(path, dtype={"visit": str, "participant": str, "split": str})
    if missing := [name for name in ("visit", "participant", "split", *columns) if name not in table.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: rerun the cohort stages")
    return table[table["split"].isin(splits)].sort_values("visit", ignore_index=True)
