"""What the numbers say, in sentences, and no more than they carry.

One method is called better than another only on evidence: three seeds or more, an interval over seeds and participants that
excludes zero, losses below those of guessing, and numbers above those of knowing nothing. Otherwise the sentence names what is
missing.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ptacl.report.comparison import number, probability, span

LEADING = "PTACL"
MIN_SEEDS = 3

Record = Mapping[Any, Any]


def headline(regression: pd.DataFrame, retrieval: pd.DataFrame, *, stuck: Collection[str]) -> str:
    """The verdict on PTACL against the reference of the paired tests, by mean R² and by precision of the first candidates.

    stuck : models with a training loss at chance (:func:`ptacl.learning.chance.at_chance`).
    """
    probes = [r for r in regression.to_dict("records") if r["input"] == "ECG" and r["evaluation"] == "LP"]
    leading = [r for r in probes if r["method"] == LEADING and not math.isnan(r["mean_difference"])]
    reference = [r for r in probes if math.isnan(r["mean_difference"])]
    if not (leading and reference):
        best = max(regression.to_dict("records"), key=lambda r: float(r["mean_R2"]))
        return f"Highest mean R²: {best['input']} {best['method']} with {number(best['mean_R2'], digits=3)}."
    missing = _missing(leading[0], reference[0], stuck=stuck)
    if min(leading[0]["mean_R2"], reference[0]["mean_R2"]) <= 0:
        missing.append("a mean R² above zero")
    sentences = [
        _compare(leading[0], reference[0], key="mean_R2", difference="mean", what="by linear probe, mean R²", missing=missing)
    ]
    shown = [r for r in retrieval.to_dict("records") if r["shown"]]
    methods = [r for r in shown if r["model"] != "random"]
    if len(methods) > 1:
        key = _precision(retrieval)
        missing = _missing(methods[1], methods[0], stuck=stuck)
        chance = max([r[key] for r in shown if r["model"] == "random"], default=0.0)
        if min(r[f"{key}_low"] for r in methods[:2]) <= chance:
            missing.append(f"a {key[5:]} clearly above chance")
        what = f"in retrieval, mean {key[5:]}"
        sentences.append(_compare(methods[1], methods[0], key=key, difference=key, what=what, missing=missing))
    return " ".join(sentences)


def _missing(*rows: Record, stuck: Collection[str]) -> list[str]:
    """What a claim about these rows lacks, apart from its numbers."""
    missing = []
    if at_chance := [row["method"] for row in rows if row["model"] in stuck]:
        missing.append(f"a training loss below chance ({' and '.join(at_chance)})")
    if (num_seeds := min(int(row["seeds"]) for row in rows)) < MIN_SEEDS:
        missing.append(f"{MIN_SEEDS} seeds or more (here {num_seeds})")
    return missing


def _precision(retrieval: pd.DataFrame) -> str:
    return next(str(c) for c in retrieval.columns if str(c).startswith("mean_P@"))


def _compare(row: Record, reference: Record, *, key: str, difference: str, what: str, missing: Collection[str]) -> str:
    value, low, high = (float(row[f"{difference}_difference{end}"]) for end in ("", "_low", "_high"))
    place, _, name = what.partition(", ")
    numbers = f"{name} {number(row[key], digits=3)} against {number(reference[key], digits=3)}"
    interval = span(number(low, digits=3), number(high, digits=3))
    p = f"p {probability(row[f'{difference}_p'])}".replace(" ", "\N{NO-BREAK SPACE}")
    evidence = f"{numbers} (difference {number(value, digits=3)}, interval {interval}, {p})"
    if missing:
        pair = f"{row['method']} and {reference['method']}"
        return f"No verdict on {pair} {place}: {evidence}. For one there is missing: {'; '.join(missing)}."
    relation = "is better than" if low > 0 else "is worse than" if high < 0 else "does not clearly differ from"
    return f"{row['method']} {relation} {reference['method']} {place}: {evidence}."


def figures(
    regression: pd.DataFrame, retrieval: pd.DataFrame, *, alignment: Mapping[str, Any], flow: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Key figures as (number, what it is, its interval or context)."""
    cards = []
    if steps := flow.get("steps"):
        parts = flow.get("splits", {})
        split = ", ".join(f"{parts[s]['participants']:,} {s}" for s in ("train", "validation", "test") if s in parts)
        cards.append((f"{steps[-1]['participants']:,}", "participants with usable ECG and cine", split))
    if ecg := [r for r in regression.to_dict("records") if r["input"] == "ECG"]:
        best = max(ecg, key=lambda r: float(r["mean_R2"]))
        cards.append(
            (number(best["mean_R2"], digits=3), f"best mean R² from the ECG: {best['method']}", _interval(best, "mean_R2"))
        )
    if shown := [r for r in retrieval.to_dict("records") if r["shown"]]:
        key = _precision(retrieval)
        best = max(shown, key=lambda r: float(r[key]))
        chance = [f"; random {number(r[key], digits=2)}" for r in shown if r["model"] == "random"]
        cards.append(
            (number(best[key], digits=3), f"best mean {key[5:]}: {best['method']}", "".join([_interval(best, key), *chance]))
        )
    if entries := list(alignment["models"].values()):
        top = max(entries, key=lambda entry: float(entry["share"]))
        context = f"{_interval(top, 'share')}; chance {number(alignment['chance'], digits=2)}"
        cards.append((number(top["share"], digits=2), f"of ECG steps find their CMR step: {top['title']}", context))
    return cards


def _interval(row: Record, name: str) -> str:
    return span(number(row[f"{name}_low"], digits=2), number(row[f"{name}_high"], digits=2))
