"""Combine the tables of a run with those of the paper.

This module decides which rows a table has, which of them the run lacks, and which values are marked
as best.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptacl.evaluation.summary import MEAN, OWN_RANK
from ptacl.report import paper, records
from ptacl.report.cells import Cell, MethodRow, cell, difference
from ptacl.report.records import Record

GROUPS = (  # inputs of the regression table, in order
    "CMR",
    "ECG",
    "ECG + clinical",
    "ECG + other",
    "Whole ECG",
    "Whole ECG + clinical",
    "Whole ECG + other",
    "Other embedding",
    "Other embedding + clinical",
    "Clinical",
)
RANDOM = "random"  # model of random retrieval


def _mark_best(
    rows: Sequence[MethodRow],
    *,
    lowest: Sequence[bool],
    skip: Sequence[str] = (),
    above: float = -math.inf,
) -> list[MethodRow]:
    """Mark the best value of each column, including ties after rounding.

    `lowest` tells for each column whether lower is better. Methods in `skip`, and values that do
    not exceed `above`, are never marked.
    """
    marked = list(rows)
    for column, less in enumerate(lowest):
        shown: dict[int, float] = {}
        for i, row in enumerate(rows):
            number = row.cells[column]
            if number.measured and row.method not in skip and number.value > above:
                shown[i] = round(number.value, number.digits)
        measured = [row for row in rows if row.cells[column].measured]
        if not shown or len(measured) < 2:
            continue
        best = min(shown.values()) if less else max(shown.values())
        for i, value in shown.items():
            if value == best:
                cells = list(marked[i].cells)
                cells[column] = replace(cells[column], best=True)
                marked[i] = replace(marked[i], cells=tuple(cells))
    return marked


def regression(found: Sequence[Record]) -> list[MethodRow]:
    """Return the rows of Table 2, grouped by input; the columns are the mean and each phenotype.

    Within an input, the rows of the paper come first, in its order, followed by rows that only this
    run has. The best value is marked within each input if it is above zero: below zero, a method is
    worse than predicting the mean of the test set.
    """
    names = [MEAN, *records.phenotypes(found)]
    published = {(row.input, row.method, row.evaluation): row for row in paper.REGRESSION}
    ours: dict[tuple[str, str, str], list[Record]] = {}
    only_ours = []
    for record in found:
        key = (record.input, record.paper, record.evaluation)
        if key in published:
            ours.setdefault(key, []).append(record)
        else:
            only_ours.append(record)
    rows = []
    for key, theirs in published.items():
        if key in ours:
            rows += [_regression_row(record, theirs, names=names) for record in ours[key]]
        else:
            rows.append(_row_to_come(theirs, names=names))
    rows += [_regression_row(record, None, names=names) for record in only_ours]
    groups = dict.fromkeys([*GROUPS, *(row.group for row in rows)])
    marked = []
    for group in groups:
        of_group = [row for row in rows if row.group == group]
        marked += _mark_best(of_group, lowest=[False] * len(names), above=0.0)
    return marked


def _regression_row(
    record: Record, theirs: paper.PaperRow | None, *, names: Sequence[str]
) -> MethodRow:
    """Return a row of this run, next to the paper's row if it has one."""
    numbers = []
    for name in names:
        reference = None if theirs is None else theirs.of(name)
        numbers.append(cell(record.value("R2", name), reference=reference, digits=3))
    notes = [record.note] if record.note else []
    if theirs is not None and theirs.note:
        notes.append(f"paper: {theirs.note}")
    compared = record.difference("R2")
    return MethodRow(
        record.input,
        record.method,
        record.evaluation,
        tuple(numbers),
        difference(compared),
        compared.p,
        "; ".join(notes),
        record.reference,
    )


def _row_to_come(theirs: paper.PaperRow, *, names: Sequence[str]) -> MethodRow:
    """Return a row that only the paper has."""
    missing = [Cell(math.nan, math.nan, math.nan, theirs.of(name), 3) for name in names]
    note = f"paper: {theirs.note}" if theirs.note else ""
    return MethodRow(theirs.input, theirs.method, theirs.evaluation, tuple(missing), note=note)


@dataclass(frozen=True)
class OwnPartner:
    """How well a method finds the query's own partner in the whole gallery, in one direction.

    `share` is the median rank as a share of the gallery. `recalls` is, for each k, the share of
    queries whose own partner is among the first k candidates.
    """

    direction: str
    method: str
    rank: Cell
    share: float
    recalls: dict[str, Cell]


def own_partners(found: Sequence[Record]) -> list[OwnPartner]:
    """Return the ranks of the own partner by direction and method.

    They are the same for both galleries of the table.
    """
    names = [name for name in records.own_statistics(found) if name != OWN_RANK]
    partners: dict[tuple[str, str], OwnPartner] = {}
    for record in found:
        recalls = {}
        for name in names:
            recall = cell(record.value(name, ""), reference=None, digits=3)
            recalls[name.removeprefix("own ")] = recall
        rank = cell(record.value(OWN_RANK, ""), reference=None, digits=1)
        share = rank.value / record.n_test
        own = OwnPartner(record.direction, record.method, rank, share, recalls)
        partners.setdefault((record.direction, record.method), own)
    return list(partners.values())


def decisive(found: Sequence[Record]) -> str:
    """Return the statistic by which retrieval is compared, in verdicts and differences.

    It is P@10, or else the precision at the largest k below 10, or else at the smallest k.
    """
    ks = []
    for name in records.statistics(found):
        if name.startswith("P@"):
            ks.append(int(name.removeprefix("P@")))
    return f"P@{max((k for k in ks if k <= 10), default=min(ks))}"


def views(found: Sequence[Record]) -> list[tuple[str, str]]:
    """Return the directions and galleries of the retrieval table, starting with the one shown."""
    return list(dict.fromkeys((record.direction, record.gallery) for record in found))


def retrieval(found: Sequence[Record], view: tuple[str, str] | None = None) -> list[MethodRow]:
    """Return the rows of Table 1 for one direction and gallery, grouped by phenotype.

    The mean comes first. By default, `view` is the direction and gallery that are shown.
    """
    statistics, compared = records.statistics(found), decisive(found)
    shown = views(found)[0]
    direction, gallery = view or shown
    chosen = [r for r in found if (r.direction, r.gallery) == (direction, gallery)]
    random = [record.method for record in chosen if record.model == RANDOM]
    rows = []
    for phenotype in [MEAN, *records.phenotypes(found)]:
        of_phenotype = []
        for record in chosen:
            numbers = []
            for statistic in statistics:
                published = None
                if direction == shown[0]:  # the paper has one direction
                    published = paper.retrieval(
                        record.paper, phenotype=phenotype, statistic=statistic
                    )
                number = record.value(statistic, phenotype)
                digits = 3 if statistic.startswith("P@") else 1
                numbers.append(cell(number, reference=published, digits=digits))
            ahead = record.difference(compared, phenotype)
            row = MethodRow(
                phenotype, record.method, "", tuple(numbers), difference(ahead), ahead.p
            )
            of_phenotype.append(row)
        lowest = [not statistic.startswith("P@") for statistic in statistics]
        rows += _mark_best(of_phenotype, lowest=lowest, skip=random)
    return rows
