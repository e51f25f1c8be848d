"""Fit linear probes, predict phenotypes with them, and compute R².

Shapes: n participants, D features, P phenotypes, B bootstrap draws, of which the first is the
sample itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from ptacl.config import RegressionRow
from ptacl.evaluation import samples

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """Linear probes of several phenotypes.

    Parameters
    ----------
    coefficients : (D, P), in units of the phenotypes per unit of the features.
    intercepts : (P,), in units of the phenotypes.
    """

    coefficients: Array
    intercepts: Array

    def predict(self, features_nd: Array) -> Array:
        """Predict phenotypes (n, P) from features (n, D)."""
        found: Array = features_nd @ self.coefficients + self.intercepts
        return found


def fit(features_nd: Array, targets_np: Array) -> Probe:
    """Fit ordinary least squares with an intercept (Sec. 4.3).

    Phenotypes that are missing in the same participants share one fit. Collinear features get the
    solution of least norm.

    Raises
    ------
    ValueError
        A phenotype has no training value.
    """
    known = np.isfinite(targets_np)
    if not known.any(axis=0).all():
        raise ValueError(
            "a phenotype has no value in the training split: remove it from cohort.phenotypes"
        )
    num_phenotypes = targets_np.shape[1]
    found = Probe(np.empty((features_nd.shape[1], num_phenotypes)), np.empty(num_phenotypes))
    alike: dict[bytes, list[int]] = {}
    for target, rows in enumerate(known.T):
        alike.setdefault(rows.tobytes(), []).append(target)
    for targets in alike.values():
        rows = known[:, targets[0]]
        fitted = LinearRegression().fit(features_nd[rows], targets_np[rows][:, targets])
        found.coefficients[:, targets] = fitted.coef_.T
        found.intercepts[targets] = fitted.intercept_
    return found


def r2(targets_np: Array, predictions_np: Array, *, counts: Array) -> Array:
    """Return the coefficients of determination (B, P) under counts (B, n).

    Missing targets are ignored. A draw in which the targets are constant gives NaN.
    """
    known = np.isfinite(targets_np)
    # Centring avoids cancellation in `spread`.
    centred = np.where(known, targets_np - np.nanmean(targets_np, axis=0), 0.0)
    squared_error = np.where(known, (targets_np - predictions_np) ** 2, 0.0)
    total, first, second = counts @ known.astype(np.float64), counts @ centred, counts @ centred**2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = second - first**2 / total
        return np.where(spread > 1e-12 * second, 1 - (counts @ squared_error) / spread, np.nan)


def predict(
    row: RegressionRow,
    embedding: Path | None,
    *,
    participants: Path,
    train: samples.Samples,
    test: samples.Samples,
    names: Sequence[str],
) -> Array:
    """Return predicted phenotypes (n, P) of the test participants.

    They come from a linear probe of the row's features, or from the model's own prediction head.
    """
    if row.predictions is None:
        seen, unseen = _features(row, embedding, participants=participants, train=train, test=test)
        return fit(seen, train.targets).predict(unseen)
    assert embedding is not None
    with np.load(embedding, allow_pickle=False) as stored:
        known = (
            stored[f"{row.predictions}_phenotypes"].tolist()
            if f"{row.predictions}_phenotypes" in stored
            else []
        )
    if lacking := [name for name in names if name not in known]:
        raise ValueError(f"{embedding} predicts no {', '.join(lacking)}: train the model again")
    found = samples.read_embedding(
        embedding, array=f"{row.predictions}_predicted", visits=test.visits
    )
    return found[:, [known.index(name) for name in names]].astype(np.float64)


def _features(
    row: RegressionRow,
    embedding: Path | None,
    *,
    participants: Path,
    train: samples.Samples,
    test: samples.Samples,
) -> tuple[Array, Array]:
    """Return the features of the training participants and of the test participants."""
    visits, parts = train.visits + test.visits, []
    if embedding is not None:
        arrays = [f for f in row.features if f in ("ecg", "cmr")]
        parts = [
            samples.read_embedding(embedding, array=f, visits=visits).astype(np.float64)
            for f in arrays
        ]
    if covariates := [f for f in row.features if f not in ("ecg", "cmr")]:
        parts.append(
            samples.read_covariates(
                participants, names=covariates, train=train.visits, visits=visits
            )
        )
    seen, unseen = np.split(np.concatenate(parts, axis=1), [len(train.visits)])
    return seen, unseen
