"""Regression of all phenotypes together from one modality.

The encoder is trained from scratch, or all layers of another model's encoder are fine-tuned.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights, weighted
from ptacl.models import heads
from ptacl.models.build import AnyEncoder


class SupervisedObjective(Objective):
    """Regression of phenotypes.

    A batch has the modality and "targets" (B, P), z-scored over the training participants, NaN if a
    phenotype is missing.
    """

    def __init__(
        self,
        settings: config.Supervised,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        if targets is None:
            raise ValueError("a supervised model needs phenotypes: give --phenotypes")
        ((self.modality, encoder),) = encoders.items()
        attention_heads = getattr(encoder.settings, "heads", 1)
        head = config.Head(
            width=encoder.width, pool=settings.pool, heads=attention_heads, phenotypes=targets.names
        )
        with initial_weights(seed, "head"):
            self.head = heads.PredictionHead(head)
        self.head.mean.copy_(torch.tensor(targets.mean))
        self.head.std.copy_(torch.tensor(targets.std))

    def saved(self) -> dict[str, nn.Module]:
        """Return encoder and head."""
        return {**super().saved(), f"{self.modality}_head": self.head}

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Centre the input of the linear layer.

        Without this, tokens of all participants point in nearly the same direction.
        """
        encoder = self.encoders[self.modality]
        heads.centre(
            self.head.linear,
            torch.cat([self.head.pooled(encoder(b[self.modality])) for b in batches]),
        )
        self.head.linear.weight.mul_(0.1)  # so that the first predictions are near the mean
        self.head.linear.bias.mul_(0.1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, the mean squared error over known values.

        Predicting the mean of the training participants gives a loss of 1.
        """
        scores_BP, targets_BP = (
            self.head(self.encoders[self.modality](batch[self.modality])),
            batch["targets"],
        )
        known_BP = targets_BP.isfinite()
        error_BP = (scores_BP - targets_BP.where(known_BP, 0)).where(known_BP, 0) ** 2
        loss = error_BP.sum() / known_BP.sum().clamp(min=1)
        return {"loss": weighted(loss, known_BP.sum()) if self.training else loss}
