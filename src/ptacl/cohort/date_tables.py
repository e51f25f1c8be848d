"""Read dates from phenotype tables, in any of the column conventions of UK Biobank."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ptacl.cohort import csv_tables
from ptacl.cohort.column_names import columns_of, id_column

LOG = logging.getLogger(__name__)

VISIT, CENTRE, DEATH, LOST = 53, 54, 40000, 191
_NO_DATES: "pd.Series[pd.Timestamp]" = pd.Series(dtype="datetime64[ns]")


@dataclass
class DateTable:
    """Dates by participant.

    dates : by field and instance; fields without instances have instance 0. centre : field 54 at
    instance 0, as text. unreadable : cells that are neither empty nor a date, over all fields.
    """

    dates: dict[tuple[int, int], "pd.Series[pd.Timestamp]"] = field(default_factory=dict)
    centre: "pd.Series[str]" = field(default_factory=lambda: pd.Series(dtype="object"))
    unreadable: int = 0

    def has(self, number: int) -> bool:
        """Return whether any table has a field."""
        if number == CENTRE:
            return len(self.centre) > 0
        return any(known == number for known, _ in self.dates)

    def of(self, number: int, instance: int) -> "pd.Series[pd.Timestamp]":
        """Return the dates of a field and instance by participant, empty if no table has them."""
        return self.dates.get((number, instance), _NO_DATES)


def read(paths: Sequence[Path], *, fields: Collection[int]) -> DateTable:
    """Read date fields, and those of visits, death, loss and the first centre.

    A cell that is not a date counts as missing. Where several tables have a date of a participant,
    the first one is used. Tables without these fields are skipped. Raises ValueError for a table
    that cannot be read (:mod:`ptacl.cohort.csv_tables`).
    """
    wanted = {*fields, VISIT, CENTRE, DEATH, LOST}
    found: dict[tuple[int, int], list[pd.Series[pd.Timestamp]]] = {}
    centres: list[pd.Series[str]] = []
    unreadable = 0
    for path in paths:
        header = csv_tables.header(path)
        id_name = id_column(header)
        columns = {
            (number, instance or 0): names[0]
            for (number, instance, array), names in columns_of(header, fields=wanted).items()
            if array == 0
        }
        if id_name is None or not columns:
            continue
        needed = [id_name, *dict.fromkeys(columns.values())]
        for piece in csv_tables.pieces(path, columns=needed):
            ids = piece[id_name].astype("string").str.strip().str.removesuffix(".0").astype(str)
            for key, name in columns.items():
                if key[0] == CENTRE:
                    if key[1] == 0:
                        centres.append(_text(piece[name]).set_axis(ids))
                    continue
                days = pd.to_datetime(_text(piece[name]), errors="coerce", format="ISO8601")
                unreadable += int((days.isna() & (_text(piece[name]) != "")).sum())
                found.setdefault(key, []).append(days.dt.normalize().set_axis(ids).dropna())
    if unreadable:
        LOG.warning("%d cells of date fields are no dates and count as missing", unreadable)
    dates = {key: _first(parts) for key, parts in found.items()}
    centre = _first([part[part != ""] for part in centres]) if centres else pd.Series(dtype=str)
    return DateTable(dates, centre, unreadable)


def _text(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Return the cells as text; missing ones are empty."""
    text = column.astype("string").fillna("").str.strip()
    return text.where(~text.isin(["NA", "NaT", "nan"]), "").astype(str)


def _first(parts: "Sequence[pd.Series[Any]]") -> "pd.Series[Any]":
    """Join the parts and keep the first value of each participant."""
    joined: pd.Series[Any] = pd.concat([part for part in parts if len(part)] or [parts[0]])
    return joined[~joined.index.duplicated()]
