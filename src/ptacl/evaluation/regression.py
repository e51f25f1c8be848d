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
from sklearn.linear_model import LinearRegression

from ptacl import seeds, stage
from ptacl.config import Regression, RegressionRow
from ptacl.evaluation import samples, uncertainty

Array = NDArray[np.float64]

log = logging.getLogger(__name__)


def probe(features_nd: Array, targets_np: Array, unseen_md: Array) -> Array:
    """(m, P) predictions of least squares for unseen features (m, D): one fit for all phenotypes that the same people lack.

    Collinear features get the solution of least norm. ValueError if a phenotype has no training value.
    """
    known = np.isfinite(targets_np)
    if not known.any(axis=0).all():
        raise ValueError("a phenotype has no value in the training split: drop it from cohort.phenotypes")
    predictions = np.empty((len(unseen_md), targets_np.shape[1]))
    patterns, group = np.unique(known, axis=1, return_inverse=True)
    for g, rows in enumerate(patterns.T):
        targets = np.flatnonzero(group.ravel() == g)
        fitted = LinearRegression().fit(features_nd[rows], targets_np[np.ix_(rows, targets)])
        predictions[:, targets] = fitted.predict(unseen_md)
    return predictions


def r2(targets_np: Array, predictions_np: Array, *, counts: Array) -> Array:
    """(B, P) coefficients of determination under counts (B, n).

    A missing target does not count; a draw in which the targets do not vary is NaN.
    """
    known = np.isfinite(targets_np)
    centred = np.where(known, targets_np - np.nanmean(targets_np, axis=0), 0.0)  # a common shift, against cancellation
    squared_error = np.where(known, (targets_np - predictions_np) ** 2, 0.0)
    total, first, second = counts @ known.astype(np.float64), counts @ centred, counts @ centred**2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = second - first**2 / total
        return np.where(spread > 1e-12 * second, 1 - (counts @ squared_error) / spread, np.nan)


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
) -> pd.DataFrame:
    """Table 2 for the rows of the settings; ValueError if the reference is no row."""
    reference = [i for i, row in enumerate(settings.rows) if row.label == settings.reference and row.input == "ecg"]
    if not reference:
        raise ValueError(f"regression.reference {settings.reference} is no ECG row of regression.rows")
    train = samples.read_participants(participants, split="train", phenotypes=phenotypes)
    test = samples.read_participants(participants, split="test", phenotypes=phenotypes)
    generator = seeds.generator(seed, "bootstrap", "regression")
    counts = uncertainty.draw_counts(len(test.visits), draws=settings.bootstrap, generator=generator)
    estimates, spreads, rows = [], [], []
    for row in settings.rows:
        files = samples.of_model(row.model, embeddings=embeddings) if row.model else {0: None}
        of_seed = []
        for path in files.values():
            found = predict(row, path, participants=participants, train=train, test=test, names=phenotypes)
            of_seed.append(r2(test.targets, found, counts=counts))
        spreads.append(np.std([r[0] for r in of_seed], axis=0, ddof=1) if len(of_seed) > 1 else np.full(len(phenotypes), np.nan))
        estimates.append(uncertainty.over_seeds(of_seed, seed=seed))
        fixed = {"input": row.group, "method": row.label, "evaluation": row.evaluation, "model": row.model or ""}
        fixed |= {"paper": row.paper or "", "note": row.note}
        numbers = {"n_train": len(train.visits), "n_test": len(test.visits), "seeds": len(files)}
        rows.append(fixed | numbers | {"confidence": settings.confidence})
        log.info("%s %s: mean R2 %.3f", fixed["input"], row.label, estimates[-1][0].mean())
    return tabulate(
        estimates, spreads=spreads, rows=rows, reference=reference[0], phenotypes=phenotypes, confidence=settings.confidence
    )


def predict(
    row: RegressionRow,
    embedding: Path | None,
    *,
    participants: Path,
    train: samples.Samples,
    test: samples.Samples,
    names: Sequence[str],
) -> Array:
    """(n, P) phenotypes of the test participants: by a linear probe of the row's features, or what the model itself predicts."""
    if row.predictions is None:
        return probe(*_features(row, embedding, participants=participants, train=train, test=test))
    assert embedding is not None
    with np.load(embedding, allow_pickle=False) as stored:
        known = stored[f"{row.predictions}_phenotypes"].tolist() if f"{row.predictions}_phenotypes" in stored else []
    if lacking := [name for name in names if name not in known]:
        raise ValueError(f"{embedding} predicts no {', '.join(lacking)}: train the model again")
    found = samples.read_embedding(embedding, array=f"{row.predictions}_predicted", visits=test.visits)
    return found[:, [known.index(name) for name in names]].astype(np.float64)


def _features(
    row: RegressionRow, embedding: Path | None, *, participants: Path, train: samples.Samples, test: samples.Samples
) -> tuple[Array, Array, Array]:
    """Features and phenotypes of the training participants, and features of the test participants."""
    visits, parts = train.visits + test.visits, []
    if embedding is not None:
        arrays = [f for f in row.features if f in ("ecg", "cmr")]
        parts = [samples.read_embedding(embedding, array=f, visits=visits).astype(np.float64) for f in arrays]
    if covariates := [f for f in row.features if f not in ("ecg", "cmr")]:
        parts.append(samples.read_covariates(participants, names=covariates, train=train.visits, visits=visits))
    seen, unseen = np.split(np.concatenate(parts, axis=1), [len(train.visits)])
    return seen, train.targets, unseen


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
    args = parser.parse_args()
    table = evaluate(
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=samples.names(args.phenotypes),
        embeddings=args.embeddings,
        seed=args.seed,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    stage.run(main)
