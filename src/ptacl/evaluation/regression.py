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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import seeds, stage
from ptacl.config import Regression
from ptacl.evaluation import samples, strata, uncertainty
from ptacl.evaluation.probes import predict, r2
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

log = logging.getLogger(__name__)


def tabulate(
    estimates: Sequence[Estimates],
    *,
    rows: Sequence[Mapping[str, object]],
    reference: int,
    phenotypes: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Make a table with one row per method.

    A row contains R² of each phenotype and of their mean, with intervals and differences from the
    reference row. For a phenotype x, `x_p` is the p value of the difference, `x_p_holm` the same
    adjusted for all phenotypes of the row (Holm 1979), and `x_seed_sd` the standard deviation over
    seeds, which is empty for a single seed.
    """
    table = []
    with_mean = [estimate.with_mean() for estimate in estimates]
    for i, (row, estimate) in enumerate(zip(rows, with_mean, strict=True)):
        numbers: dict[str, object] = dict(row)
        for p, name in enumerate([*phenotypes, "mean"]):
            other = None if i == reference else with_mean[reference].at(p)
            numbers |= uncertainty.columns(f"{name}_R2", estimate.at(p), confidence=confidence)
            numbers |= uncertainty.paired_columns(
                name, estimate.at(p), reference=other, confidence=confidence
            )
        spread = _spread(estimate.values[:, 0])
        adjusted = uncertainty.holm([float(numbers[f"{name}_p"]) for name in phenotypes])  # type: ignore[arg-type]
        numbers |= {
            f"{name}_p_holm": value for name, value in zip(phenotypes, adjusted, strict=True)
        }
        numbers |= {f"{name}_seed_sd": spread[p] for p, name in enumerate(phenotypes)}
        table.append(numbers)
    return pd.DataFrame(table)


def _spread(values_SP: Array) -> list[float]:
    """Return the standard deviations (P,) over seeds, NaN for a single seed."""
    if len(values_SP) < 2:
        return [float("nan")] * values_SP.shape[1]
    found: list[float] = values_SP.std(axis=0, ddof=1).tolist()
    return found


def by_seed(
    estimates: Sequence[Estimates],
    *,
    rows: Sequence[Mapping[str, object]],
    reference: int,
    phenotypes: Sequence[str],
) -> pd.DataFrame:
    """Make a table with R² of the sample, one row per method, seed and phenotype.

    It includes the difference from the reference row with the same seed.
    """
    table = []
    names = [*phenotypes, "mean"]
    for i, (row, estimate) in enumerate(zip(rows, estimates, strict=True)):
        fixed = {key: row[key] for key in ("input", "method", "evaluation", "model")}
        other = None if i == reference else estimates[reference].with_mean()
        for seed, values, differences in estimate.with_mean().by_seed(other):
            for p, name in enumerate(names):
                numbers = {
                    "seed": seed,
                    "phenotype": name,
                    "R2": values[p],
                    "difference": differences[p],
                }
                table.append(fixed | numbers)
    return pd.DataFrame(table).astype({"seed": "Int64"})


@dataclass(frozen=True)
class Tables:
    """Table 2, its ECG rows by sex and age, and its values by seed."""

    regression: pd.DataFrame
    strata: pd.DataFrame
    seeds: pd.DataFrame


def evaluate(
    settings: Regression,
    *,
    participants: Path,
    phenotypes: Sequence[str],
    embeddings: samples.Files,
    seed: int,
) -> Tables:
    """Compute Table 2 for the rows of the settings.

    Raises ValueError if the reference is not the label of an ECG row.
    """
    reference = [
        i
        for i, row in enumerate(settings.rows)
        if row.label == settings.reference and row.input == "ecg"
    ]
    if not reference:
        raise ValueError(
            f"regression.reference {settings.reference} is not the label of an ECG row of "
            "regression.rows"
        )
    train = samples.read_participants(participants, split="train", phenotypes=phenotypes)
    test = samples.read_participants(participants, split="test", phenotypes=phenotypes)
    generator = seeds.generator(seed, "bootstrap", "regression")
    counts = uncertainty.draw_counts(
        len(test.visits), draws=settings.bootstrap, generator=generator
    )
    estimates, rows, by_stratum = [], [], []
    groups = strata.read(participants, visits=test.visits)
    for row in settings.rows:
        files: dict[int | None, Path | None] = {None: None}
        if row.model:
            files = dict[int | None, Path | None](
                samples.of_model(row.model, embeddings=embeddings).items()
            )
        predictions = [
            predict(row, path, participants=participants, train=train, test=test, names=phenotypes)
            for path in files.values()
        ]
        of_seed = np.stack([r2(test.targets, found, counts=counts) for found in predictions])
        estimate = Estimates(of_seed, list(files), len(test.visits))
        estimates.append(estimate)
        fixed = {
            "input": row.group,
            "method": row.label,
            "evaluation": row.evaluation,
            "model": row.model or "",
        }
        fixed |= {"paper": row.paper or "", "note": row.note}
        numbers = {
            "n_train": len(train.visits),
            "n_test": len(test.visits),
            "seeds": estimate.num_seeds,
        }
        rows.append(fixed | numbers | {"confidence": settings.confidence})
        if row.group == "ECG":
            of_groups = strata.tabulate(
                predictions, seeds=list(files), targets=test.targets, groups=groups, counts=counts
            )
            by_stratum += [
                fixed | numbers | found
                for found in strata.columns(of_groups, groups, phenotypes, settings.confidence)
            ]
        log.info("%s %s: mean R2 %.3f", fixed["input"], row.label, estimate.value.mean())
    place = reference[0]
    table = tabulate(
        estimates, rows=rows, reference=place, phenotypes=phenotypes, confidence=settings.confidence
    )
    of_seeds = by_seed(estimates, rows=rows, reference=place, phenotypes=phenotypes)
    return Tables(table, pd.DataFrame(by_stratum), of_seeds)


def main() -> None:
    """Write the regression tables."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Evaluate linear probes of embeddings (Table 2).")
    parser.add_argument(
        "--settings", required=True, help="section regression of the configuration, as JSON"
    )
    parser.add_argument("--phenotypes", required=True, help="names of the phenotypes, as JSON")
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument(
        "--embeddings",
        required=True,
        type=samples.files,
        help="embedding files (.npz) by model and seed, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    parser.add_argument(
        "--strata", required=True, type=Path, help="table by sex and age group to write (CSV)"
    )
    parser.add_argument("--by-seed", required=True, type=Path, help="table by seed to write (CSV)")
    args = parser.parse_args()
    tables = evaluate(
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=samples.names(args.phenotypes),
        embeddings=args.embeddings,
        seed=args.seed,
    )
    for path, written in (
        (args.out, tables.regression),
        (args.strata, tables.strata),
        (args.by_seed, tables.seeds),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        written.to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    stage.run(main)
