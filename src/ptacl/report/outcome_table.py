"""Write the table of diseases as LaTeX.

Each number has its interval. The last column has the paired difference of the main statistic.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ptacl import stage
from ptacl.report import latex, outcome_rows
from ptacl.report.cells import MethodRow


def document(table: pd.DataFrame) -> str:
    """Return the table of :mod:`ptacl.evaluation.outcomes` as LaTeX."""
    overall = outcome_rows.overall(table)
    confidence = f"{100 * table['confidence'].iloc[0]:g}" if len(table) else ""
    body: list[str] = []
    for (disease, when), lines in overall.groupby(["disease", "when"], sort=False):
        statistics, rows = outcome_rows.rows(lines)
        cases, people = lines["cases_test"].iloc[0], lines["n_test"].iloc[0]
        title = f"{disease} {when} the visit, {statistics[0]}; {cases} of {people} people"
        body += [r"\midrule", rf"\multicolumn{{4}}{{l}}{{{latex.escape(title)}}} \\"]
        place = statistics.index("observed/expected")
        for row in rows:
            body.append(_line(row, [0, place]))
    caption = (
        rf"Diseases on test participants, with {confidence}\,\% intervals. The first number is the "
        r"AUROC of a disease before the visit, or Uno's $C$ of one after it; O/E is observed over "
        r"expected. $\Delta$: difference of the first number from the row named below it, with $p$ "
        r"adjusted for all diseases of the row (Holm)."
    )
    head = ["Method", "AUROC or $C$", "O/E", r"$\Delta$"]
    return latex.document(head, body, columns="lccc", caption=caption, label="tab:outcomes")


def _line(row: MethodRow, places: Sequence[int]) -> str:
    numbers = [latex.cell(row.cells[place]) for place in places]
    return " & ".join([latex.escape(row.method), *numbers, latex.difference(row)]) + r" \\"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outcomes", required=True, type=Path, help="outcomes.csv")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(document(pd.read_csv(args.outcomes)), encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
