"""Fit linear probes, predict phenotypes with them, and compute R².

Shapes: n participants, D features, P phenotypes, B bootstrap draws, of which the first is the
sample itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from ptacl.config import RegressionRow
from ptacl.evaluation import inputs

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


def read(path: Path, *, modality: str) -> tuple[Probe, list[str]]:
    """Read the probe of a modality from probe.json, and the names of its phenotypes.

    Raises ValueError if the file has no probe of this modality.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    if modality not in stored:
        raise ValueError(f"{path} has no probe of {modality}: run the probe stage again")
    return of_json(stored[modality])


def of_json(stored: Mapping[str, Any]) -> tuple[Probe, list[str]]:
    """Return a stored probe, and the names of its phenotypes."""
    phenotypes = stored["phenotypes"]
    intercepts = np.array([phenotype["intercept"] for phenotype in phenotypes])
    names = [str(phenotype["name"]) for phenotype in phenotypes]
    return Probe(np.array(stored["coefficients"]), intercepts), names


def predict(
    row: RegressionRow,
    embedding: Path | None,
    *,
    probe: Path | None,
    participants: Path,
    train: inputs.SplitTargets,
    test: inputs.SplitTargets,
    names: Sequence[str],
) -> Array:
    """Return predicted phenotypes (n, P) of the test participants.

    They come from the model's own prediction head, from the saved probe of an embedding, or from a
    linear probe of the row's features that is fitted here.
    """
    if row.predictions is not None:
        assert embedding is not None
        return _of_head(embedding, row.predictions, test=test, names=names)
    if len(row.features) == 1 and probe is not None:
        (modality,) = row.features
        saved, known = read(probe, modality=modality)
        if lacking := [name for name in names if name not in known]:
            raise ValueError(
                f"{', '.join(lacking)}: a phenotype has no value in the training split: remove it "
                "from cohort.phenotypes"
            )
        assert embedding is not None
        unseen = inputs.read_embedding(embedding, array=modality, visits=test.visits)
        return saved.predict(unseen.astype(np.float64))[:, [known.index(name) for name in names]]
    seen, unseen_features = _features(
        row, embedding, participants=participants, train=train, test=test
    )
    return fit(seen, train.targets).predict(unseen_features)


def _of_head(
    embedding: Path, modality: str, *, test: inputs.SplitTargets, names: Sequence[str]
) -> Array:
    """Return the predictions (n, P) of a supervised model."""
    with np.load(embedding, allow_pickle=False) as stored:
        array = f"{modality}_phenotypes"
        known = stored[array].tolist() if array in stored else []
    if lacking := [name for name in names if name not in known]:
        raise ValueError(f"{embedding} predicts no {', '.join(lacking)}: train the model again")
    found = inputs.read_embedding(embedding, array=f"{modality}_predicted", visits=test.visits)
    return found[:, [known.index(name) for name in names]].astype(np.float64)


def _features(
    row: RegressionRow,
    embedding: Path | None,
    *,
    participants: Path,
    train: inputs.SplitTargets,
    test: inputs.SplitTargets,
) -> tuple[Array, Array]:
    """Return the features of the training participants and of the test participants."""
    visits = train.visits + test.visits
    parts: list[Array] = []
    covariates = []
    for feature in row.features:
        if feature in ("ecg", inputs.WHOLE, "cmr") and embedding is not None:
            values = inputs.read_embedding(embedding, array=feature, visits=visits)
            parts.append(values.astype(np.float64))
        else:
            covariates.append(feature)
    if covariates:
        parts.append(
            inputs.read_covariates(
                participants, names=covariates, train=train.visits, visits=visits
            )
        )
    seen, unseen = np.split(np.concatenate(parts, axis=1), [len(train.visits)])
    return seen, unseen
