"""Evaluate probes that are fitted with few training labels (label efficiency).

Every row of Table 2 that has a probe is evaluated again with a fraction of the training
participants. Draw d of a fraction f contains the participants whose fixed number for d is below f,
so all rows use the same people, and each draw is a part of the same draw of a larger fraction. The
probe is ridge regression on standardised features. Its strength is chosen for each phenotype by
leave-one-out on the labels of the draw: validation labels would be labels, too, and least squares
fails where there are as many people as features.

With several seeds of a model, draw d uses one seed after the other. The draws therefore enter the
uncertainty as seeds do (:mod:`ptacl.evaluation.uncertainty`). With all labels, there is one draw
per seed.

Shapes: n participants, D features, P phenotypes.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from ptacl import seeds, stage
from ptacl.config import LabelFractions, Regression, RegressionRow
from ptacl.evaluation import inputs, probes, results, summary, uncertainty
from ptacl.evaluation.results import Line, Reference
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

STRENGTHS = np.geomspace(1, 1e4, 13)
LEAST_PEOPLE = 10  # fractions below 1 with fewer people in a draw are left out
_LEAST_LABELS = 3  # a phenotype with fewer labels in a draw gets no prediction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Draw:
    """The training people of a draw, as a mask (n,)."""

    number: int
    people: NDArray[np.bool_]


def in_draw(visits: Sequence[str], *, fraction: float, draw: int) -> NDArray[np.bool_]:
    """Return which visits belong to the participants of a draw, (n,)."""
    numbers = [seeds.uniform("labels", draw, visit.rpartition("_")[0]) for visit in visits]
    return np.array(numbers) < fraction


def fit(features_nd: Array, targets_np: Array) -> probes.Probe:
    """Fit ridge regression, with a strength for each phenotype by leave-one-out.

    A phenotype with fewer than three labels has the coefficients NaN.
    """
    scaler = StandardScaler().fit(features_nd)
    num_phenotypes = targets_np.shape[1]
    coefficients = np.full((features_nd.shape[1], num_phenotypes), np.nan)
    intercepts = np.full(num_phenotypes, np.nan)
    known = np.isfinite(targets_np)
    for pattern in np.unique(known, axis=1).T:
        if pattern.sum() < _LEAST_LABELS:
            continue
        alike = (known == pattern[:, None]).all(axis=0)
        ridge = RidgeCV(STRENGTHS, alpha_per_target=True)
        ridge.fit(scaler.transform(features_nd[pattern]), targets_np[pattern][:, alike])
        # of a single phenotype, scikit-learn returns one dimension less
        scaled = ridge.coef_.reshape(int(alike.sum()), -1).T / scaler.scale_[:, None]
        coefficients[:, alike] = scaled
        intercepts[alike] = ridge.intercept_ - scaler.mean_ @ scaled
    return probes.Probe(coefficients, intercepts)


def evaluate(
    settings: LabelFractions,
    table: Regression,
    *,
    participants: Path,
    phenotypes: Sequence[str],
    embeddings: inputs.Files,
    seed: int,
) -> pd.DataFrame:
    """Compute R² by row and fraction of labels, as a long table.

    `table` has the rows. Those of `ecg_phases` are left out, because they have more features than
    most cohorts have people, and so are predictions of supervised models and rows whose features
    are predicted phenotypes.
    """
    train, test = (
        inputs.read_participants(participants, split=split, phenotypes=phenotypes)
        for split in ("train", "test")
    )
    left_out = {inputs.PHASES, inputs.PREDICTED}
    rows = [row for row in table.rows if row.features and left_out.isdisjoint(row.features)]
    draws = _draws(settings, train)
    counts = uncertainty.shared_counts(len(test.visits), draws=table.bootstrap, seed=seed)
    found: dict[tuple[int, float], Estimates] = {}
    for i, row in enumerate(rows):
        of_row = _of_row(
            row,
            draws,
            splits={"train": train, "test": test},
            participants=participants,
            embeddings=embeddings,
            counts=counts,
        )
        found |= {(i, fraction): estimates for fraction, estimates in of_row.items()}
        values = ", ".join(f"{f:.0%} {e.value[-1]:.3f}" for f, e in of_row.items())
        log.info("%s %s: mean R2 of %s", row.group, row.label, values)
    names = [*phenotypes, summary.MEAN]
    places = {row.label: i for i, row in reversed(list(enumerate(rows))) if row.input == "ecg"}
    lines: list[Line] = []
    for (i, fraction), estimates in found.items():
        row, people = rows[i], [int(draw.people.sum()) for draw in draws[fraction]]
        compared_with = table.reference_of(row)
        place = places.get(compared_with)
        reference = None
        if place is not None and place != i:
            reference = Reference(compared_with, found[place, fraction])
        columns = {
            "input": row.group,
            "method": row.label,
            "model": row.model or "",
            "fraction": fraction,
            "n_train": round(float(np.mean(people))),
            "n_test": len(test.visits),
            "seeds": estimates.num_seeds,
            "confidence": table.confidence,
        }
        of_fraction = results.lines(
            columns,
            "R2",
            estimates,
            phenotypes=names,
            reference=reference,
            confidence=table.confidence,
        )
        lines += [line for line in of_fraction if "seed" not in line]
    if not lines:
        raise ValueError(
            f"labels.fractions: no fraction leaves {LEAST_PEOPLE} training people; add 1"
        )
    return results.table([line | {"seed": None} for line in lines])


def _draws(settings: LabelFractions, train: inputs.SplitTargets) -> dict[float, list[_Draw]]:
    """Return the draws of each fraction that has enough people."""
    found = {}
    for fraction in settings.fractions:
        of_fraction = []
        for number in range(settings.draws if fraction < 1 else 1):
            people = in_draw(train.visits, fraction=fraction, draw=number)
            of_fraction.append(_Draw(number, people))
        if fraction < 1 and min(draw.people.sum() for draw in of_fraction) < LEAST_PEOPLE:
            log.info("%g of the labels: fewer than %d people, left out", fraction, LEAST_PEOPLE)
            continue
        found[fraction] = of_fraction
    return found


def _of_row(
    row: RegressionRow,
    draws: Mapping[float, Sequence[_Draw]],
    *,
    splits: Mapping[str, inputs.SplitTargets],
    participants: Path,
    embeddings: inputs.Files,
    counts: Array,
) -> dict[float, Estimates]:
    """Return R² (draws or seeds, B, P + 1) by fraction."""
    model_seeds = inputs.seeds_of(row.model, embeddings=embeddings)
    train, test = splits["train"], splits["test"]
    of_seed = {}
    for model_seed in model_seeds:
        of_seed[model_seed] = probes.features(
            row,
            inputs.file_of(row.model, model_seed, files=embeddings),
            participants=participants,
            splits=[train, test],
        )
    found = {}
    for fraction, of_fraction in draws.items():
        if fraction < 1:
            pairs = [(model_seeds[d.number % len(model_seeds)], d) for d in of_fraction]
            numbers: list[int | None] = [draw.number for draw in of_fraction]
        else:
            pairs = [(model_seed, of_fraction[0]) for model_seed in model_seeds]
            numbers = list(model_seeds)
        values = []
        for model_seed, draw in pairs:
            seen, unseen = of_seed[model_seed]
            probe = fit(seen[draw.people], train.targets[draw.people])
            values.append(probes.r2(test.targets, probe.predict(unseen), counts=counts))
        found[fraction] = Estimates(np.stack(values), numbers, len(test.visits)).with_mean()
    return found


def main() -> None:
    """Write the table of label efficiency."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Evaluate probes with few training labels.")
    inputs.add_arguments(parser, section="regression")
    parser.add_argument("--labels", required=True, help="section labels, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="table to write (CSV)")
    args = parser.parse_args()
    table = evaluate(
        LabelFractions.model_validate_json(args.labels),
        Regression.model_validate_json(args.settings),
        participants=args.participants,
        phenotypes=inputs.names(args.phenotypes),
        embeddings=args.embeddings,
        seed=args.seed,
    )
    results.write(table, args.out)


if __name__ == "__main__":
    stage.run(main)
