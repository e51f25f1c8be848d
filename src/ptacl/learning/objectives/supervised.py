"""Regression of all phenotypes at once from one modality: from scratch, or full fine-tuning of another model's encoder."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights, weighted
from ptacl.models import heads
from ptacl.models.build import AnyEncoder


class Supervised(Objective):
    """Batch: the modality, and "targets" (B, P), z-scored over the training participants, NaN where a phenotype is missing."""

    def __init__(
        self, settings: config.Supervised, encoders: Mapping[str, AnyEncoder], *, seed: int, targets: Targets | None = None
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        if targets is None:
            raise ValueError("a supervised model needs phenotypes: give --phenotypes")
        ((self.modality, encoder),) = encoders.items()
        attention_heads = getattr(encoder.settings, "heads", 1)
        head = config.Head(width=encoder.width, pool=settings.pool, heads=attention_heads, phenotypes=targets.names)
        with initial_weights(seed, "head"):
            self.head = heads.Head(head)
        self.head.mean.copy_(torch.tensor(targets.mean))
        self.head.std.copy_(torch.tensor(targets.std))

    def saved(self) -> dict[str, nn.Module]:
        """Encoder and head."""
        return {**super().saved(), f"{self.modality}_head": self.head}

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Centre what the linear layer sees: tokens of all participants point nearly the same way."""
        encoder = self.encoders[self.modality]
        heads.centre(self.head.linear, torch.cat([self.head.pooled(encoder(b[self.modality])) for b in batches]))
        self.head.linear.weight.mul_(0.1)  # the first predictions are near the mean
        self.head.linear.bias.mul_(0.1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`: mean squared error over known values, so that 1 is what the mean of the training participants gives."""
        scores_BP, targets_BP = self.head(self.encoders[self.modality](batch[self.modality])), batch["targets"]
        known_BP = targets_BP.isfinite()
        error_BP = (scores_BP - targets_BP.where(known_BP, 0)).where(known_BP, 0) ** 2
        loss = error_BP.sum() / known_BP.sum().clamp(min=1)
        return {"loss": weighted(loss, known_BP.sum()) if self.training else loss}
