"""Contrastive learning from two views of each sample of one modality (SimCLR; Chen et al. 2020)."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ptacl import config
from ptacl.learning import losses, processes
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights
from ptacl.models import heads
from ptacl.models.build import AnyEncoder


class SimCLRObjective(Objective):
    """Contrastive learning from two views of each sample.

    A batch has one view of each sample of the modality, followed by a second view of each in the
    same order. The projector is not saved.
    """

    whole_batches = True

    def __init__(
        self,
        settings: config.SimCLR,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        ((self.modality, encoder),) = encoders.items()
        self.needs = {"views": 2}
        with initial_weights(seed, "projectors"):
            self.hidden = heads.projector(encoder.width, encoder.width)
            self.out = heads.projector(encoder.width, settings.projection_width)

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Centre the input of the projector."""
        pooled = [heads.pool(self.encoders[self.modality](b[self.modality])) for b in batches]
        heads.centre(self.hidden, torch.cat(pooled))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, its chance level, and `top1`.

        `top1` is the share of first views whose nearest other view is that of their own sample.
        """
        tokens_BND = self.encoders[self.modality](batch[self.modality])
        hidden_BD = heads.project(tokens_BND, self.hidden)
        with torch.autocast(hidden_BD.device.type, enabled=False):
            first, second = self.out(hidden_BD.relu()).chunk(2)
        if self.training:
            first, second = processes.gather(torch.cat([first, second], 1)).chunk(2, 1)
        loss, top1 = losses.nt_xent(first, second, temperature=self.settings.temperature)
        chance = torch.full_like(loss.detach(), math.log(2 * len(first) - 1))
        return {"loss": loss, "contrast": loss.detach(), "contrast_chance": chance, "top1": top1}
