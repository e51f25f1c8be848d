"""Combine the tables of a run with those of the paper.

This module decides which rows a table has, which of them the run lacks, which values are marked as
best, and how numbers are formatted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ptacl.report import paper

MEAN = "mean"
GROUPS = ("CMR", "ECG", "ECG + clinical", "Clinical")  # inputs of the regression table, in order


@dataclass(frozen=True)
class Cell:
    """A number with its interval, the paper's number, and whether it is the best of its column.

    Missing numbers and intervals are NaN; a missing number of the paper is None.
    """

    value: float
    low: float
    high: float
    paper: float | None
    digits: int
    best: bool = False
    interval_digits: int = 2

    @property
    def measured(self) -> bool:
        """Whether this run has the number."""
        return math.isfinite(self.value)

    @property
    def text(self) -> str:
        """The number, or an en dash."""
        return number(self.value, digits=self.digits) if self.measured else "\N{EN DASH}"

    @property
    def bounds(self) -> tuple[str, str] | None:
        """Both ends of the interval, None if it is missing.

        They get more digits if rounding would hide a sign.
        """
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return None
        return ends(self.low, self.high, digits=self.interval_digits)

    @property
    def interval(self) -> str:
        """The interval as text, empty if it is missing."""
        return span(*self.bounds) if self.bounds else ""

    @property
    def paper_text(self) -> str:
        """The paper's number as text, empty if it is missing."""
        return "" if self.paper is None else number(self.paper, digits=self.digits)


@dataclass(frozen=True)
class Row:
    """A row of a table: its cells, and the difference of its mean from the reference with p."""

    group: str
    method: str
    evaluation: str
    cells: tuple[Cell, ...]
    difference: Cell | None = None
    p: float = math.nan
    note: str = ""

    @property
    def measured(self) -> bool:
        """Whether this run has the row; otherwise only the paper has it."""
        return any(cell.measured for cell in self.cells)

    @property
    def p_text(self) -> str:
        """The p value as text, empty if it is missing."""
        return (
            ""
            if math.isnan(self.p)
            else f"p {probability(self.p)}".replace(" ", "\N{NO-BREAK SPACE}")
        )


def number(value: float, *, digits: int) -> str:
    """Format a number with a true minus sign, and without a sign before zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def ends(low: float, high: float, *, digits: int = 2) -> tuple[str, str]:
    """Both ends of an interval as text, each with as many digits as its sign needs."""
    return _signed(low, digits=digits), _signed(high, digits=digits)


def _signed(value: float, *, digits: int) -> str:
    """A number that looks like zero only if it is zero, or has no digit among the first five."""
    if value and not round(value, digits) and digits < 5:
        return _signed(value, digits=digits + 1)
    return number(value, digits=digits)


def span(low: str, high: str) -> str:
    """Format an interval."""
    return f"[{low}, {high}]".replace(" ", "\N{NO-BREAK SPACE}")


def probability(p: float) -> str:
    """Format a p value with an equals sign: three decimals below 0.01, two from there on."""
    return f"= {p:.3f}" if p < 0.01 else f"= {p:.2f}"


def phenotypes(table: pd.DataFrame, *, statistic: str) -> list[str]:
    """Return the phenotypes of a table in the order of its columns, without the mean."""
    names = [c.removesuffix(f"_{statistic}") for c in table.columns if c.endswith(f"_{statistic}")]
    return [name for name in names if name != MEAN]


def _cell(row: Mapping[Any, Any], name: str, *, reference: float | None, digits: int) -> Cell:
    """Return a number; its interval has one decimal less, but at least one."""
    value, low, high = (float(row.get(f"{name}{end}", math.nan)) for end in ("", "_low", "_high"))
    return Cell(value, low, high, reference, digits, interval_digits=max(1, digits - 1))


def _difference(row: Mapping[Any, Any], name: str) -> Cell:
    """Return a difference; its interval has as many decimals as the number.

    Readers check whether the interval excludes zero, so its ends must be precise.
    """
    value, low, high = (
        float(row.get(f"{name}_difference{end}", math.nan)) for end in ("", "_low", "_high")
    )
    return Cell(value, low, high, None, 3, interval_digits=3)


def _mark_best(
    rows: Sequence[Row],
    *,
    lowest: Sequence[bool],
    skip: Sequence[str] = (),
    above: float = -math.inf,
) -> list[Row]:
    """Mark the best value of each column, including ties after rounding.

    `lowest` tells for each column whether lower is better. Methods in `skip`, and values that do
    not exceed `above`, are never marked.
    """
    marked = list(rows)
    for c, less in enumerate(lowest):
        shown = {
            i: round(r.cells[c].value, r.cells[c].digits)
            for i, r in enumerate(rows)
            if r.cells[c].measured and r.method not in skip and r.cells[c].value > above
        }
        if not shown or sum(r.cells[c].measured for r in rows) < 2:
            continue
        best = (min if less else max)(shown.values())
        for i in (i for i, value in shown.items() if value == best):
            cells = list(marked[i].cells)
            cells[c] = replace(cells[c], best=True)
            marked[i] = replace(marked[i], cells=tuple(cells))
    return marked


def regression(table: pd.DataFrame) -> list[Row]:
    """Return the rows of Table 2, grouped by input; the columns are the mean and each phenotype.

    Within an input, the rows of the paper come first, in its order, followed by rows that only this
    run has. The best value is marked within each input if it is above zero: below zero, a method is
    worse than predicting the mean of the test set.
    """
    names = [MEAN, *phenotypes(table, statistic="R2")]
    records = table.to_dict("records")
    theirs = {(r.input, r.method, r.evaluation): r for r in paper.REGRESSION}
    ours: dict[Any, list[Mapping[Any, Any]]] = {}
    for record in records:
        key = (record["input"], record.get("paper"), record["evaluation"])
        ours.setdefault(key if key in theirs else None, []).append(record)
    pairs: list[tuple[Mapping[Any, Any], paper.Row | None]]
    pairs = [(r, published) for key, published in theirs.items() for r in ours.get(key, [{}])]
    pairs += [(r, None) for r in ours.get(None, [])]
    rows = [_regression_row(record, published, names=names) for record, published in pairs]
    rows.sort(key=lambda row: GROUPS.index(row.group) if row.group in GROUPS else len(GROUPS))
    groups = list(dict.fromkeys(row.group for row in rows))
    columns = [False] * len(names)
    return [
        row
        for g in groups
        for row in _mark_best([r for r in rows if r.group == g], lowest=columns, above=0.0)
    ]


def _regression_row(
    record: Mapping[Any, Any], published: paper.Row | None, *, names: Sequence[str]
) -> Row:
    """Return a row from a record of the table and the matching row of the paper.

    Either can be missing: `record` is then empty, or `published` is None.
    """
    references = [
        None if published is None else published.mean if n == MEAN else published.of(n)
        for n in names
    ]
    cells = tuple(
        _cell(record, f"{n}_R2", reference=r, digits=3)
        for n, r in zip(names, references, strict=True)
    )
    difference = _difference(record, MEAN)
    if record or published is None:
        name = record["input"], record["method"], record["evaluation"]
    else:
        name = published.input, published.method, published.evaluation
    ours, theirs = record.get("note"), "" if published is None else published.note
    notes = [
        note for note in (ours, theirs and f"paper: {theirs}") if isinstance(note, str) and note
    ]
    return Row(*name, cells, difference, float(record.get(f"{MEAN}_p", math.nan)), "; ".join(notes))


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


def own_partners(table: pd.DataFrame) -> list[OwnPartner]:
    """Return the ranks of the own partner by direction and method.

    They are the same for both galleries of the table.
    """
    ks = [c for c in table.columns if c.startswith("own_R@") and not c.endswith(("_low", "_high"))]
    found = []
    for r in table.drop_duplicates(["direction", "method"]).to_dict("records"):
        recalls = {k.removeprefix("own_"): _cell(r, k, reference=None, digits=3) for k in ks}
        rank = _cell(r, "own_MdR", reference=None, digits=1)
        found.append(
            OwnPartner(r["direction"], r["method"], rank, rank.value / float(r["n_test"]), recalls)
        )
    return found


def reference(table: pd.DataFrame) -> str:
    """Return the reference method of the regression table: the ECG row without a difference."""
    rows = table[table[f"{MEAN}_difference"].isna() & (table["input"] == "ECG")]
    return str(rows["method"].iloc[0])


def statistics(table: pd.DataFrame) -> list[str]:
    """Return the statistics of the retrieval table in the order of its columns."""
    first = phenotypes(table, statistic="MnR")[0]
    ends = ("_low", "_high", "_p", "_difference")
    return [
        c.removeprefix(f"{first}_")
        for c in table.columns
        if c.startswith(f"{first}_") and not c.endswith(ends)
    ]


def decisive(table: pd.DataFrame) -> str:
    """Return the statistic by which retrieval is compared, in verdicts and differences.

    It is P@10, or else the precision at the largest k below 10, or else at the smallest k.
    """
    ks = [int(name.removeprefix("P@")) for name in statistics(table) if name.startswith("P@")]
    return f"P@{max((k for k in ks if k <= 10), default=min(ks))}"


def views(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the directions and galleries of the retrieval table, starting with the one shown."""
    return [
        (str(d), str(g))
        for d, g in table[["direction", "gallery"]].drop_duplicates().itertuples(index=False)
    ]


def retrieval(table: pd.DataFrame, view: tuple[str, str] | None = None) -> list[Row]:
    """Return the rows of Table 1 for one direction and gallery, grouped by phenotype.

    The mean comes first. By default, `view` is the direction and gallery that are shown.
    """
    columns, rows = statistics(table), []
    direction, gallery = view or views(table)[0]
    chosen = table[(table["direction"] == direction) & (table["gallery"] == gallery)].to_dict(
        "records"
    )
    published = direction == views(table)[0][0]  # the paper has one direction
    for name in [MEAN, *phenotypes(table, statistic="MnR")]:
        of_phenotype = []
        for row in chosen:
            references = [
                paper.retrieval(row["paper"], phenotype=name, statistic=s) if published else None
                for s in columns
            ]
            digits = [3 if s.startswith("P@") else 1 for s in columns]
            cells = [
                _cell(row, f"{name}_{s}", reference=r, digits=d)
                for s, r, d in zip(columns, references, digits, strict=True)
            ]
            difference = _difference(row, f"{name}_{decisive(table)}")
            p = float(row.get(f"{name}_{decisive(table)}_p", math.nan))
            of_phenotype.append(Row(name, row["method"], "", tuple(cells), difference, p))
        random = [row["method"] for row in chosen if row["model"] == "random"]
        rows += _mark_best(
            of_phenotype, lowest=[not s.startswith("P@") for s in columns], skip=random
        )
    return rows
