"""Linear probes of frozen embeddings (Table 2): R² of each phenotype on test participants, with intervals and a paired test.

The probe is ordinary least squares with an intercept (Sec. 4.3), fitted on the training split alone, one visit a participant;
the validation split only ever chose weights. R² is 1 - SSE / SST with SST about the mean of the test participants, as in
scikit-learn. Under the bootstrap the probe stays as it is; test participants, and seeds where there are several, are drawn again.

Shapes: n participants, D embedding width, P phenotypes, B draws of which the first is the sample.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import seeds, stage
from ptacl.config import Regression
from ptacl.evaluation import samples, strata, uncertainty
from ptacl.evaluation.probes import predict, r2

Array = NDArray[np.float64]

log = logging.getLogger(__name__)


def tabulate(
    estimates: Sequence[Array],
    *,
    spreads: Sequence[Array],
    rows: Sequence[Mapping[str, object]],
    reference: int,
    phenotypes: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """One row a method: R² of each phenotype and of their mean, each with interval and difference from the reference row.

    `x_p` is the p of the difference alone, `x_p_holm` that among all phenotypes of the row (Holm 1979); `x_seed_sd` the standard
    deviation over seeds, empty where there is one.
    """
    table = []
    with_mean = [np.column_stack([e, e.mean(axis=1)]) for e in estimates]
    for i, (row, estimate, spread) in enumerate(zip(rows, with_mean, spreads, strict=True)):
        numbers: dict[str, object] = dict(row)
        for p, name in enumerate([*phenotypes, "mean"]):
            other = None if i == reference else with_mean[reference][:, p]
            numbers |= uncertainty.columns(f"{name}_R2", estimate[:, p], confidence=confidence)
            numbers |= uncertainty.paired_columns(name, estimate[:, p], reference=other, confidence=confidence)
        adjusted = uncertainty.holm([float(numbers[f"{name}_p"]) for name in phenotypes])  # type: ignore[arg-type]
        numbers |= {f"{name}_p_holm": value for name, value in zip(phenotypes, adjusted, strict=True)}
        numbers |= {f"{name}_seed_sd": float(sd) for name, sd in zip(phenotypes, spread, strict=True)}
        table.append(numbers)
    return pd.DataFrame(table)


def evaluate(
    settings: Regression, *, participants: Path, phenotypes: Sequence[str], embeddings: samples.Files, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table 2 for the rows of the settings, and its ECG rows by sex and age; ValueError if the reference is no row."""
    reference = [i for i, row in enumerate(settings.rows) if row.label == settings.reference and row.input == "ecg"]
    if not reference:
        raise ValueError(f"regression.reference {settings.reference} is no ECG row of regression.rows")
    train = samples.read_participants(participants, split="train", phenotypes=phenotypes)
    test = samples.read_participants(participants, split="test", phenotypes=phenotypes)
    generator = seeds.generator(seed, "bootstrap", "regression")
    counts = uncertainty.draw_counts(len(test.visits), draws=settings.bootstrap, generator=generator)
    estimates, spreads, rows, by_stratum = [], [], [], []
    groups = strata.read(participants, visits=test.visits)
    for row in settings.rows:
        files = samples.of_model(row.model, embeddings=embeddings) if row.model else {0: None}
        predictions = [
            predict(row, path, participants=participants, train=train, test=test, names=phenotypes) for path in files.values()
        ]
        of_seed = [r2(test.targets, found, counts=counts) for found in predictions]
        spreads.append(np.std([r[0] for r in of_seed], axis=0, ddof=1) if len(of_seed) > 1 else np.full(len(phenotypes), np.nan))
        estimates.append(uncertainty.over_seeds(of_seed, seed=seed))
        fixed = {"input": row.group, "method": row.label, "evaluation": row.evaluation, "model": row.model or ""}
        fixed |= {"paper": row.paper or "", "note": row.note}
        numbers = {"n_train": len(train.visits), "n_test": len(test.visits), "seeds": len(files)}
        rows.append(fixed | numbers | {"confidence": settings.confidence})
        if row.group == "ECG":
            of_groups = strata.tabulate(predictions, targets=test.targets, groups=groups, counts=counts, seed=seed)
            by_stratum += [
                fixed | numbers | found for found in strata.columns(of_groups, groups, phenotypes, settings.confidence)
            ]
        log.info("%s %s: mean R2 %.3f", fixed["input"], row.label, estimates[-1][0].mean())
    table = tabulate(
        estimates, spreads=spreads, rows=rows, reference=reference[0], phenotypes=phenotypes, confidence=settings.confidence
    )
    return table, pd.DataFrame(by_stratum)


def main() -> None:
    """Write the regression table."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Linear probes of embeddings (Table 2).")
    parser.add_argument("--settings", required=True, help="JSON of the regression section")
    parser.add_argument("--phenotypes", required=True, help="JSON list of phenotype names")
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument("--embeddings", required=True, type=samples.files, help="JSON: by model and seed, FILE.npz")
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    parser.add_argument("--strata", required=True, type=Path, help="table by sex and age to write (CSV)")
    args = parser.parse_args()
    table, by_stratum = evaluate(
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=samples.names(args.phenotypes),
        embeddings=args.embeddings,
        seed=args.seed,
    )
    for path, written in ((args.out, table), (args.strata, by_stratum)):
        path.parent.mkdir(parents=True, exist_ok=True)
        written.to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    stage.run(main)
