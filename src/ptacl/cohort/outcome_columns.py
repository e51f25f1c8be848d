"""Read the columns of diseases from the table of another cohort.

The columns are those of :mod:`ptacl.cohort.outcomes`: `NAME before`, `NAME years` and `NAME event`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl.cohort import csv_tables

_WORDS = {"true": "1", "false": "0"}
_CODES = {"before": (0, 1), "event": (0, 1, 2)}


def names(disease: str, *, only_before: bool) -> list[str]:
    """Return the names of the columns of a disease."""
    kinds = ("before",) if only_before else ("before", "years", "event")
    return [f"{disease} {kind}" for kind in kinds]


def read(rows: pd.DataFrame, columns: Sequence[str], *, path: Path) -> pd.DataFrame:
    """Read columns of diseases from cells of the table as text.

    Cells without a number count as missing. People with the disease before the visit, or without
    any time after it, are not followed: their years and event are NaN. Raises ValueError for
    other codes.
    """
    values = pd.DataFrame(index=rows.index)
    for name in columns:
        cells = rows[name].map(lambda cell: _WORDS.get(cell.strip().lower(), cell))
        values[name], _ = csv_tables.numbers(cells, decimal_comma=csv_tables.decimal_comma(path))
        kind = name.rpartition(" ")[2]
        allowed = _CODES.get(kind)
        if allowed and not values[name].dropna().isin(allowed).all():
            raise ValueError(
                f"{path}: a value of {name!r} is none of {', '.join(map(str, allowed))} "
                "(docs/data.md#diseases-and-outcomes)"
            )
    for name in columns:
        disease, _, kind = name.rpartition(" ")
        if kind != "years":
            continue
        event = f"{disease} event"
        followed = (values[name] > 0) & values[event].notna()
        if f"{disease} before" in values:
            followed &= values[f"{disease} before"] == 0
        values[[name, event]] = values[[name, event]].where(followed, np.nan)
    return values
