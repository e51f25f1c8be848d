"""Measure the temporal alignment of ECG and CMR embeddings (Fig. 2).

The cosine similarity of every ECG phase with every CMR phase of the same participant gives one
matrix per participant. The figure shows the mean over test participants, with one visit each,
whose ECG crop contains a complete beat. Its score is the share of ECG phases whose most similar CMR
phase is at most one phase away from the same phase. A perfect model scores 1. A model that knows
nothing of time scores the share of all pairs of phases that are this close, which is the chance
level. Distances do not wrap around the cycle, as in Eq. 2. If a model has several seeds, matrices
and shares are averaged over them.

Three controls show where the score comes from:

- The cine of another participant keeps only the features that all hearts share at a phase.
- A still cine, the mean image of the test visits, keeps only what the CMR encoder learned about
  positions in time.
- CMR phases in random order give the chance level for these embeddings.

In a simulated cohort the true timing of each person is known. Systole ends at one phase of the
ECG's cycle (the end of QT) and at another phase of the cine's cycle, because the heart rates differ
and because the delay between electrical and mechanical systole varies. If the embeddings encode
this shift, it correlates with the shift between the most similar phases.

Shapes: m participants, T phases of the cycle from end-diastole, D embedding width, B bootstrap
draws, of which the first is the sample itself.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptacl import seeds, stage
from ptacl.config import Alignment
from ptacl.evaluation import heat_maps, inputs, phase_similarity, summary, uncertainty
from ptacl.evaluation.phase_similarity import Phases
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class People:
    """The test participants on whom all models are evaluated.

    visits : m visits. counts : (B, m) bootstrap counts. true_shifts : (m,) in cycles, None unless
    the cohort is simulated.
    """

    visits: list[str]
    counts: Array
    true_shifts: Array | None


@dataclass(frozen=True)
class Aligned:
    """Local embeddings of one model and seed, cosines (m, T, T), estimates (B,) by statistic."""

    phases: Phases
    cosines: NDArray[np.float32]
    estimates: dict[str, Array]


def compare(path: Path, people: People, *, seed: int) -> Aligned:
    """Compute the share near the diagonal, its controls and the correlation of shifts.

    `path` is the embedding file of one model and seed. Raises ValueError if its test participants
    differ from `people`.
    """
    of_model = phase_similarity.read(path)
    if of_model.visits != people.visits:
        raise ValueError(
            f"{path} holds other test participants than the first model: run the embedding "
            "of both again"
        )
    cosines = phase_similarity.cosines(of_model.ecg, of_model.cmr)
    shares = {"share": phase_similarity.share_near_diagonal(cosines)}
    generator = seeds.generator(seed, "alignment controls")
    shares |= phase_similarity.control_shares(of_model, generator=generator)
    estimates = {}
    for name, values in shares.items():
        estimates[name] = uncertainty.means(values[:, None], counts=people.counts)[:, 0]
    if people.true_shifts is not None:
        shifts = phase_similarity.phase_shifts(cosines)
        correlation = phase_similarity.correlations(
            shifts, people.true_shifts, counts=people.counts
        )
        estimates["shift_correlation"] = correlation
    return Aligned(of_model, cosines, estimates)


def evaluate(
    settings: Alignment, *, embeddings: inputs.Files, seed: int, truth: Path | None = None
) -> tuple[dict[str, object], dict[str, NDArray[np.float32]]]:
    """Compute the numbers of each model, and the matrix (T, T) of one participant by label.

    The numbers of a model are its mean matrix, its share near the diagonal, the controls, and the
    paired difference from the first model. `truth` is truth.csv of a simulated cohort. Raises
    ValueError if the models were evaluated on different participants.
    """
    files = {row.model: inputs.of_model(row.model, embeddings=embeddings) for row in settings.rows}
    first = next(iter(files[settings.rows[0].model].values()))
    people = _people(first, settings, seed=seed, truth=truth)
    num_phases = phase_similarity.read(first).ecg.shape[1]
    models: dict[str, object] = {}
    examples: dict[str, NDArray[np.float32]] = {}
    reference: Estimates | None = None
    for row in settings.rows:
        of_seed = [compare(path, people, seed=seed) for path in files[row.model].values()]
        examples[row.label] = of_seed[0].cosines[0]
        estimates = {}
        for name in of_seed[0].estimates:
            values = np.stack([aligned.estimates[name] for aligned in of_seed])
            estimates[name] = Estimates(values, list(files[row.model]), len(people.visits))
        numbers = _numbers(estimates, reference=reference, confidence=settings.confidence)
        reference = reference or estimates["share"]
        log.info("%s: %.3f of ECG phases are near the diagonal", row.label, numbers["share"])
        matrices = [aligned.cosines.mean(axis=0, dtype=np.float64) for aligned in of_seed]
        models[row.model] = {
            "title": row.label,
            "seeds": len(of_seed),
            "participants": len(people.visits),
            "without_complete_beat": of_seed[-1].phases.num_without_beat,
            **{key: None if np.isnan(value) else round(value, 6) for key, value in numbers.items()},
            "matrix": np.round(np.mean(matrices, axis=0), 5).tolist(),
        }
    result: dict[str, object] = {
        "phases": num_phases,
        "chance": round(phase_similarity.chance(num_phases), 6),
        "confidence": settings.confidence,
        "models": models,
    }
    return result, examples


def _people(path: Path, settings: Alignment, *, seed: int, truth: Path | None) -> People:
    """Return the participants of an embedding file with their bootstrap draws and true shifts."""
    visits = phase_similarity.read(path).visits
    generator = seeds.generator(seed, "bootstrap", "alignment")
    counts = uncertainty.draw_counts(len(visits), draws=settings.bootstrap, generator=generator)
    true_shifts = (
        None if truth is None else phase_similarity.read_phase_shifts(truth, visits=visits)
    )
    return People(visits, counts, true_shifts)


def _numbers(
    estimates: Mapping[str, Estimates], *, reference: Estimates | None, confidence: float
) -> dict[str, float]:
    """Return values with intervals, and differences of the share.

    The share is compared with the other and the still cines, and with that of the first model.
    """
    numbers: dict[str, float] = {}
    for name, estimate in estimates.items():
        found = uncertainty.summarise(estimate, confidence=confidence)
        numbers |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    references = {
        "beyond_other": estimates["other_share"],
        "beyond_still": estimates["still_share"],
        "share": reference,
    }
    for name, other in references.items():
        found = summary.NOTHING
        if other is not None:
            difference = estimates["share"].minus(other)
            found = uncertainty.summarise(difference, confidence=confidence)
        numbers |= {
            f"{name}_difference": found.value,
            f"{name}_difference_low": found.low,
            f"{name}_difference_high": found.high,
            f"{name}_p": found.p,
        }
    return numbers


def main() -> None:
    """Write the alignment numbers and their figures."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(
        description="Measure the temporal alignment of ECG and CMR embeddings (Fig. 2)."
    )
    parser.add_argument(
        "--settings", required=True, help="section alignment of the configuration, as JSON"
    )
    parser.add_argument(
        "--embeddings",
        required=True,
        type=inputs.files,
        help="embedding files (.npz) by model and seed, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")
    parser.add_argument("--truth", type=Path, help="truth.csv of a simulated cohort")
    parser.add_argument(
        "--figure",
        required=True,
        nargs="+",
        type=Path,
        help="figures to write; the suffix sets the format",
    )
    parser.add_argument(
        "--example",
        required=True,
        type=Path,
        help="figure of one participant to write; do not share it",
    )
    parser.add_argument("--out", required=True, type=Path, help="numbers to write (JSON)")
    args = parser.parse_args()
    result, examples = evaluate(
        Alignment.model_validate_json(args.settings),
        embeddings=args.embeddings,
        seed=args.seed,
        truth=args.truth,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    heat_maps.draw_models(result, paths=args.figure)
    heat_maps.draw(examples, label="cosine, one participant", paths=[args.example])


if __name__ == "__main__":
    stage.run(main)
