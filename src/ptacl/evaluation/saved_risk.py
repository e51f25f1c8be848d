"""Stage: write the models of diseases of each trained model to risk.json in its folder.

With this file, the model can predict diseases. For each modality, and for whole ECGs, it contains a
linear model of each disease before and after the visit that has enough cases
(:mod:`ptacl.disease.risk`), and its performance on the test split. All of these are aggregates.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptacl import config, files, stage
from ptacl.disease import risk
from ptacl.disease.risk import RiskModel
from ptacl.evaluation import inputs, outcome_statistics, outcome_targets, uncertainty
from ptacl.evaluation.outcome_targets import Target

Array = NDArray[np.float64]

NAME = "risk.json"

log = logging.getLogger(__name__)


def fit(
    features: Mapping[str, Array],
    target: Target,
    *,
    settings: config.Outcomes,
    intervals: config.Intervals,
    counts: Array,
    seed: int,
) -> dict[str, Any]:
    """Fit the model of one disease and return it as JSON values.

    `features` (n, D) are those of the three splits, and `counts` those of the test participants.
    """
    horizon, members, outcomes = settings.horizon_years, target.members, target.outcomes
    unseen = features["validation"][members["validation"]], outcomes["validation"]
    model, _ = risk.choose(
        features["train"][members["train"]], outcomes["train"], validation=unseen
    )
    scores = model.score(features["test"][members["test"]])
    of_test = outcome_statistics.of_scores(
        scores, outcomes["test"], horizon=horizon, counts=counts[:, members["test"]]
    )
    measured = {}
    for name, values in of_test.items():
        estimates = uncertainty.Estimates(values[None], [seed], target.num("test"))
        summary = uncertainty.summarise(estimates, confidence=intervals.confidence)
        measured[name] = [summary.value, summary.low, summary.high]
    return {
        "disease": target.disease,
        "when": target.when,
        "years": horizon if target.when == "after" else None,
        "coefficients": model.coefficients.tolist(),
        "intercept": model.intercept,
        "test": measured,
    }


def read(folder: Path, *, digest: str) -> dict[str, list[dict[str, Any]]]:
    """Return the stored models by modality.

    There are none if the file is missing, or if it belongs to other weights than those of the
    digest (:func:`ptacl.models.weights.digest`): it is not written again without diseases.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return dict(stored["diseases"]) if stored.get("weights") == digest else {}


def model_of(stored: Mapping[str, Any]) -> RiskModel:
    """Return a stored model."""
    return RiskModel(np.array(stored["coefficients"]), float(stored["intercept"]))


def probabilities(stored: Mapping[str, Any], features_nd: Array) -> Array:
    """Return the risks (n,) of a stored model: at the visit, or within its years after it."""
    score = model_of(stored).score(features_nd)
    if stored["when"] == "before":
        return risk.probability(score)
    return risk.risk(score, years=float(stored["years"]))


def of_embedding(
    embedding: Path,
    splits: Mapping[str, inputs.SplitTargets],
    targets: Sequence[Target],
    *,
    settings: config.Outcomes,
    intervals: config.Intervals,
    counts: Array,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    """Return the models of the diseases by modality, for one file of embeddings."""
    with np.load(embedding, allow_pickle=False) as stored:
        modalities = [name for name in ("ecg", inputs.WHOLE, "cmr") if name in stored]
    found: dict[str, list[dict[str, Any]]] = {}
    for modality in modalities:
        features = {}
        for name, split in splits.items():
            values = inputs.read_embedding(embedding, array=modality, visits=split.visits)
            features[name] = values.astype(np.float64)
        found[modality] = []
        for target in targets:
            found[modality].append(
                fit(
                    features,
                    target,
                    settings=settings,
                    intervals=intervals,
                    counts=counts,
                    seed=seed,
                )
            )
    return found


def main() -> None:
    """Run the stage."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    inputs.add_arguments(parser, section="regression")
    outcome_targets.add_arguments(parser)
    parser.add_argument(
        "--models",
        required=True,
        type=inputs.files,
        help="risk.json to write, by model and seed, as JSON",
    )
    args = parser.parse_args()
    settings = config.Outcomes.model_validate_json(args.outcome_settings)
    intervals = config.Intervals.model_validate_json(args.settings)
    splits = inputs.read_splits(args.participants)
    targets = outcome_targets.read(args.outcomes, settings=settings, splits=splits)
    evaluable = [target for target in targets if target.is_evaluable(settings.least_events)]
    counts = uncertainty.shared_counts(
        len(splits["test"].visits), draws=intervals.bootstrap, seed=args.seed
    )
    for model, of_seed in args.models.items():
        for model_seed, path in of_seed.items():
            found = of_embedding(
                args.embeddings[model][model_seed],
                splits,
                evaluable,
                settings=settings,
                intervals=intervals,
                counts=counts,
                seed=model_seed,
            )
            stored = {"weights": files.digest(path.parent / files.WEIGHTS), "diseases": found}
            path.write_text(json.dumps(stored, sort_keys=True) + "\n")
    log.info("wrote models of %d diseases", len(evaluable))


if __name__ == "__main__":
    stage.run(main)
