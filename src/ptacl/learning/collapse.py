"""Measure how much of a contrastive loss was learned.

A training whose loss stays at that of guessing has learned nothing of this term. How far a loss can
fall differs. The global loss can fall nearly to zero. The local loss has soft targets, and its
cosines end at 1: with sigma 0.1, temperature 1 and 13 phases it can only fall from 2.565 to 1.933.
So a local loss is judged by the share of its reachable range. No model comes near the lowest value
of the other losses, so they are judged by the share of the loss of guessing.
"""

import functools
import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize

from ptacl import config, seeds
from ptacl.learning import losses

LEAST_OF_RANGE = 0.10  # share of the reachable range below which a loss counts as hardly learned
_NOTHING = 0.05  # percent; less is not told apart from guessing
LEAST_OF_CHANCE = 0.003  # the same, of the loss of guessing: collapse stays within 0.1 %


def floors(entry: config.Entry, inputs: config.Inputs) -> dict[str, float]:
    """Return the lowest reachable value of each term that is judged by it.

    This is only the local loss of Eq. 3.
    """
    if (
        not isinstance(entry, config.Contrastive)
        or entry.local is None
        or entry.local.loss != "infonce"
    ):
        return {}
    cine = inputs.encoders["cmr"]
    assert isinstance(cine, config.Encoder)
    every_phase = entry.local.phases == "all"
    phases = cine.shape[0] // cine.patch[0] if every_phase else 2
    sigma = entry.local.sigma if every_phase else 0.0
    lowest = local_floor(
        phases,
        sigma=sigma,
        temperature=entry.local.temperature,
        direction_weight=entry.direction_weight,
    )
    return {"local": lowest}


@functools.cache
def local_floor(phases: int, *, sigma: float, temperature: float, direction_weight: float) -> float:
    """Return the lowest value of the local loss (Eq. 3) over all possible embeddings.

    The embeddings are those of `phases` ECG and as many CMR phases. The loss is convex in the
    matrix of cosines. With twice as many dimensions as phases, unit vectors can produce every such
    matrix, so a descent from any start ends at the lowest value. Phases whose mean is subtracted
    first (`local.centre`) reach the same value.
    """
    alignment = losses.alignment_matrix(phases, sigma=sigma)
    shape = (2, 1, phases, 2 * phases)
    valid = torch.ones(1, dtype=torch.bool)

    def loss_and_gradient(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        embedding = torch.tensor(values).view(shape).requires_grad_()
        loss = losses.local_loss(
            *embedding,
            alignment=alignment,
            temperature=temperature,
            direction_weight=direction_weight,
            valid_B=valid,
        )
        (gradient,) = torch.autograd.grad(loss, embedding)
        return loss.item(), gradient.numpy().ravel()

    start = seeds.generator(0, "floor of the local loss").standard_normal(math.prod(shape))
    found = optimize.minimize(
        loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}
    )
    return float(found.fun)


def terms(columns: Iterable[str]) -> list[str]:
    """Return the terms of a loss that have a chance level, given the columns of the metrics."""
    known = list(columns)
    found = [
        str(name).removeprefix("train_").removesuffix("_chance")
        for name in known
        if str(name).endswith("_chance")
    ]
    return [term for term in dict.fromkeys(found) if f"train_{term}" in known]


def learned(row: Mapping[str, float], term: str, floors: Mapping[str, float]) -> float:
    """Return the share of the way from the loss of guessing to the floor of a term.

    Zero takes the place of the floor for a term that has none.

    Parameters
    ----------
    row : mapping of str to float
        One epoch of the metrics. A term is a column `train_x` next to `train_x_chance`. Its
        validation value is used if there is one.
    term : str
        Name of the term, such as `global` or `local`.
    floors : mapping of str to float
        Lowest values from :func:`floors`.
    """
    split = "validation" if math.isfinite(row.get(f"validation_{term}", math.nan)) else "train"
    guess = row[f"{split}_{term}_chance"]
    return (guess - row[f"{split}_{term}"]) / (guess - floors.get(term, 0.0))


def at_chance(row: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """Return the terms that an epoch has not learned, or hardly."""
    least = {term: LEAST_OF_RANGE if term in floors else LEAST_OF_CHANCE for term in terms(row)}
    return [term for term in least if learned(row, term, floors) < least[term]]


def warnings(row: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """Return one sentence for each term that an epoch has not learned, or hardly."""
    found = []
    for term in at_chance(row, floors):
        share = 100 * learned(row, term, floors)
        if term in floors:
            fact = (
                f"the {term} loss went {share:.1f} % of the way from guessing to its lowest "
                "possible value"
            )
        else:
            fact = f"the {term} loss is only {share:.1f} % below that of guessing"
        if share < _NOTHING:
            fact = f"the {term} loss is not below that of guessing"
        found.append(
            f"{fact}, so it was hardly learned. A smaller learning rate, a longer warm-up, "
            "a larger batch or more steps may help"
        )
    return found
