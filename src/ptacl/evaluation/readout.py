"""Stage: write the linear probe of each model to probe.json in its folder.

With this file, the model can predict phenotypes. For each modality it contains:

- the least-squares fit of all phenotypes on the training split,
- the performance on the test split: R² with its interval, and quantiles of the residuals, from
  which prediction intervals are made,
- the distribution of the phenotypes in the training split,
- the mean and the precision matrix of the embeddings, which detect inputs outside the training
  distribution.

All of these are aggregates.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl import seeds, stage
from ptacl.config import Regression
from ptacl.evaluation import probes, samples, uncertainty
from ptacl.evaluation.probes import r2

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

NAME = "probe.json"
_INSIDE = 0.995  # share of test participants who count as inside the training distribution
_SHOWN = np.linspace(0.01, 0.99, 99)  # quantiles to draw; the extremes would show single people
_RIDGE = 1e-6  # share of the mean variance, because embeddings can be collinear


def fit(
    seen: Array,
    unseen: Array,
    *,
    train: samples.Samples,
    test: samples.Samples,
    names: Sequence[str],
    settings: Regression,
    seed: int,
) -> dict[str, Any]:
    """Fit the probe of one embedding and return it as JSON values.

    `seen` (n, D) and `unseen` (m, D) are the features of the training and test participants.
    Phenotypes without any value in the training split are omitted.
    """
    kept = [p for p, column in enumerate(train.targets.T) if np.isfinite(column).any()]
    probe = probes.fit(seen, train.targets[:, kept])
    predicted = probe.predict(unseen)
    targets = test.targets[:, kept]
    generator = seeds.generator(seed, "bootstrap", "regression")
    counts = uncertainty.draw_counts(len(targets), draws=settings.bootstrap, generator=generator)
    estimates, residuals = r2(targets, predicted, counts=counts), targets - predicted
    outside = (1 - settings.confidence) / 2
    phenotypes = []
    for k, p in enumerate(kept):
        alone = uncertainty.Estimates(estimates[None, :, k], [seed], len(targets))
        columns = uncertainty.columns("r2", alone, confidence=settings.confidence)
        phenotypes.append(
            {
                "name": names[p],
                "intercept": probe.intercepts[k],
                "r2": [columns["r2"], columns["r2_low"], columns["r2_high"]],
                "residual": np.nanquantile(residuals[:, k], [outside, 1 - outside]).tolist(),
                "distribution": np.nanquantile(train.targets[:, p], _SHOWN).tolist(),
            }
        )
    mean, covariance = seen.mean(0), np.cov(seen.T)
    precision = np.linalg.inv(
        covariance + _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    )
    return {
        "phenotypes": phenotypes,
        "coefficients": probe.coefficients.tolist(),
        "mean": mean.tolist(),
        "precision": precision.tolist(),
        "limit": float(np.quantile(distance(unseen, mean=mean, precision=precision), _INSIDE)),
        "confidence": settings.confidence,
        "n_train": len(train.visits),
        "n_test": len(test.visits),
    }


def distance(features: Array, *, mean: Array, precision: Array) -> Array:
    """Return the squared Mahalanobis distances (n,) of features (n, D)."""
    away = features - mean
    found: Array = np.einsum("nd,de,ne->n", away, precision, away)
    return found


def main() -> None:
    """Run the stage."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings", required=True, help="section regression of the configuration, as JSON"
    )
    parser.add_argument(
        "--phenotypes", required=True, help="names and units of the phenotypes, as JSON"
    )
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument(
        "--embeddings",
        required=True,
        type=samples.files,
        help="embedding files (.npz) by model and seed, as JSON",
    )
    parser.add_argument(
        "--models",
        required=True,
        type=samples.files,
        help="probe.json to write, by model and seed, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")
    args = parser.parse_args()
    settings, phenotypes = (
        Regression.model_validate_json(args.settings),
        json.loads(args.phenotypes),
    )
    names, units = (
        phenotypes["names"],
        dict(zip(phenotypes["names"], phenotypes["units"], strict=True)),
    )
    train, test = (
        samples.read_participants(args.participants, split=s, phenotypes=names)
        for s in ("train", "test")
    )
    for model, of_seed in args.models.items():
        for seed, path in of_seed.items():
            source = args.embeddings[model][seed]
            found = {}
            with np.load(source, allow_pickle=False) as stored:
                modalities = [m for m in ("ecg", "cmr") if m in stored]
            for modality in modalities:
                seen, unseen = (
                    samples.read_embedding(source, array=modality, visits=s.visits).astype(
                        np.float64
                    )
                    for s in (train, test)
                )
                found[modality] = fit(
                    seen,
                    unseen,
                    train=train,
                    test=test,
                    names=names,
                    settings=settings,
                    seed=args.seed,
                )
                for phenotype in found[modality]["phenotypes"]:
                    phenotype["unit"] = units[phenotype["name"]]
            path.write_text(json.dumps(found, sort_keys=True) + "\n")
    log.info("wrote %d probes", sum(map(len, args.models.values())))


if __name__ == "__main__":
    stage.run(main)
