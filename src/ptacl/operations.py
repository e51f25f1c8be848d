"""Estimate the cost of trainings, before and during a run.

The cost is the number of operations in matrix products and the number of samples, by arithmetic.
"""

from typing import Any, NamedTuple

import numpy as np

from ptacl import config

_BACKWARD = 3  # a step costs about three times its forward pass
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


def trainings(settings: config.Config, *, visits: int) -> dict[str, Work]:
    """Return the cost of each training that the shown rows need, with those they start from."""
    rows = [
        row
        for table in (settings.regression, settings.retrieval, settings.alignment)
        for row in table.rows
    ]
    found: dict[str, Work] = {}
    share = 1 - settings.cohort.test_fraction - settings.cohort.validation_fraction
    for name in settings.needed(rows):
        entry = settings.models[name]
        if not isinstance(entry, config.Trained):
            continue
        encoders = settings.inputs_of(name).encoders.values()
        passes = visits * share * entry.training.epochs * len(settings.seeds_of(name))
        one = sum(
            _forward(
                encoder,
                decoder=getattr(entry, "decoder", None),
                hidden=getattr(entry, "mask_ratio", 0.0),
            )
            for encoder in encoders
        )
        found[name] = Work(_BACKWARD * one * passes, passes * len(encoders))
    return found


def _forward(encoder: config.AnyEncoder, *, decoder: Any, hidden: float) -> float:
    """Return the operations in one forward pass of one sample.

    The encoder sees only the tokens that are not hidden; its decoder, if any, sees all tokens.
    """
    if isinstance(encoder, config.ResNet):
        return 8.2e9 * (encoder.base_width / 64) ** 2 * (encoder.shape[1] / 224) ** 2
    tokens = float(np.prod([n // p for n, p in zip(encoder.shape, encoder.patch, strict=True)]))
    parts = [((1 - hidden) * tokens, encoder)] + ([(tokens, decoder)] if decoder else [])
    return float(
        sum(part.depth * (24 * n * part.width**2 + 4 * n**2 * part.width) for n, part in parts)
    )
