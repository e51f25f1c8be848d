"""Temporal alignment of ECG and CMR (Fig. 2): cosine similarity of every ECG step with every CMR step, within a participant.

The matrix shown is the mean over test participants, one visit each, whose crop holds a complete beat. The number beside it is
the share of ECG steps whose most similar CMR step lies within one step of the same phase: 1 is perfect, and a model without
any notion of time scores the share of step pairs that lie so close, the chance level. Distances do not wrap around the cycle,
as in Eq. 2. Where a model has several seeds, matrices and shares are averaged over them.

Three controls say what the number is made of. With the cine of another participant: what is left is what all hearts share at a
phase. With the mean image of the cohort, standing still: what is left needs no beating heart, only the positions that the CMR
encoder learned. With the CMR steps of each participant in random order: what is left is chance for embeddings like these.

Where the cohort is simulated, the person's own timing is known: systole ends at one phase of the ECG's cycle (the end of QT) and,
with another heart rate and some spread between electrical and mechanical systole, at another phase of the cine's. The correlation
of this shift with the one that the most similar steps show says whether the embeddings know of it.

Shapes: m participants, T steps of the cycle from end-diastole, D width, B draws of which the first is the sample.
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
_NEAR = 1  # steps
_CONTROLS = 5  # draws of a control

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Steps:
    """Local embeddings of the test participants.

    ecg, cmr : (m, T, D). still : (T, D), of the mean image of the cohort, standing still. num_without_beat : participants left
    out because their crop holds no complete beat.
    """

    visits: list[str]
    ecg: NDArray[np.float16]
    cmr: NDArray[np.float16]
    still: NDArray[np.float16]
    num_without_beat: int


def cosines(ecg_mtd: NDArray[np.floating], cmr_mtd: NDArray[np.floating]) -> NDArray[np.float32]:
    """(m, T, T) cosine similarity of ECG step k and CMR step t of each participant."""
    blocks = []
    for start in range(0, len(ecg_mtd), _BLOCK):
        rows = slice(start, start + _BLOCK)
        ecg = unit(np.asarray(ecg_mtd[rows], dtype=np.float32))
        cmr = unit(np.asarray(cmr_mtd[rows], dtype=np.float32))
        blocks.append(ecg @ cmr.transpose(0, 2, 1))
    return np.concatenate(blocks)


def share_near_diagonal(cosines_mtt: NDArray[np.float32]) -> Array:
    """(m,) share of ECG steps whose most similar CMR step lies within one step of the diagonal."""
    steps = np.arange(cosines_mtt.shape[1])
    share: Array = (np.abs(cosines_mtt.argmax(axis=2) - steps) <= _NEAR).mean(axis=1)
    return share


def chance(num_steps: int) -> float:
    """The share expected if the most similar CMR step were any step with equal probability."""
    steps = np.arange(num_steps)
    return float((np.abs(steps[:, None] - steps) <= _NEAR).mean())


def control_shares(steps: Steps, *, generator: np.random.Generator) -> dict[str, Array]:
    """(m,) shares by control: the cines of other participants, a still image, and CMR steps in random order.

    The first and the last are means of several draws.
    """
    people, num_steps = steps.ecg.shape[:2]
    others = [np.roll(steps.cmr, k, axis=0) for k in range(1, min(_CONTROLS, people - 1) + 1)] or [steps.cmr]
    other: Array = np.mean([share_near_diagonal(cosines(steps.ecg, cmr)) for cmr in others], axis=0)
    own, shares = cosines(steps.ecg, steps.cmr), []
    for _ in range(_CONTROLS):
        order = generator.permuted(np.tile(np.arange(num_steps), (people, 1)), axis=1)
        shares.append(share_near_diagonal(np.take_along_axis(own, order[:, None, :], axis=2)))
    still = share_near_diagonal(cosines(steps.ecg, np.broadcast_to(steps.still, steps.cmr.shape)))
    return {"other_share": other, "still_share": still, "permuted_share": np.mean(shares, axis=0)}


def phase_shifts(cosines_mtt: NDArray[np.float32]) -> Array:
    """(m,) how much later in its cycle the CMR shows what the ECG shows, in cycles: the mean over ECG steps.

    A step is less than half a cycle late or early.
    """
    num_steps = cosines_mtt.shape[1]
    late = cosines_mtt.argmax(axis=2) - np.arange(num_steps)
    half = num_steps // 2
    shift: Array = ((late + half) % num_steps - half).mean(axis=1) / num_steps
    return shift


def read_phase_shifts(path: Path, *, visits: Sequence[str]) -> Array:
    """(m,) true shifts of visits of a simulated cohort: end of systole in the cine's cycle minus end of QT in the ECG's."""
    truth = pd.read_csv(path).set_index("visit").loc[list(visits)]
    cine = truth["systole_ms"] * truth["heart_rate_bpm"] / 60_000
    ecg = truth["ecg_qt_ms"] * truth["ecg_rate_bpm"] / 60_000
    shift: Array = (cine - ecg).to_numpy(np.float64)
    return shift


def correlations(first_m: Array, second_m: Array, *, counts: Array) -> Array:
    """(B,) Pearson correlation under counts (B, m); NaN where one of both does not vary."""
    total = counts.sum(axis=1)
    first = first_m - first_m.mean()
    second = second_m - second_m.mean()
    mean_first = counts @ first / total
    mean_second = counts @ second / total
    covariance = counts @ (first * second) / total - mean_first * mean_second
    variances = (counts @ first**2 / total - mean_first**2) * (counts @ second**2 / total - mean_second**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(variances > 1e-20, covariance / np.sqrt(variances), np.nan)
    return found


def read_steps(path: Path) -> Steps:
    """Local embeddings of a model, the first visit of each participant; ValueError without any complete beat."""
    with np.load(path, allow_pickle=False) as stored:
        names = ("test_visits", "local_valid", "ecg_local", "cmr_local", "cmr_local_still")
        if lacking := [name for name in names if name not in stored]:
            raise ValueError(f"{path} has no {', '.join(lacking)}: only contrastive models have local embeddings")
        visits, valid, ecg, cmr, still = (stored[name] for name in names)
    first: dict[str, int] = {}
    for row in sorted(range(len(visits)), key=lambda row: participants.visit_order(visits[row])):
        first.setdefault(participants.visit_order(visits[row])[0], row)
    chosen = np.array(list(first.values()))
    usable = chosen[valid[chosen]]
    if not usable.size:
        raise ValueError(f"{path}: no test participant has a complete beat in the crop")
    return Steps(visits[usable].tolist(), ecg[usable], cmr[usable], still, int(chosen.size - usable.size))


@dataclass(frozen=True)
class People:
    """The test participants that all models share.

    visits : m. counts : (B, m), draws of the bootstrap. true_shifts : (m,) of a simulated cohort.
    """

    visits: list[str]
    counts: Array
    true_shifts: Array | None


@dataclass(frozen=True)
class Aligned:
    """The steps of one model and seed, compared: cosines (m, T, T), and estimates (B,) by statistic."""

    steps: Steps
    cosines: NDArray[np.float32]
    estimates: dict[str, Array]


def compare(path: Path, people: People, *, seed: int) -> Aligned:
    """Share near the diagonal, its controls and the correlation of shifts of one model and seed.

    ValueError if the file holds other participants.
    """
    steps = read_steps(path)
    if steps.visits != people.visits:
        raise ValueError(f"{path} holds other test participants than the models before it: rerun the embedding")
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
    """Matrix, share near the diagonal, controls, and paired difference from the first model, of each model; and the
    matrix of one participant by label.

    truth : causes of a simulated cohort, by visit. ValueError if the models do not share their participants.
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
        log.info("%s: %.3f of steps within one step of the diagonal", row.label, numbers["share"])
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
    """The participants of one file of embeddings, and their draws."""
    visits = read_steps(path).visits
    generator = seeds.generator(seed, "bootstrap", "alignment")
    counts = uncertainty.draw_counts(len(visits), draws=settings.bootstrap, generator=generator)
    true_shifts = None if truth is None else read_phase_shifts(truth, visits=visits)
    return People(visits, counts, true_shifts)


def _numbers(estimates: Mapping[str, Estimates], *, reference: Estimates | None, confidence: float) -> dict[str, float]:
    """Values with intervals, and differences from the controls and from the share of the first model."""
    numbers: dict[str, float] = {}
    for name, estimate in estimates.items():
        numbers |= uncertainty.columns(name, estimate, confidence=confidence)
    share = estimates["share"]
    for control in ("other", "still"):
        other = estimates[f"{control}_share"]
        numbers |= uncertainty.paired_columns(f"beyond_{control}", share, reference=other, confidence=confidence)
    return numbers | uncertainty.paired_columns("share", share, reference=reference, confidence=confidence)


def main() -> None:
    """Write the alignment numbers and their figure."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="Cosine similarity of ECG and CMR steps over the cycle (Fig. 2).")
    parser.add_argument("--settings", required=True, help="JSON of the alignment section")
    parser.add_argument("--embeddings", required=True, type=samples.files, help="JSON: by model and seed, FILE.npz")
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")
    parser.add_argument("--truth", type=Path, help="causes of a simulated cohort (truth.csv)")
    parser.add_argument("--figure", required=True, nargs="+", type=Path, help="figures to write, the suffix gives the format")
    parser.add_argument("--example", required=True, type=Path, help="figure of one participant to write, not to be shared")
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
