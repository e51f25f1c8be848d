"""Put the results into sentences that claim no more than the numbers support.

Every row of a table is compared with its reference by the same rules. One method is called better
than another only if both have at least five seeds, the interval over seeds and participants
excludes zero, all losses were learned, and both are better than chance. Otherwise, the sentence
gives the numbers and says which conditions are not met.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptacl.cohort.small_counts import text
from ptacl.evaluation.summary import Summary
from ptacl.report import comparison, records
from ptacl.report.cells import ends, number, probability, span
from ptacl.report.comparison import RANDOM
from ptacl.report.records import Record

LEADING = ("PTACL", "PTACL (retrieval)")  # not its variants, which have rows of their own
MIN_SEEDS = 5


@dataclass(frozen=True)
class Verdict:
    """The comparison of a method with the reference of its table, as a sentence."""

    method: str
    sentence: str


def of_regression(found: Sequence[Record], *, unlearned: Collection[str]) -> list[Verdict]:
    """Compare each ECG row of Table 2 with its reference.

    `unlearned` lists models with a training loss that was hardly learned
    (:mod:`ptacl.learning.collapse`).
    """
    of_ecgs = [record for record in found if "ECG" in record.input]
    verdicts = []
    for record in of_ecgs:
        reference = next((other for other in of_ecgs if other.method == record.reference), None)
        if reference is None or not records.finite(record.difference("R2")):
            continue
        missing = _missing(record, reference, unlearned=unlearned)
        if min(record.value("R2").value, reference.value("R2").value) <= 0:
            missing.append("a mean R² above zero")
        place = "by linear probe" if record.evaluation == "LP" else "in regression"
        sentence = _sentence(record, reference, "R2", name="mean R²", place=place, missing=missing)
        verdicts.append(Verdict(record.name, sentence))
    return verdicts


def of_retrieval(found: Sequence[Record], *, unlearned: Collection[str]) -> list[Verdict]:
    """Compare each model of Table 1 with its reference, in the direction and gallery shown.

    The statistic is that of :func:`ptacl.report.comparison.decisive`, which is P@10 by default.
    """
    shown = [record for record in found if record.shown]
    models = {record.method: record for record in shown if record.model != RANDOM}
    statistic = comparison.decisive(found)
    by_chance = [record.value(statistic).value for record in shown if record.model == RANDOM]
    chance = max(by_chance, default=0.0)
    verdicts = []
    for record in models.values():
        reference = models.get(record.reference)
        if reference is None:
            continue
        missing = _missing(record, reference, unlearned=unlearned)
        lowest = min(record.value(statistic).low, reference.value(statistic).low)
        if lowest <= chance:
            missing.append(f"a {statistic} clearly above chance")
        sentence = _sentence(
            record,
            reference,
            statistic,
            name=f"mean {statistic}",
            place="in retrieval",
            missing=missing,
        )
        verdicts.append(Verdict(record.name, sentence))
    return verdicts


def headline(of_tables: Sequence[Sequence[Verdict]]) -> str:
    """Join the sentences on PTACL of all tables; a table without PTACL gives its last sentence."""
    sentences = []
    for verdicts in of_tables:
        if verdicts:
            place = _leading([verdict.method for verdict in verdicts])
            sentences.append(verdicts[place].sentence)
    return " ".join(sentences)


def _leading(methods: Sequence[str]) -> int:
    """Return the place of PTACL among methods, or the last place if it is not among them."""
    named = [place for place, method in enumerate(methods) if method in LEADING]
    return named[0] if named else len(methods) - 1


def _missing(record: Record, reference: Record, *, unlearned: Collection[str]) -> list[str]:
    """Return the conditions for a verdict on two rows that are not met, apart from the numbers."""
    missing = []
    weak = [r.method for r in (record, reference) if r.model in unlearned]
    if weak:
        missing.append(f"trainings that learned every loss term ({' and '.join(weak)} did not)")
    seeds = [r.seeds for r in (record, reference) if r.seeds]
    if seeds and min(seeds) < MIN_SEEDS:
        missing.append(f"at least {MIN_SEEDS} seeds (this run has {min(seeds)})")
    return missing


def _sentence(
    record: Record,
    reference: Record,
    statistic: str,
    *,
    name: str,
    place: str,
    missing: Sequence[str],
) -> str:
    """Compare two records; `name` and `place` are the words for the statistic and the table."""
    ours = number(record.value(statistic).value, digits=3)
    theirs = number(reference.value(statistic).value, digits=3)
    difference = record.difference(statistic)
    low, high = ends(difference.low, difference.high, digits=3)
    p = f"p {probability(difference.p)}".replace(" ", "\N{NO-BREAK SPACE}")
    evidence = (
        f"{name} {ours} vs {theirs} (difference {number(difference.value, digits=3)}, "
        f"{100 * record.confidence:g} % CI {low} to {high}, {p})"
    )
    if missing:
        return (
            f"{record.name} and {reference.name} cannot be ranked {place} yet: {evidence}. A "
            f"verdict needs {' and '.join(missing)}."
        )
    relation = "does not clearly differ from"
    if difference.low > 0:
        relation = "is better than"
    elif difference.high < 0:
        relation = "is worse than"
    return f"{record.name} {relation} {reference.name} {place}: {evidence}."


def figures(
    regression: Sequence[Record],
    retrieval: Sequence[Record],
    *,
    alignment: Mapping[str, Any],
    flow: Mapping[str, Any],
) -> list[tuple[str, str, str]]:
    """Return key figures as (number, description, context).

    The context is the interval and the controls. No figure is called the best.
    """
    cards = []
    if flow.get("steps"):
        cards.append(_of_cohort(flow))
    probes = [r for r in regression if r.input == "ECG" and r.evaluation == "LP"]
    if probes:
        record = probes[_leading([r.method for r in probes])]
        context = [_interval(record.value("R2")), *_controls(probes, record)]
        figure = number(record.value("R2").value, digits=3)
        cards.append((figure, f"mean R² from the ECG, {record.method}", "; ".join(context)))
    shown = [record for record in retrieval if record.shown]
    models = [record for record in shown if record.model != RANDOM]
    if models:
        statistic = comparison.decisive(retrieval)
        record = models[_leading([r.method for r in models])]
        context = [_interval(record.value(statistic))]
        for other in shown:
            if other.model == RANDOM:
                chance = number(other.value(statistic).value, digits=3)
                context.append(f"random retrieval {chance}")
        figure = number(record.value(statistic).value, digits=3)
        cards.append((figure, f"mean {statistic}, {record.method}", "; ".join(context)))
    entries = list(alignment["models"].values())
    if entries:
        cards.append(_of_alignment(entries[-1], chance=alignment["chance"]))
    return cards


def _of_cohort(flow: Mapping[str, Any]) -> tuple[str, str, str]:
    counts = []
    for split in ("train", "validation", "test"):
        if split in flow.get("splits", {}):
            counts.append(f"{text(flow['splits'][split]['participants'])} {split}")
    participants = flow["steps"][-1]["participants"]
    return text(participants), "participants with usable ECG and cine", ", ".join(counts)


def _of_alignment(entry: Mapping[str, Any], *, chance: float) -> tuple[str, str, str]:
    low, high = ends(entry["share_low"], entry["share_high"])
    context = [
        span(low, high),
        f"other people's cines {number(entry['other_share'], digits=2)}",
        f"a still image {number(entry['still_share'], digits=2)}",
        f"chance {number(chance, digits=2)}",
    ]
    what = f"share of ECG phases that find their CMR phase, {entry['title']}"
    return number(entry["share"], digits=2), what, "; ".join(context)


def _controls(probes: Sequence[Record], record: Record) -> list[str]:
    """Return the controls for the mean R² of a row: the reference and an untrained ECG encoder."""
    controls = [r for r in probes if r.method == record.reference]
    controls += [r for r in probes if r.method == "Random init"]
    return [f"{r.method} {number(r.value('R2').value, digits=3)}" for r in controls]


def _interval(found: Summary) -> str:
    return span(*ends(found.low, found.high))
