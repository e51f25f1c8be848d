"""Fit linear probes, predict phenotypes with them, and compute R².

Shapes: n participants, D features, P phenotypes, B bootstrap draws, of which the first is the
sample itself.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from ptacl.config import EMBEDDINGS, RegressionRow
from ptacl.evaluation import feature_table, inputs

Array = NDArray[np.float64]
STRENGTHS = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4)  # of ridge regression

log = logging.getLogger(__name__)


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
    num_phenotypes = targets_np.shape[1]
    found = Probe(np.empty((features_nd.shape[1], num_phenotypes)), np.empty(num_phenotypes))
    for rows, targets in _known_together(targets_np):
        fitted = LinearRegression().fit(features_nd[rows], targets_np[rows][:, targets])
        found.coefficients[:, targets] = fitted.coef_.T
        found.intercepts[targets] = fitted.intercept_
    return found


def _known_together(targets_np: Array) -> list[tuple[NDArray[np.bool_], list[int]]]:
    """Return the participants (n,) of each set of phenotypes that are known in the same ones."""
    known = np.isfinite(targets_np)
    if not known.any(axis=0).all():
        raise ValueError(
            "a phenotype has no value in the training split: remove it from cohort.phenotypes"
        )
    alike: dict[bytes, list[int]] = {}
    for target, rows in enumerate(known.T):
        alike.setdefault(rows.tobytes(), []).append(target)
    return [(known[:, targets[0]], targets) for targets in alike.values()]


def fit_ridge(
    features_nd: Array, targets_np: Array, *, validation: tuple[Array, Array]
) -> tuple[Probe, float]:
    """Fit ridge regression on standardised features, and return the strength too.

    The strength has the highest mean R² over phenotypes for the features and targets of the
    validation participants. They are not used for the fit. One eigendecomposition serves all
    strengths.
    """
    scaler = StandardScaler().fit(features_nd)
    num_features, num_phenotypes = features_nd.shape[1], targets_np.shape[1]
    fitted = []
    for _ in STRENGTHS:
        fitted.append(Probe(np.empty((num_features, num_phenotypes)), np.empty(num_phenotypes)))
    for rows, targets in _known_together(targets_np):
        x, y = scaler.transform(features_nd[rows]), targets_np[rows][:, targets]
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x -= mean_x
        values, vectors = np.linalg.eigh(x.T @ x)
        along = vectors.T @ (x.T @ (y - mean_y))
        for probe, strength in zip(fitted, STRENGTHS, strict=True):
            scaled = vectors @ (along / (values.clip(min=0) + strength)[:, None])
            probe.intercepts[targets] = mean_y - mean_x @ scaled
            probe.coefficients[:, targets] = scaled
    unseen, unseen_targets = scaler.transform(validation[0]), validation[1]
    counts = np.ones((1, len(unseen_targets)))
    scores = []
    for probe in fitted:
        scores.append(np.nanmean(r2(unseen_targets, probe.predict(unseen), counts=counts)))
    place = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
    coefficients = fitted[place].coefficients / scaler.scale_[:, None]
    intercepts = fitted[place].intercepts - scaler.mean_ @ coefficients
    return Probe(coefficients, intercepts), STRENGTHS[place]


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
    splits: Mapping[str, inputs.SplitTargets],
    names: Sequence[str],
) -> Array:
    """Return predicted phenotypes (n, P) of the test participants.

    They come from the model's own prediction head, from the saved probe of an embedding, or from a
    linear probe of the row's features that is fitted here. `splits` holds the participants of
    "train", "validation" (for ridge regression) and "test".
    """
    train, test = splits["train"], splits["test"]
    if row.predictions is not None:
        assert embedding is not None
        return _of_head(embedding, row.predictions, test=test, names=names)
    if len(row.features) == 1 and probe is not None and not row.ridge:
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
    wanted = [train, splits["validation"], test] if row.ridge else [train, test]
    seen, *others = features(row, embedding, participants=participants, splits=wanted)
    if not row.ridge:
        return fit(seen, train.targets).predict(others[-1])
    fitted, strength = fit_ridge(
        seen, train.targets, validation=(others[0], splits["validation"].targets)
    )
    log.info("%s: ridge regression of strength %g", row.label, strength)
    return fitted.predict(others[-1])


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


def features(
    row: RegressionRow,
    embedding: Path | None,
    *,
    participants: Path,
    splits: Sequence[inputs.SplitTargets],
    probe: Path | None = None,
) -> list[Array]:
    """Return the features of the participants of each split, of which the first is for training.

    `probe` is the saved probe of the row's model, for predicted phenotypes.
    """
    visits = list(chain.from_iterable(split.visits for split in splits))
    parts: list[Array] = []
    covariates = []
    for feature in row.features:
        if feature == "table":
            assert row.table is not None
            found, lacking = feature_table.read(
                Path(row.table), label=row.label, train=splits[0].visits, visits=visits
            )
            if lacking:
                log.warning("%s: %.2f %% of the visits have no features", row.label, 100 * lacking)
            parts.append(found)
        elif feature == inputs.PREDICTED:
            assert embedding is not None and probe is not None
            whole = inputs.read_embedding(embedding, array=inputs.WHOLE, visits=visits)
            saved, _ = read(probe, modality=inputs.WHOLE)
            parts.append(saved.predict(whole.astype(np.float64)))
        elif feature in EMBEDDINGS and embedding is not None:
            values = inputs.read_embedding(embedding, array=feature, visits=visits)
            parts.append(values.astype(np.float64))
        else:
            covariates.append(feature)
    if covariates:
        parts.append(
            inputs.read_covariates(
                participants, names=covariates, train=splits[0].visits, visits=visits
            )
        )
    ends = np.cumsum([len(split.visits) for split in splits])[:-1]
    return np.split(np.concatenate(parts, axis=1), ends)


def covariates_first(
    row: RegressionRow,
    embedding: Path | None,
    *,
    probe: Path | None,
    participants: Path,
    splits: Sequence[inputs.SplitTargets],
) -> tuple[int, list[Array]]:
    """Return the features of each split, and the number of covariates, which come first."""
    named = [name for name in row.features if name in inputs.COVARIATES]
    others = [name for name in row.features if name not in inputs.COVARIATES]
    known = inputs.known_columns(participants, named, visits=splits[0].visits)
    covariates = known if others else named  # without any, the error names them
    parts: list[list[Array]] = []
    for names in (covariates, others):
        if names:
            of_names = row.model_copy(update={"features": names})
            parts.append(
                features(of_names, embedding, participants=participants, splits=splits, probe=probe)
            )
    free = parts[0][0].shape[1] if covariates else 0
    return free, [np.concatenate(of_split, axis=1) for of_split in zip(*parts, strict=True)]
