"""Retrieval, probes and risks of diseases at the size of the paper's cohort, and retrieval at five
times that size.
"""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from common import Row, in_turns, rate, seconds
from lifelines import CoxPHFitter
from sklearn.linear_model import LinearRegression

from ptacl.disease import discrimination, risk
from ptacl.evaluation import probes, ranking, retrieval, uncertainty

TEST, TRAIN, LARGE, WIDTH, PHENOTYPES, KS, DRAWS = (
    5991,
    27951,
    30000,
    128,
    10,
    (1, 3, 5, 10, 15),
    1000,
)


def people(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings of both modalities with a shared part, and phenotypes that depend on it."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(count, WIDTH)).astype(np.float32)
    ecg, cmr = (shared + rng.normal(size=shared.shape).astype(np.float32) for _ in range(2))
    return ecg, cmr, shared[:, :PHENOTYPES] + rng.normal(size=(count, PHENOTYPES))


def full_ranking(ecg: np.ndarray, cmr: np.ndarray, phenotypes: np.ndarray) -> None:
    """Sort the whole gallery for every query, then look up the matches: the straightforward way."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ecg, cmr)]
    scores = unit[0] @ unit[1].T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1)[:, :-1]
    for values in phenotypes.T:
        match = np.abs(values[order] - values[:, None]) <= 0.5 * values.std()
        [match[:, :k].mean(1) for k in KS]
        match.argmax(1)


def find(ecg: np.ndarray, cmr: np.ndarray, phenotypes: np.ndarray) -> ranking.Found:
    return ranking.find(ecg, cmr, phenotypes_np=phenotypes, ks=KS, band=0.5, own=False)


class Peak:
    """Peak resident memory while the body runs, in GiB above that at its start."""

    def __enter__(self) -> "Peak":
        self.start, self.most, self.ended = self._now(), 0.0, False
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _now(self) -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**30

    def _watch(self) -> None:
        while not self.ended:
            self.most = max(self.most, self._now() - self.start)
            time.sleep(0.01)

    def __exit__(self, *error: object) -> None:
        self.ended = True
        self.thread.join()


def table(ecg: np.ndarray, cmr: np.ndarray, phenotypes: np.ndarray, counts: np.ndarray) -> None:
    """Compute ranks, statistics and intervals of one model, direction and gallery."""
    retrieval.statistics(find(ecg, cmr, phenotypes), counts=counts)
    retrieval._own_statistics(ranking.own_ranks(ecg, cmr), ks=KS, counts=counts)


def of_diseases() -> Iterator[Row]:
    """Yield the fit of a hazard, and Uno's C with its draws."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(TRAIN, WIDTH))
    onset = rng.exponential(np.exp(-0.5 * features[:, 0]) / 0.01)
    end = rng.uniform(1, 8, TRAIN)
    outcome = risk.After(np.minimum(onset, end), (onset <= end).astype(float))
    table = pd.DataFrame(features).assign(years=outcome.years, event=outcome.event)
    yield rate(
        f"hazard of a disease, {TRAIN:,} x {WIDTH}, compared with Cox regression of lifelines",
        1,
        "fits/s",
        in_turns(
            lambda: risk.fit(features, outcome, strength=0.1),
            lambda: CoxPHFitter(penalizer=0.01).fit(table, "years", "event"),
            rounds=2,
            warm=0,
        ),
        5,
    )
    counts = uncertainty.draw_counts(TEST, draws=DRAWS, generator=rng)
    known = (features[:TEST, 0], outcome.years[:TEST], outcome.event[:TEST])
    needed = seconds(lambda: discrimination.uno(*known, horizon=5.0, counts=counts))
    yield Row(f"Uno's C of {TEST:,} people with {DRAWS:,} draws", needed, None, "s", None)


def rows(rounds: int) -> Iterator[Row]:
    few = people(TEST)
    yield rate(
        f"retrieval, {TEST:,} queries, ten phenotypes",
        TEST,
        "queries/s",
        in_turns(lambda: find(*few), lambda: full_ranking(*few), rounds=max(rounds // 2, 2)),
        4,
    )
    counts = uncertainty.draw_counts(TEST, draws=DRAWS, generator=np.random.default_rng(0))
    with Peak() as peak:
        needed = seconds(lambda: table(*few, counts))
    yield Row(
        f"the same with {DRAWS:,} draws and the own partner, limit 20", needed, None, "s", None
    )
    yield Row("memory of it, limit 1", peak.most, None, "GiB", None)
    many = people(LARGE)
    needed = seconds(lambda: find(*many))
    yield Row(f"retrieval, {LARGE:,} queries", needed, None, "s", None)
    yield Row(
        "retrieval, 100,000 queries, from the square of the number",
        needed * (100_000 / LARGE) ** 2,
        None,
        "s",
        None,
    )

    yield from of_diseases()
    rng = np.random.default_rng(0)
    features, unseen = rng.normal(size=(TRAIN, 512)), rng.normal(size=(TEST, 512))
    targets = features[:, :PHENOTYPES] + rng.normal(size=(TRAIN, PHENOTYPES))
    yield rate(
        f"linear probe, {TRAIN:,} x 512, ten phenotypes",
        1,
        "tables/s",
        in_turns(
            lambda: probes.fit(features, targets).predict(unseen),
            lambda: [LinearRegression().fit(features, y).predict(unseen) for y in targets.T],
            rounds=2,
            warm=0,
        ),
        8,
    )
