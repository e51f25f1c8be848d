"""Rank matching candidates without sorting the whole gallery.

Most queries find their matches among the first few dozen candidates. These candidates are selected
for one block of queries at a time, so memory is O(block x gallery). If the first match comes later,
its rank is found by counting the scores above the best match. Precision at k follows from the first
candidates that have a value. Ties keep the order of the gallery, except in the count, which puts
the match first.

Shapes: n participants (query i and candidate i belong to the same participant), b queries of a
block, c candidates, P phenotypes, K values of k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptacl.evaluation.cosine import unit

Array = NDArray[np.float64]

_BLOCK = 512
_CANDIDATES = 64


@dataclass(frozen=True)
class Found:
    """Precision (n, P, K) and rank of the first match (n, P), counted from 1, of each query.

    Both are NaN if the participant has no value. The precision is also NaN if the gallery is
    smaller than k, and the rank if no candidate matches.
    """

    precision: Array
    first: Array


def half_widths(phenotypes_np: Array, *, band: float) -> Array:
    """Return the largest difference (P,) at which a candidate matches.

    It is `band` standard deviations over the participants with a value.
    """
    width: Array = band * np.nanstd(phenotypes_np, axis=0)
    return width


def count_matches(phenotypes_np: Array, *, half_width: Array, own: bool) -> tuple[Array, Array]:
    """Return the numbers of matches (n, P) and the gallery sizes (n, P) of each query.

    Both are NaN for a participant without a value.
    """
    matches, sizes = np.full((2, *phenotypes_np.shape), np.nan)
    for p, values in enumerate(phenotypes_np.T):
        known = np.isfinite(values)
        ordered = np.sort(values[known])
        lowest, highest = values[known] - half_width[p], values[known] + half_width[p]
        inside = np.searchsorted(ordered, highest, side="right") - np.searchsorted(
            ordered, lowest, side="left"
        )
        matches[known, p], sizes[known, p] = inside - (not own), known.sum() - (not own)
    return matches, sizes


def find(
    query_nd: NDArray[np.float32],
    gallery_nd: NDArray[np.float32],
    *,
    phenotypes_np: Array,
    ks: Sequence[int],
    band: float,
    own: bool,
) -> Found:
    """Rank the gallery by cosine similarity for every query.

    With `own`, a query's own candidate stays in its gallery. The cost is one matrix product and one
    partial selection; memory is O(block x n). Raises ValueError with fewer than two participants.
    """
    query, gallery = unit(query_nd), unit(gallery_nd)
    n, num_phenotypes = phenotypes_np.shape
    if n < 2:
        raise ValueError("retrieval needs at least two test participants: the cohort is too small")
    half_width = half_widths(phenotypes_np, band=band)
    precision, first = (
        np.full((n, num_phenotypes, len(ks)), np.nan),
        np.full((n, num_phenotypes), np.nan),
    )
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        scores = query[rows] @ gallery.T
        if not own:
            scores[rows - start, rows] = -np.inf
        nearest = _nearest(scores, num=min(_CANDIDATES + max(ks), n - (not own)))
        for p in range(num_phenotypes):
            precision[rows, p], first[rows, p] = _of_phenotype(
                phenotypes_np[:, p],
                rows=rows,
                scores=scores,
                nearest=nearest,
                half_width=half_width[p],
                ks=ks,
            )
    _, sizes = count_matches(phenotypes_np, half_width=half_width, own=own)
    precision[~(sizes[..., None] >= np.asarray(ks))] = np.nan
    first[np.isnan(sizes)] = np.nan
    return Found(precision, first)


def own_ranks(query_nd: NDArray[np.float32], gallery_nd: NDArray[np.float32]) -> Array:
    """Return the rank (n,) of each query's own candidate in the whole gallery, counted from 1.

    Candidates with an equal score rank after it.
    """
    query, gallery = unit(query_nd), unit(gallery_nd)
    ranks = np.empty(len(query))
    for start in range(0, len(query), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(query)))
        scores = query[rows] @ gallery.T
        ranks[rows] = 1 + (scores > scores[rows - start, rows][:, None]).sum(axis=1)
    return ranks


def _nearest(scores_bn: NDArray[np.float32], *, num: int) -> NDArray[np.intp]:
    """Return the candidates (b, num) with the highest scores, best first."""
    chosen = (
        np.argpartition(scores_bn, -num, axis=1)[:, -num:]
        if num < scores_bn.shape[1]
        else np.argsort(scores_bn, axis=1)
    )
    chosen = np.sort(chosen, axis=1)  # gallery order, which the stable sort keeps for ties
    order = np.argsort(-np.take_along_axis(scores_bn, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def _of_phenotype(
    values_n: Array,
    *,
    rows: NDArray[np.intp],
    scores: NDArray[np.float32],
    nearest: NDArray[np.intp],
    half_width: float,
    ks: Sequence[int],
) -> tuple[Array, Array]:
    """Return precision (b, K) and first rank (b,) of a block of queries for one phenotype.

    The results of queries without a value are meaningless; the caller overwrites them.
    """
    known = np.isfinite(values_n)
    candidates = np.where(known[nearest], values_n[nearest], np.nan)
    match_bc = np.abs(candidates - values_n[rows, None]) <= half_width
    place_bc = np.cumsum(known[nearest], axis=1)  # rank among candidates with a value
    precision = np.column_stack([(match_bc & (place_bc <= k)).sum(axis=1) / k for k in ks])
    first = np.where(
        match_bc.any(axis=1), place_bc[np.arange(len(rows)), match_bc.argmax(axis=1)], np.nan
    )

    complete = nearest.shape[1] == np.isfinite(scores[0]).sum()  # `nearest` holds the whole gallery
    if not complete:
        # These queries have too few candidates with a value in `nearest`, so sort their galleries.
        for i in np.flatnonzero(known[rows] & (place_bc[:, -1] < max(ks))):
            order = np.argsort(-scores[i], kind="stable")
            order = order[known[order] & np.isfinite(scores[i, order])]
            hits = np.abs(values_n[order] - values_n[rows[i]]) <= half_width
            precision[i] = [hits[:k].sum() / k for k in ks]
        deep = np.flatnonzero(known[rows] & np.isnan(first))
        first[deep] = _rank_by_count(
            values_n, rows=rows[deep], scores=scores[deep], half_width=half_width
        )
    return precision, first


def _rank_by_count(
    values_n: Array, *, rows: NDArray[np.intp], scores: NDArray[np.float32], half_width: float
) -> Array:
    """Return the exact rank (b,) of the first match.

    It is one more than the number of candidates with a value that score above the best match.
    """
    known = np.isfinite(values_n)
    match_bn = (np.abs(values_n - values_n[rows, None]) <= half_width) & np.isfinite(scores)
    best = np.where(match_bn, scores, -np.inf).max(axis=1, initial=-np.inf)
    above = ((scores > best[:, None]) & known).sum(axis=1)
    return np.where(np.isfinite(best), above + 1.0, np.nan)
