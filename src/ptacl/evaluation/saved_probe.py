"""Stage: write the linear probe of each model to probe.json in its folder.

With this file, the model can predict phenotypes. For each modality, and for whole ECGs, it
contains:

- the least-squares fit of all phenotypes on the training split,
- the performance on the test split: R² with its interval, and quantiles of the residuals, from
  which prediction intervals are made,
- the distribution of the phenotypes in the training split, and the range of plausible values,
- the mean and the precision matrix of the embeddings, which detect inputs outside the training
  distribution.

All of these are aggregates.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl import stage
from ptacl.config import Intervals
from ptacl.evaluation import inputs, probes, uncertainty

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
    train: inputs.SplitTargets,
    test: inputs.SplitTargets,
    names: Sequence[str],
    settings: Intervals,
    seed: int,
) -> dict[str, Any]:
    """Fit the probe of one embedding and return it as JSON values.

    `seen` (n, D) and `unseen` (m, D) are the features of the training and test participants.
    Phenotypes without any value in the training split are omitted.
    """
    kept = np.flatnonzero(np.isfinite(train.targets).any(axis=0)).tolist()
    probe = probes.fit(seen, train.targets[:, kept])
    targets = test.targets[:, kept]
    predicted = probe.predict(unseen)
    residuals = targets - predicted
    counts = uncertainty.shared_counts(len(targets), draws=settings.bootstrap, seed=seed)
    r2 = uncertainty.Estimates(
        probes.r2(targets, predicted, counts=counts)[None], [seed], len(targets)
    )
    outside = (1 - settings.confidence) / 2
    phenotypes = []
    for k, p in enumerate(kept):
        summary = uncertainty.summarise(r2.at(k), confidence=settings.confidence)
        phenotypes.append(
            {
                "name": names[p],
                "intercept": probe.intercepts[k],
                "r2": [summary.value, summary.low, summary.high],
                "residual": np.nanquantile(residuals[:, k], [outside, 1 - outside]).tolist(),
                "distribution": np.nanquantile(train.targets[:, p], _SHOWN).tolist(),
            }
        )
    mean, covariance = seen.mean(0), np.cov(seen.T)
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
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


def is_outside(features: Array, *, stored: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return who is outside the training distribution of a stored probe, (n,); NaN gives False."""
    mean, precision = np.array(stored["mean"]), np.array(stored["precision"])
    outside: NDArray[np.bool_] = (
        distance(features, mean=mean, precision=precision) > stored["limit"]
    )
    return outside


def distance(features: Array, *, mean: Array, precision: Array) -> Array:
    """Return the squared Mahalanobis distances (n,) of features (n, D)."""
    away = features - mean
    found: Array = np.einsum("nd,de,ne->n", away, precision, away)
    return found


def main() -> None:
    """Run the stage."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    inputs.add_arguments(parser, section="regression")
    parser.add_argument(
        "--models",
        required=True,
        type=inputs.files,
        help="probe.json to write, by model and seed, as JSON",
    )
    args = parser.parse_args()
    settings = Intervals.model_validate_json(args.settings)
    phenotypes = json.loads(args.phenotypes)
    names = phenotypes["names"]
    units = dict(zip(names, phenotypes["units"], strict=True))
    ranges = dict(zip(names, phenotypes["ranges"], strict=True))
    train = inputs.read_participants(args.participants, split="train", phenotypes=names)
    test = inputs.read_participants(args.participants, split="test", phenotypes=names)
    for model, of_seed in args.models.items():
        for seed, path in of_seed.items():
            embedding = args.embeddings[model][seed]
            probes_of_model = {}
            with np.load(embedding, allow_pickle=False) as stored:
                modalities = [name for name in ("ecg", inputs.WHOLE, "cmr") if name in stored]
                crops = int(stored["crops"]) if inputs.WHOLE in modalities else None
            for modality in modalities:
                seen = inputs.read_embedding(embedding, array=modality, visits=train.visits)
                unseen = inputs.read_embedding(embedding, array=modality, visits=test.visits)
                probe = fit(
                    seen.astype(np.float64),
                    unseen.astype(np.float64),
                    train=train,
                    test=test,
                    names=names,
                    settings=settings,
                    seed=args.seed,
                )
                for phenotype in probe["phenotypes"]:
                    phenotype["unit"] = units[phenotype["name"]]
                    phenotype["range"] = ranges[phenotype["name"]]
                if modality == inputs.WHOLE:
                    probe["crops"] = crops
                probes_of_model[modality] = probe
            path.write_text(json.dumps(probes_of_model, sort_keys=True) + "\n")
    log.info("wrote %d probes", sum(map(len, args.models.values())))


if __name__ == "__main__":
    stage.run(main)
