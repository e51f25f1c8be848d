"""Evaluate the retrieval of participants with a similar phenotype (Table 1).

Every test ECG ranks the CMR embeddings of the test participants by cosine similarity, and every CMR
ranks the ECG embeddings. A candidate matches if its phenotype is within `band` standard deviations
of the query's, where the standard deviation is over the test participants. Participants without a
value are excluded from the queries and from the gallery of that phenotype. If no candidate in the
gallery matches a query, the query has no rank for any model, and counts as a miss in the precision.

The paper does not say in Table 1 whether a query's own partner is in the gallery. Both versions are
computed, and the column `shown` marks the version that the settings choose.

The row of random retrieval contains exact expectations rather than random draws. With m matches
among N candidates, a random candidate matches with probability m / N, and the mean rank of the
first match is (N + 1) / (m + 1).

The rank of the query's own partner in the whole gallery shows how well ECG and CMR of a person are
matched, regardless of phenotypes.

The bootstrap resamples queries and keeps the gallery, so the intervals describe retrieval from this
gallery. In simulations, the standard deviation over cohorts, each with its own gallery, was 1.1 to
1.3 times as large.

Shapes: n participants, P phenotypes, K values of k, S seeds, B bootstrap draws, of which the first
is the sample itself.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import seeds, stage
from ptacl.config import Retrieval, RetrievalRow
from ptacl.evaluation import inputs, ranking, results, summary, uncertainty
from ptacl.evaluation.results import Line, Reference
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

RANDOM = RetrievalRow(label="Random", model="random", paper="Random")
DIRECTIONS = {"ECG to CMR": ("ecg", "cmr"), "CMR to ECG": ("cmr", "ecg")}  # queries, gallery
GALLERIES = {False: "without own CMR", True: "with own CMR"}

log = logging.getLogger(__name__)


def statistics(found: ranking.Found, *, counts: Array) -> Array:
    """Return precision at each k, and mean and median rank of the first match, (B, P, K + 2)."""
    median_rank = uncertainty.medians(found.first, counts=counts)
    return np.concatenate([_averages(found, counts=counts), median_rank[..., None]], axis=2)


def random_statistics(
    phenotypes_np: Array, *, ks: Sequence[int], band: float, own: bool, counts: Array
) -> Array:
    """Return the expectation of :func:`statistics` for a random order of the gallery."""
    matches, sizes = ranking.count_matches(
        phenotypes_np, half_width=ranking.half_widths(phenotypes_np, band=band), own=own
    )
    precision = np.repeat((matches / np.maximum(sizes, 1))[..., None], len(ks), axis=2)
    precision[sizes[..., None] < np.asarray(ks)] = np.nan
    first = np.where(matches > 0, (sizes + 1) / (matches + 1), np.nan)
    averages = _averages(ranking.Found(precision, first), counts=counts)
    median_rank = np.column_stack(
        [_random_median(m, size, counts=counts) for m, size in zip(matches.T, sizes.T, strict=True)]
    )
    return np.concatenate([averages, median_rank[..., None]], axis=2)


def _averages(found: ranking.Found, *, counts: Array) -> Array:
    """Return precision at each k and mean rank of the first match, (B, P, K + 1)."""
    values = np.concatenate([found.precision, found.first[..., None]], axis=2)
    return uncertainty.means(values.reshape(len(values), -1), counts=counts).reshape(
        len(counts), *values.shape[1:]
    )


def _random_median(matches_n: Array, sizes_n: Array, *, counts: Array) -> Array:
    """Return the median rank (B,) of the first match over queries and random orders.

    It is the rank at which the distribution function, averaged over queries, reaches one half.
    """
    usable = np.isfinite(matches_n) & (matches_n > 0)
    if not usable.any():
        return np.full(len(counts), np.nan)
    m, size, weights = matches_n[usable], sizes_n[usable], counts[:, usable]
    median, none_yet = np.full(len(counts), np.nan), np.ones(len(m))
    for rank in range(1, int(size.max()) + 1):
        none_yet *= np.clip(1 - m / np.maximum(size - rank + 1, 1), 0, 1)
        reached = (weights @ (1 - none_yet)) / weights.sum(axis=1) >= 0.5
        median[reached & np.isnan(median)] = rank
        if reached.all():
            break
    return median


def _estimates(
    settings: Retrieval,
    *,
    direction: str,
    own: bool,
    embeddings: inputs.Files,
    test: inputs.SplitTargets,
    counts: Array,
) -> Iterator[tuple[RetrievalRow, Estimates, Estimates]]:
    """Yield the results of each model, and then those of random retrieval.

    A result is the row, its statistics (S, B, P, K + 2), and those of the own partner (S, B, 1 +
    K).
    """
    people = len(test.visits)
    asks, searched = DIRECTIONS[direction]
    for row in settings.rows:
        files = inputs.of_model(row.model, embeddings=embeddings)
        of_seed, own_of_seed = [], []
        for path in files.values():
            query = inputs.read_embedding(
                path, array=_array(asks, whole_ecg=row.whole_ecg), visits=test.visits
            )
            gallery = inputs.read_embedding(
                path, array=_array(searched, whole_ecg=row.whole_ecg), visits=test.visits
            )
            found = ranking.find(
                query,
                gallery,
                phenotypes_np=test.targets,
                ks=settings.ks,
                band=settings.band,
                own=own,
            )
            of_seed.append(statistics(found, counts=counts))
            own_of_seed.append(
                _own_statistics(ranking.own_ranks(query, gallery), ks=settings.ks, counts=counts)
            )
        yield (
            row,
            Estimates(np.stack(of_seed), list(files), people),
            Estimates(np.stack(own_of_seed), list(files), people),
        )
    chance = random_statistics(
        test.targets, ks=settings.ks, band=settings.band, own=own, counts=counts
    )
    by_chance = np.array([(people + 1) / 2, *(min(k, people) / people for k in settings.ks)])
    own_by_chance = np.tile(by_chance, (len(counts), 1))
    yield (
        RANDOM,
        Estimates(chance[None], [None], people),
        Estimates(own_by_chance[None], [None], people),
    )


def _array(modality: str, *, whole_ecg: bool) -> str:
    name = inputs.used(modality) if whole_ecg else modality
    return f"{name}_projected"


def _own_statistics(ranks_n: Array, *, ks: Sequence[int], counts: Array) -> Array:
    """Return median rank of the own partner and recall at each k, (B, 1 + K).

    Recall at k is the share of queries whose own partner is among the first k candidates.
    """
    found = (ranks_n[:, None] <= np.asarray(ks)).astype(np.float64)
    return np.column_stack(
        [
            uncertainty.medians(ranks_n[:, None], counts=counts),
            uncertainty.means(found, counts=counts),
        ]
    )


def evaluate(
    settings: Retrieval,
    *,
    participants: Path,
    phenotypes: Sequence[str],
    embeddings: inputs.Files,
    seed: int,
) -> pd.DataFrame:
    """Compute Table 1 as a long table, for both directions and galleries.

    The version that is shown comes first. Within each direction and gallery, the reference is the
    first row that sees the same part of the ECG. The lines of the own partner have no phenotype.
    """
    test = inputs.read_participants(participants, split="test", phenotypes=phenotypes)
    generator = seeds.generator(seed, "bootstrap", "retrieval")
    counts = uncertainty.draw_counts(
        len(test.visits), draws=settings.bootstrap, generator=generator
    )
    statistics_of_row = [*(f"P@{k}" for k in settings.ks), "MnR", "MdR"]
    own_statistics = [summary.OWN_RANK, *(f"{summary.OWN_RECALL}{k}" for k in settings.ks)]
    names = [*phenotypes, summary.MEAN]
    views = list(product(DIRECTIONS, (settings.own_cmr, not settings.own_cmr)))
    found: list[Line] = []
    for direction, own in views:
        references: dict[bool, tuple[str, Estimates]] = {}  # by whole_ecg
        rows = _estimates(
            settings, direction=direction, own=own, embeddings=embeddings, test=test, counts=counts
        )
        for row, of_phenotypes, own_partner in rows:
            estimates = of_phenotypes.with_mean()
            reference = references.get(row.whole_ecg)
            columns = {
                "method": row.label,
                "model": row.model,
                "paper": row.paper or "",
                "direction": direction,
                "gallery": GALLERIES[own],
                "shown": (direction, own) == views[0],
                "n_test": len(test.visits),
                "seeds": estimates.num_seeds,
                "confidence": settings.confidence,
            }
            for i, statistic in enumerate(own_statistics):
                found += results.lines(
                    columns,
                    statistic,
                    own_partner.statistic(slice(i, i + 1)),
                    phenotypes=[""],
                    reference=None,
                    confidence=settings.confidence,
                )
            for i, statistic in enumerate(statistics_of_row):
                other = None
                if reference is not None:
                    other = Reference(reference[0], reference[1].statistic(i))
                found += results.lines(
                    columns,
                    statistic,
                    estimates.statistic(i),
                    phenotypes=names,
                    reference=other,
                    confidence=settings.confidence,
                )
            references.setdefault(row.whole_ecg, (row.label, estimates))
            first = statistics_of_row[0], estimates.value[-1, 0]
            log.info("%s, %s, %s: mean %s %.3f", row.label, direction, GALLERIES[own], *first)
    return results.table(found)


def main() -> None:
    """Write the retrieval table."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(
        description="Evaluate the retrieval of participants with a similar phenotype (Table 1)."
    )
    inputs.add_arguments(parser, section="retrieval")
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    args = parser.parse_args()
    table = evaluate(
        Retrieval.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=inputs.names(args.phenotypes),
        embeddings=args.embeddings,
        seed=args.seed,
    )
    results.write(table, args.out)


if __name__ == "__main__":
    stage.run(main)
