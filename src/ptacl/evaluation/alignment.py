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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import participants, seeds, stage
from ptacl.config import Alignment
from ptacl.evaluation import heat_maps, samples, uncertainty
from ptacl.evaluation.cosine import unit
from ptacl.evaluation.uncertainty import Estimates

Array = NDArray[np.float64]

_BLOCK = 512
_NEAR = 1  # phases
_CONTROLS = 5  # random draws per control

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Steps:
    """Local embeddings of the test participants, one vector per phase.

    ecg, cmr : (m, T, D). still : (T, D), of a cine that repeats the mean image of the test visits.
    num_without_beat : number of participants excluded because their ECG crop contains no complete
    beat.
    """

    visits: list[str]
    ecg: NDArray[np.float16]
    cmr: NDArray[np.float16]
    still: NDArray[np.float16]
    num_without_beat: int


def cosines(ecg_mtd: NDArray[np.floating], cmr_mtd: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosine similarity (m, T, T) of ECG phase k and CMR phase t of each participant."""
    blocks = []
    for start in range(0, len(ecg_mtd), _BLOCK):
        rows = slice(start, start + _BLOCK)
        ecg = unit(np.asarray(ecg_mtd[rows], dtype=np.float32))
        cmr = unit(np.asarray(cmr_mtd[rows], dtype=np.float32))
        blocks.append(ecg @ cmr.transpose(0, 2, 1))
    return np.concatenate(blocks)


def share_near_diagonal(cosines_mtt: NDArray[np.float32]) -> Array:
    """Return the share (m,) of ECG phases whose best CMR phase is at most one phase away."""
    steps = np.arange(cosines_mtt.shape[1])
    share: Array = (np.abs(cosines_mtt.argmax(axis=2) - steps) <= _NEAR).mean(axis=1)
    return share


def chance(num_steps: int) -> float:
    """Return the share expected if each CMR phase were equally likely to be the most similar."""
    steps = np.arange(num_steps)
    return float((np.abs(steps[:, None] - steps) <= _NEAR).mean())


def control_shares(steps: Steps, *, generator: np.random.Generator) -> dict[str, Array]:
    """Return the shares (m,) with other cines, a still cine, and CMR phases in random order.

    The first and the last are averaged over several draws.
    """
    people, num_steps = steps.ecg.shape[:2]
    others = [np.roll(steps.cmr, k, axis=0) for k in range(1, min(_CONTROLS, people - 1) + 1)] or [
        steps.cmr
    ]
    other: Array = np.mean([share_near_diagonal(cosines(steps.ecg, cmr)) for cmr in others], axis=0)
    own, shares = cosines(steps.ecg, steps.cmr), []
    for _ in range(_CONTROLS):
        order = generator.permuted(np.tile(np.arange(num_steps), (people, 1)), axis=1)
        shares.append(share_near_diagonal(np.take_along_axis(own, order[:, None, :], axis=2)))
    still = share_near_diagonal(cosines(steps.ecg, np.broadcast_to(steps.still, steps.cmr.shape)))
    return {"other_share": other, "still_share": still, "permuted_share": np.mean(shares, axis=0)}


def phase_shifts(cosines_mtt: NDArray[np.float32]) -> Array:
    """Return how much later in the cycle the most similar CMR phases are, (m,), in cycles.

    This is the mean over ECG phases. Each phase is at most half a cycle late or early.
    """
    num_steps = cosines_mtt.shape[1]
    late = cosines_mtt.argmax(axis=2) - np.arange(num_steps)
    half = num_steps // 2
    shift: Array = ((late + half) % num_steps - half).mean(axis=1) / num_steps
    return shift


def read_phase_shifts(path: Path, *, visits: Sequence[str]) -> Array:
    """Read the true shifts (m,) of visits of a simulated cohort, in cycles.

    A shift is the end of systole in the cine's cycle minus the end of QT in the ECG's cycle.
    """
    truth = pd.read_csv(path).set_index("visit").loc[list(visits)]
    cine = truth["systole_ms"] * truth["heart_rate_bpm"] / 60_000
    ecg = truth["ecg_qt_ms"] * truth["ecg_rate_bpm"] / 60_000
    shift: Array = (cine - ecg).to_numpy(np.float64)
    return shift


def correlations(first_m: Array, second_m: Array, *, counts: Array) -> Array:
    """Return Pearson correlations (B,) under counts (B, m), NaN if either variable is constant."""
    total = counts.sum(axis=1)
    first = first_m - first_m.mean()
    second = second_m - second_m.mean()
    mean_first = counts @ first / total
    mean_second = counts @ second / total
    covariance = counts @ (first * second) / total - mean_first * mean_second
    variances = (counts @ first**2 / total - mean_first**2) * (
        counts @ second**2 / total - mean_second**2
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(variances > 1e-20, covariance / np.sqrt(variances), np.nan)
    return found


def read_steps(path: Path) -> Steps:
    """Read the local embeddings of a model for the first visit of each test participant.

    Raises ValueError if the file has no local embeddings or no participant has a complete beat.
    """
    with np.load(path, allow_pickle=False) as stored:
        names = ("test_visits", "local_valid", "ecg_local", "cmr_local", "cmr_local_still")
        if lacking := [name for name in names if name not in stored]:
            raise ValueError(
                f"{path} has no {', '.join(lacking)}: list only contrastive models in "
                "alignment.rows"
            )
        visits, valid, ecg, cmr, still = (stored[name] for name in names)
    first: dict[str, int] = {}
    for row in sorted(range(len(visits)), key=lambda row: participants.visit_order(visits[row])):
        first.setdefault(participants.visit_order(visits[row])[0], row)
    chosen = np.array(list(first.values()))
    usable = chosen[valid[chosen]]
    if not usable.size:
        raise ValueError(
            f"{path}: no test participant has a complete beat in the ECG crop, so use more "
            "participants"
        )
    return Steps(
        visits[usable].tolist(), ecg[usable], cmr[usable], still, int(chosen.size - usable.size)
    )


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

    steps: Steps
    cosines: NDArray[np.float32]
    estimates: dict[str, Array]


def compare(path: Path, people: People, *, seed: int) -> Aligned:
    """Compute the share near the diagonal, its controls and the correlation of shifts.

    `path` is the embedding file of one model and seed. Raises ValueError if its test participants
    differ from `people`.
    """
    steps = read_steps(path)
    if steps.visits != people.visits:
        raise ValueError(
            f"{path} holds other test participants than the first model: run the embedding "
            "of both again"
        )
    of_people = cosines(steps.ecg, steps.cmr)
    shares = {"share": share_near_diagonal(of_people)}
    shares |= control_shares(steps, generator=seeds.generator(seed, "alignment controls"))
    estimates = {}
    for name, values in shares.items():
        estimates[name] = uncertainty.means(values[:, None], counts=people.counts)[:, 0]
    if people.true_shifts is not None:
        found = correlations(phase_shifts(of_people), people.true_shifts, counts=people.counts)
        estimates["shift_correlation"] = found
    return Aligned(steps, of_people, estimates)


def evaluate(
    settings: Alignment, *, embeddings: samples.Files, seed: int, truth: Path | None = None
) -> tuple[dict[str, object], dict[str, NDArray[np.float32]]]:
    """Compute the numbers of each model, and the matrix (T, T) of one participant by label.

    The numbers of a model are its mean matrix, its share near the diagonal, the controls, and the
    paired difference from the first model. `truth` is truth.csv of a simulated cohort. Raises
    ValueError if the models were evaluated on different participants.
    """
    files = {row.model: samples.of_model(row.model, embeddings=embeddings) for row in settings.rows}
    first = next(iter(files[settings.rows[0].model].values()))
    people = _people(first, settings, seed=seed, truth=truth)
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
        log.info(
            "%s: %.3f of ECG phases are matched within one phase of the diagonal",
            row.label,
            numbers["share"],
        )
        matrices = [aligned.cosines.mean(axis=0, dtype=np.float64) for aligned in of_seed]
        models[row.model] = {
            "title": row.label,
            "seeds": len(of_seed),
            "participants": len(people.visits),
            "without_complete_beat": of_seed[-1].steps.num_without_beat,
            **{key: None if np.isnan(value) else round(value, 6) for key, value in numbers.items()},
            "matrix": np.round(np.mean(matrices, axis=0), 5).tolist(),
        }
    num_steps = of_seed[0].cosines.shape[1]
    result: dict[str, object] = {"steps": num_steps, "chance": round(chance(num_steps), 6)}
    return result | {"confidence": settings.confidence, "models": models}, examples


def _people(path: Path, settings: Alignment, *, seed: int, truth: Path | None) -> People:
    """Return the participants of an embedding file with their bootstrap draws and true shifts."""
    visits = read_steps(path).visits
    generator = seeds.generator(seed, "bootstrap", "alignment")
    counts = uncertainty.draw_counts(len(visits), draws=settings.bootstrap, generator=generator)
    true_shifts = None if truth is None else read_phase_shifts(truth, visits=visits)
    return People(visits, counts, true_shifts)


def _numbers(
    estimates: Mapping[str, Estimates], *, reference: Estimates | None, confidence: float
) -> dict[str, float]:
    """Return values with intervals, and differences of the share.

    The share is compared with the other and the still cines, and with that of the first model.
    """
    numbers: dict[str, float] = {}
    for name, estimate in estimates.items():
        numbers |= uncertainty.columns(name, estimate, confidence=confidence)
    share = estimates["share"]
    for control in ("other", "still"):
        other = estimates[f"{control}_share"]
        numbers |= uncertainty.paired_columns(
            f"beyond_{control}", share, reference=other, confidence=confidence
        )
    return numbers | uncertainty.paired_columns(
        "share", share, reference=reference, confidence=confidence
    )


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
        type=samples.files,
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
