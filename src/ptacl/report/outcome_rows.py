"""Read the long table of :mod:`ptacl.evaluation.outcomes`."""

import math

import pandas as pd

from ptacl.evaluation.summary import ALL, RANKINGS, Summary
from ptacl.report import cells
from ptacl.report.cells import MethodRow

_NUMBERS = ["value", "low", "high", "p"]
_OF_GROUPS = ("sensitivity", "false-positive rate")  # of a common threshold; only in the table


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines over all seeds and all test participants."""
    lines = table[table["seed"].isna() & (table["group"] == ALL)]
    return lines.fillna({"reference": "", "model": ""})


def rows(lines: pd.DataFrame) -> tuple[list[str], list[MethodRow]]:
    """Return the names of the statistics that everybody has, and the rows."""
    main = next(name for name in RANKINGS.values() if name in set(lines["statistic"]))
    found: list[MethodRow] = []
    statistics: list[str] = []
    for (group, method), of_method in lines.groupby(["input", "method"], sort=False):
        values = of_method[of_method["reference"] == ""].set_index("statistic")
        statistics = statistics or [name for name in values.index if name not in _OF_GROUPS]
        numbers = []
        for name in statistics:
            summary = Summary(*values.loc[name, _NUMBERS].astype(float))
            numbers.append(cells.cell(summary, reference=None, digits=3))
        compared = of_method[(of_method["reference"] != "") & (of_method["statistic"] == main)]
        difference, p, reference = None, math.nan, ""
        if len(compared):
            line = compared.iloc[0]
            difference = cells.difference(Summary(*line[_NUMBERS].astype(float)))
            p, reference = float(line["p_holm"]), str(line["reference"])
        row = MethodRow(
            str(group), str(method), "LP", tuple(numbers), difference, p, reference=reference
        )
        found.append(row)
    return statistics, found
