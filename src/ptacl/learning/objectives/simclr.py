"""Two views of each sample told from those of others (SimCLR; Chen et al. 2020), one modality."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ptacl import config
from ptacl.learning import losses, processes
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights
from ptacl.models import heads
from ptacl.models.build import AnyEncoder


class SimCLR(Objective):
    """Batch: the modality, first one view of each sample and then, in the same order, another. The projector is dropped."""

    def __init__(
        self, settings: config.SimCLR, encoders: Mapping[str, AnyEncoder], *, seed: int, targets: Targets | None = None
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        ((self.modality, encoder),) = encoders.items()
        self.needs = {"views": 2}
        with initial_weights(seed, "projectors"):
            self.hidden = heads.projector(encoder.width, encoder.width)
            self.out = heads.projector(encoder.width, settings.projection_width)

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Centre what the projector sees."""
        pooled = [heads.pool(self.encoders[self.modality](b[self.modality])) for b in batches]
        heads.centre(self.hidden, torch.cat(pooled))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, its chance level, and `top1`: the share of first views whose nearest other view is their own."""
        tokens_BND = self.encoders[self.modality](batch[self.modality])
        hidden_BD = heads.project(tokens_BND, self.hidden)
        with torch.autocast(hidden_BD.device.type, enabled=False):
            first, second = self.out(hidden_BD.relu()).chunk(2)
        if self.training:
            first, second = processes.gather(torch.cat([first, second], 1)).chunk(2, 1)
        loss, top1 = losses.nt_xent(first, second, temperature=self.settings.temperature)
        chance = torch.full_like(loss.detach(), math.log(2 * len(first) - 1))
        return {"loss": loss, "contrast": loss.detach(), "contrast_chance": chance, "top1": top1}
