"""Local embeddings of phases of the cycle, and how well those of ECG and CMR correspond.

Shapes: m participants, T phases of the cycle from end-diastole, D embedding width, B bootstrap
draws, of which the first is the sample itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import participants
from ptacl.evaluation.cosine import unit

Array = NDArray[np.float64]

_BLOCK = 512
_NEAR = 1  # phases
_CONTROLS = 5  # random draws per control


@dataclass(frozen=True)
class Phases:
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
    own_phase = np.arange(cosines_mtt.shape[1])
    distance = np.abs(cosines_mtt.argmax(axis=2) - own_phase)
    share: Array = (distance <= _NEAR).mean(axis=1)
    return share


def chance(num_phases: int) -> float:
    """Return the share expected if each CMR phase were equally likely to be the most similar."""
    phase = np.arange(num_phases)
    return float((np.abs(phase[:, None] - phase) <= _NEAR).mean())


def control_shares(phases: Phases, *, generator: np.random.Generator) -> dict[str, Array]:
    """Return the shares (m,) with other cines, a still cine, and CMR phases in random order.

    The first and the last are averaged over several draws.
    """
    people, num_phases = phases.ecg.shape[:2]
    own = cosines(phases.ecg, phases.cmr)
    with_others, permuted = [], []
    for shift in range(1, min(_CONTROLS, people - 1) + 1):
        other_cmr = np.roll(phases.cmr, shift, axis=0)
        with_others.append(share_near_diagonal(cosines(phases.ecg, other_cmr)))
    if not with_others:  # a single participant has nobody else's cine
        with_others.append(share_near_diagonal(own))
    for _ in range(_CONTROLS):
        order = generator.permuted(np.tile(np.arange(num_phases), (people, 1)), axis=1)
        reordered = np.take_along_axis(own, order[:, None, :], axis=2)
        permuted.append(share_near_diagonal(reordered))
    still_cmr = np.broadcast_to(phases.still, phases.cmr.shape)
    return {
        "other_share": np.mean(with_others, axis=0),
        "still_share": share_near_diagonal(cosines(phases.ecg, still_cmr)),
        "permuted_share": np.mean(permuted, axis=0),
    }


def phase_shifts(cosines_mtt: NDArray[np.float32]) -> Array:
    """Return how much later in the cycle the most similar CMR phases are, (m,), in cycles.

    This is the mean over ECG phases. Each phase is at most half a cycle late or early.
    """
    num_phases = cosines_mtt.shape[1]
    late = cosines_mtt.argmax(axis=2) - np.arange(num_phases)
    half = num_phases // 2
    shift: Array = ((late + half) % num_phases - half).mean(axis=1) / num_phases
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


def read(path: Path) -> Phases:
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
    first_row: dict[str, int] = {}
    for row in sorted(range(len(visits)), key=lambda row: participants.visit_order(visits[row])):
        participant = participants.visit_order(visits[row])[0]
        first_row.setdefault(participant, row)
    chosen = np.array(list(first_row.values()))
    usable = chosen[valid[chosen]]
    if not usable.size:
        raise ValueError(
            f"{path}: no test participant has a complete beat in the ECG crop, so use more "
            "participants"
        )
    return Phases(
        visits[usable].tolist(), ecg[usable], cmr[usable], still, int(chosen.size - usable.size)
    )
