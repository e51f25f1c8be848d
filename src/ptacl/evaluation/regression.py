"""Evaluate linear probes of frozen embeddings (Table 2).

The result is R² of each phenotype on the test participants, with intervals and a paired test. The
probe is ordinary least squares with an intercept (Sec. 4.3). It is fitted on the training split
only, with one visit per participant; the validation split is used only to select weights. R² is 1 -
SSE / SST, with SST about the mean of the test participants, as in scikit-learn. The bootstrap
resamples test participants and does not refit the probe. If a model has several seeds, they enter
as a variance component (:mod:`ptacl.evaluation.uncertainty`).

Shapes: n participants, D embedding width, P phenotypes, B bootstrap draws, of which the first is
the sample itself.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import stage
from ptacl.config import Regression, RegressionRow
from ptacl.evaluation import inputs, results, strata, summary, uncertainty
from ptacl.evaluation.probes import predict, r2
from ptacl.evaluation.results import Line, Reference
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

log = logging.getLogger(__name__)


def evaluate(
    settings: Regression,
    *,
    participants: Path,
    phenotypes: Sequence[str],
    embeddings: inputs.Files,
    probes: inputs.Files,
    seed: int,
    measured_on: str = "test",
) -> pd.DataFrame:
    """Compute Table 2 for the rows of the settings, as a long table.

    ECG rows are also evaluated by sex and age group. Rows whose features are predicted phenotypes
    are left out, because they have nothing to predict here. `measured_on` is the split whose
    participants take the place of the test participants.
    """
    names_of_splits = {"train": "train", "test": measured_on}
    if any(row.ridge for row in settings.rows):
        names_of_splits["validation"] = "validation"
    splits = {
        role: inputs.read_participants(participants, split=name, phenotypes=phenotypes)
        for role, name in names_of_splits.items()
    }
    train, test = splits["train"], splits["test"]
    counts = uncertainty.shared_counts(len(test.visits), draws=settings.bootstrap, seed=seed)
    groups = strata.read(participants, visits=test.visits)
    names = [*phenotypes, summary.MEAN]
    rows = [row for row in settings.rows if inputs.PREDICTED not in row.features]

    def of_row(row: RegressionRow) -> tuple[list[int | None], list[Array]]:
        """Return the seeds of a row, and its predictions for the test participants by seed."""
        model_seeds = inputs.seeds_of(row.model, embeddings=embeddings)
        predictions = []
        for model_seed in model_seeds:
            predictions.append(
                predict(
                    row,
                    inputs.file_of(row.model, model_seed, files=embeddings),
                    probe=inputs.file_of(row.model, model_seed, files=probes),
                    participants=participants,
                    splits=splits,
                    names=phenotypes,
                )
            )
        return model_seeds, predictions

    def measured(predictions: Array, members: NDArray[np.bool_]) -> dict[str, Array]:
        """Return R² (B, P) of a group of test participants."""
        targets = test.targets[members]
        return {"R2": r2(targets, predictions[members], counts=counts[:, members])}

    predicted = [of_row(row) for row in rows]
    estimates = []
    for model_seeds, predictions in predicted:
        of_seed = np.stack([r2(test.targets, found, counts=counts) for found in predictions])
        estimates.append(Estimates(of_seed, model_seeds, len(test.visits)).with_mean())
    places: dict[str, int] = {}
    for i, row in enumerate(rows):
        if row.input == "ecg":
            places.setdefault(row.label, i)
    lines: list[Line] = []
    for i, row in enumerate(rows):
        columns = {
            "input": row.group,
            "method": row.label,
            "evaluation": row.evaluation,
            "model": row.model or "",
            "paper": row.paper or "",
            "note": row.note,
            "n_train": len(train.visits),
            "n_test": len(test.visits),
            "seeds": estimates[i].num_seeds,
            "confidence": settings.confidence,
        }
        compared_with = settings.reference_of(row)
        place = places[compared_with]
        of_all = list(
            results.lines(
                columns,
                "R2",
                estimates[i],
                phenotypes=names,
                reference=None if i == place else Reference(compared_with, estimates[place]),
                confidence=settings.confidence,
            )
        )
        results.adjust(of_all)
        lines += of_all
        if row.group == "ECG":
            model_seeds, predictions = predicted[i]
            for group, members in groups.items():
                in_group = strata.estimate(
                    measured, predictions, members=members, seeds=model_seeds
                )
                lines += results.lines(
                    columns | {"n_test": int(members.sum())},
                    "R2",
                    in_group["R2"].with_mean(),
                    phenotypes=names,
                    reference=None,
                    confidence=settings.confidence,
                    group=group,
                )
        log.info("%s %s: mean R2 %.3f", row.group, row.label, estimates[i].value[-1])
    return results.table(lines)


def main() -> None:
    """Write the regression table."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Evaluate linear probes of embeddings (Table 2).")
    inputs.add_arguments(parser, section="regression")
    parser.add_argument(
        "--probes",
        required=True,
        type=inputs.files,
        help="probe.json files by model and seed, as JSON",
    )
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    args = parser.parse_args()
    table = evaluate(
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=inputs.names(args.phenotypes),
        embeddings=args.embeddings,
        probes=args.probes,
        seed=args.seed,
    )
    results.write(table, args.out)


if __name__ == "__main__":
    stage.run(main)
