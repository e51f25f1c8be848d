"""Masked reconstruction of one modality (Sec. 3.1)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ptacl.config import Autoencoder
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights, weighted
from ptacl.models import vit
from ptacl.models.build import AnyEncoder
from ptacl.models.mae import MAE


class Reconstruction(Objective):
    """Masked reconstruction of one modality.

    A batch has the modality, the uncorrupted modality as "ecg_clean" or "cmr_clean", and "noise"
    (B, N). The tokens with the lowest noise stay visible.
    """

    def __init__(
        self,
        settings: Autoencoder,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__(settings, {}, seed=seed)
        ((self.modality, encoder),) = encoders.items()
        if not isinstance(encoder, vit.VisionTransformer):
            raise ValueError(
                "a masked autoencoder needs an encoder of patches: remove `encoders` from "
                "this entry"
            )
        with initial_weights(seed, f"{self.modality} decoder"):
            self.mae = MAE(encoder, settings.decoder, mask_ratio=settings.mask_ratio)
        self.needs = {"masked": encoder.num_tokens}

    def saved(self) -> dict[str, nn.Module]:
        """Return encoder and decoder."""
        return {self.modality: self.mae.encoder, f"{self.modality}_decoder": self.mae.decoder}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, the mean squared error over masked values."""
        loss = self.mae(batch[self.modality], batch["noise"], batch[f"{self.modality}_clean"])[
            "loss"
        ]
        if not self.training:
            return {"loss": loss}
        # filled on the device: a copy of a number would wait for it
        samples = torch.full((), len(batch["noise"]), device=loss.device)
        return {"loss": weighted(loss, samples)}
