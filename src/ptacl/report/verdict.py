"""Put the results into sentences that claim no more than the numbers support.

Every row of a table is compared with its reference by the same rules. One method is called better
than another only if both have at least five seeds, the interval over seeds and participants
excludes zero, all losses were learned, and both are better than chance. Otherwise, the sentence
gives the numbers and says which conditions are not met.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ptacl.report import comparison
from ptacl.report.comparison import number, probability, span

LEADING = ("PTACL", "PTACL (retrieval)")  # not its variants, which have rows of their own
MIN_SEEDS = 5

Record = Mapping[Any, Any]


@dataclass(frozen=True)
class Verdict:
    """The comparison of a method with the reference of its table, as a sentence."""

    method: str
    sentence: str


@dataclass(frozen=True)
class _Table:
    """How one table is compared.

    `key` is the column of the value, `difference` the prefix of the columns of the difference;
    `name` and `place` are the words for them in a sentence.
    """

    key: str
    difference: str
    name: str
    place: str


_PROBES = _Table("mean_R2", "mean", "mean R²", "by linear probe")
_FINE_TUNED = _Table("mean_R2", "mean", "mean R²", "in regression")


def of_regression(table: pd.DataFrame, *, unlearned: Collection[str]) -> list[Verdict]:
    """Compare each ECG row of Table 2 with the reference.

    `unlearned` lists models with a training loss that was hardly learned
    (:mod:`ptacl.learning.chance`).
    """
    rows = [row for row in table.to_dict("records") if str(row["input"]).startswith("ECG")]
    reference = next(
        (row for row in rows if math.isnan(row["mean_difference"]) and row["input"] == "ECG"), None
    )
    if reference is None:
        return []
    found = []
    for row in rows:
        if row is not reference and not math.isnan(row["mean_difference"]):
            missing = _missing(row, reference, unlearned=unlearned)
            if min(row["mean_R2"], reference["mean_R2"]) <= 0:
                missing.append("a mean R² above zero")
            table_of = _PROBES if row["evaluation"] == "LP" else _FINE_TUNED
            found.append(
                Verdict(_name(row), _sentence(row, reference, table=table_of, missing=missing))
            )
    return found


def of_retrieval(table: pd.DataFrame, *, unlearned: Collection[str]) -> list[Verdict]:
    """Compare each model of Table 1 with the first one, in the direction and gallery shown.

    The statistic is that of :func:`ptacl.report.comparison.decisive`, which is P@10 by default.
    """
    shown = [row for row in table.to_dict("records") if row["shown"]]
    models = [row for row in shown if row["model"] != "random"]
    key = f"{comparison.MEAN}_{comparison.decisive(table)}"
    words = _Table(key, key, f"mean {comparison.decisive(table)}", "in retrieval")
    chance = max((row[key] for row in shown if row["model"] == "random"), default=0.0)
    found = []
    for row in models[1:]:
        missing = _missing(row, models[0], unlearned=unlearned)
        if min(row[f"{key}_low"], models[0][f"{key}_low"]) <= chance:
            missing.append(f"a {comparison.decisive(table)} clearly above chance")
        found.append(Verdict(_name(row), _sentence(row, models[0], table=words, missing=missing)))
    return found


def headline(of_tables: Sequence[Sequence[Verdict]]) -> str:
    """Join the sentences on PTACL of all tables; a table without PTACL gives its last sentence."""
    leading = [
        verdicts[_leading([v.method for v in verdicts])] for verdicts in of_tables if verdicts
    ]
    return " ".join(verdict.sentence for verdict in leading)


def _leading(methods: Sequence[str]) -> int:
    """Return the place of PTACL among methods, or the last place if it is not among them."""
    named = [place for place, method in enumerate(methods) if method in LEADING]
    return named[0] if named else len(methods) - 1


def _name(row: Record) -> str:
    """Return the method, and its evaluation unless it is a linear probe."""
    evaluation = row.get("evaluation", "LP")
    return str(row["method"]) if evaluation == "LP" else f"{row['method']} ({evaluation})"


def _missing(row: Record, reference: Record, *, unlearned: Collection[str]) -> list[str]:
    """Return the conditions for a verdict on two rows that are not met, apart from the numbers."""
    missing = []
    if weak := [r["method"] for r in (row, reference) if r["model"] in unlearned]:
        missing.append(f"trainings that learned every loss term ({' and '.join(weak)} did not)")
    trained = [int(r["seeds"]) for r in (row, reference) if r["seeds"]]
    if trained and min(trained) < MIN_SEEDS:
        missing.append(f"at least {MIN_SEEDS} seeds (this run has {min(trained)})")
    return missing


def _sentence(row: Record, reference: Record, *, table: _Table, missing: Sequence[str]) -> str:
    value, low, high = (
        float(row[f"{table.difference}_difference{end}"]) for end in ("", "_low", "_high")
    )
    names = _name(row), _name(reference)
    numbers = (
        f"{table.name} {number(row[table.key], digits=3)} vs "
        f"{number(reference[table.key], digits=3)}"
    )
    interval = "".join(
        [
            f"{100 * float(row['confidence']):g} % CI ",
            " to ".join(comparison.ends(low, high, digits=3)),
        ]
    )
    p = f"p {probability(row[f'{table.difference}_p'])}".replace(" ", "\N{NO-BREAK SPACE}")
    evidence = f"{numbers} (difference {number(value, digits=3)}, {interval}, {p})"
    if missing:
        return (
            f"{names[0]} and {names[1]} cannot be ranked {table.place} yet: {evidence}. A "
            f"verdict needs {' and '.join(missing)}."
        )
    relation = (
        "is better than"
        if low > 0
        else "is worse than"
        if high < 0
        else "does not clearly differ from"
    )
    return f"{names[0]} {relation} {names[1]} {table.place}: {evidence}."


def figures(
    regression: pd.DataFrame,
    retrieval: pd.DataFrame,
    *,
    alignment: Mapping[str, Any],
    flow: Mapping[str, Any],
) -> list[tuple[str, str, str]]:
    """Return key figures as (number, description, context).

    The context is the interval and the controls. No figure is called the best.
    """
    cards = []
    if steps := flow.get("steps"):
        parts = flow.get("splits", {})
        split = ", ".join(
            f"{parts[s]['participants']:,} {s}"
            for s in ("train", "validation", "test")
            if s in parts
        )
        cards.append(
            (f"{steps[-1]['participants']:,}", "participants with usable ECG and cine", split)
        )
    if row := _shown(
        [
            r
            for r in regression.to_dict("records")
            if r["input"] == "ECG" and r["evaluation"] == "LP"
        ]
    ):
        controls = _controls(regression, row)
        context = "; ".join([_interval(row, "mean_R2"), *controls])
        cards.append(
            (number(row["mean_R2"], digits=3), f"mean R² from the ECG, {row['method']}", context)
        )
    shown = [r for r in retrieval.to_dict("records") if r["shown"]]
    if row := _shown([r for r in shown if r["model"] != "random"]):
        statistic = comparison.decisive(retrieval)
        key = f"{comparison.MEAN}_{statistic}"
        chance = [
            f"random retrieval {number(r[key], digits=3)}" for r in shown if r["model"] == "random"
        ]
        context = "; ".join([_interval(row, key), *chance])
        cards.append((number(row[key], digits=3), f"mean {statistic}, {row['method']}", context))
    if entries := list(alignment["models"].values()):
        entry = entries[-1]
        controls = [
            f"other people's cines {number(entry['other_share'], digits=2)}",
            f"a still image {number(entry['still_share'], digits=2)}",
            f"chance {number(alignment['chance'], digits=2)}",
        ]
        what = f"share of ECG phases that find their CMR phase, {entry['title']}"
        cards.append(
            (
                number(entry["share"], digits=2),
                what,
                "; ".join([_interval(entry, "share"), *controls]),
            )
        )
    return cards


def _shown(rows: Sequence[Record]) -> Record | None:
    """Return the row of PTACL, or the last row if it has none; None without rows."""
    return rows[_leading([str(row["method"]) for row in rows])] if rows else None


def _controls(regression: pd.DataFrame, row: Record) -> list[str]:
    """Return the controls for the mean R² of a row: the reference and an untrained ECG encoder."""
    rows = [
        r for r in regression.to_dict("records") if r["input"] == "ECG" and r["evaluation"] == "LP"
    ]
    reference = [
        r for r in rows if math.isnan(r["mean_difference"]) and r["method"] != row["method"]
    ]
    untrained = [r for r in rows if r["method"] == "Random init"]
    return [f"{r['method']} {number(r['mean_R2'], digits=3)}" for r in (*reference, *untrained)]


def _interval(row: Record, name: str) -> str:
    return span(*comparison.ends(row[f"{name}_low"], row[f"{name}_high"]))
