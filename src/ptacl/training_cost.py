"""Estimate the cost of trainings, before and during a run.

The cost is the number of operations in matrix products and the number of samples, by arithmetic.
"""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np

from ptacl import config

_TRAINED = 3  # a layer that is trained costs about three times its forward pass
_SAMPLE_S = 0.002  # crops, augmentation and batches on a CPU


class Work(NamedTuple):
    """Cost of a training, summed over its seeds.

    `flops` are the operations in matrix products. `samples` counts each modality of a visit as one.
    """

    flops: float
    samples: float

    def seconds(self, rate: float) -> float:
        """Return the time in seconds at `rate` operations per second."""
        return self.flops / rate + _SAMPLE_S * self.samples


def needed(settings: config.Config) -> list[str]:
    """Return the models that the rows of all tables show, and those they start from."""
    tables = (settings.regression, settings.retrieval, settings.alignment)
    return settings.needed(chain.from_iterable(table.rows for table in tables))


def trainings(
    settings: config.Config, *, visits: int, models: Iterable[str] | None = None
) -> dict[str, Work]:
    """Return the cost of each training that `models` need; by default, those of all rows."""
    share = 1 - settings.cohort.test_fraction - settings.cohort.validation_fraction
    costs: dict[str, Work] = {}
    for name in needed(settings) if models is None else models:
        entry = settings.models[name]
        if not isinstance(entry, config.Trained):
            continue
        encoders = settings.inputs_of(name).encoders
        passes = visits * share * entry.training.epochs * len(settings.seeds_of(name))
        operations = sum(
            _step(encoder, entry, frozen=entry.frozen(modality))
            for modality, encoder in encoders.items()
        )
        costs[name] = Work(operations * passes, passes * len(encoders))
    return costs


def _step(encoder: config.AnyEncoder, entry: config.Trained, *, frozen: int | str) -> float:
    """Return the operations in the forward and backward pass of one sample.

    The encoder sees only the tokens that are not hidden; its decoder, if any, sees all tokens.
    Frozen layers have no backward pass.
    """
    if isinstance(encoder, config.ResNet):
        forward = 8.2e9 * (encoder.base_width / 64) ** 2 * (encoder.shape[1] / 224) ** 2
        return forward if frozen == "all" else _TRAINED * forward
    tokens = float(np.prod(np.array(encoder.shape) // np.array(encoder.patch)))
    seen = (1 - getattr(entry, "mask_ratio", 0.0)) * tokens
    fixed = encoder.depth if frozen == "all" else int(frozen)
    operations = _transformer(seen, fixed, encoder.width)
    operations += _TRAINED * _transformer(seen, encoder.depth - fixed, encoder.width)
    decoder = getattr(entry, "decoder", None)
    if decoder is not None:
        operations += _TRAINED * _transformer(tokens, decoder.depth, decoder.width)
    return operations


def _transformer(tokens: float, depth: int, width: int) -> float:
    return depth * (24 * tokens * width**2 + 4 * tokens**2 * width)
