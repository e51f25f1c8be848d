"""Cross-modal autoencoder with one latent space (CMAE; Radhakrishnan et al. 2023).

Each modality has an encoder and a decoder. As in the publication, each coordinate of the latent
that a decoder receives comes from one of the modalities at random, and a contrastive loss draws the
latents of a pair together. Four decisions are ours. Encoders and inputs are those of the other
models. The random choice is made for each sample. Reconstruction errors are shares of the variance
of the reconstructed signal, so that neither modality outweighs the other. The contrastive loss is
InfoNCE with its logarithm and a fixed temperature.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.learning import losses, processes
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights, weighted
from ptacl.models import heads, vit
from ptacl.models.build import AnyEncoder
from ptacl.models.mae import LatentDecoder


class CrossAutoencoderObjective(Objective):
    """Cross-modal autoencoder of ECG and CMR.

    A batch has "ecg" and "cmr", both again without corruption, and "noise" (B, latent width). A
    coordinate is taken from the ECG if its noise is below one half.
    """

    whole_batches = True

    def __init__(
        self,
        settings: config.CrossAutoencoder,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        self.needs = {"masked": settings.latent_width}
        with initial_weights(seed, "projectors"):
            self.latents = nn.ModuleDict(
                {m: heads.projector(e.width, settings.latent_width) for m, e in encoders.items()}
            )
        with initial_weights(seed, "decoders"):
            self.decoders = nn.ModuleDict(
                {
                    m: LatentDecoder(
                        self.encoder(m), settings.decoder, latent_width=settings.latent_width
                    )
                    for m in encoders
                }
            )

    def saved(self) -> dict[str, nn.Module]:
        """Return encoders, and the maps to the latent space as projectors."""
        return {
            **super().saved(),
            **{f"{m}_projector": latent for m, latent in self.latents.items()},
        }

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Centre both latents."""
        pooled: dict[str, list[Tensor]] = {m: [] for m in self.encoders}
        for batch in batches:
            for m, encoder in self.encoders.items():
                pooled[m].append(heads.pool(encoder(batch[m])))
        for m, linear in self.latents.items():
            assert isinstance(linear, nn.Linear)
            heads.centre(linear, torch.cat(pooled[m]))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, the contrastive term `global` with its chance level, and both errors.

        `ecg_error` and `cmr_error` are shares of the variance.
        """
        z = {}
        for m, linear in self.latents.items():
            assert isinstance(linear, nn.Linear)
            z[m] = heads.project(self.encoders[m](batch[m]), linear)
        mixed_BP = torch.where(batch["noise"] < 0.5, z["ecg"], z["cmr"])
        errors = {m: self._error(m, mixed_BP, batch[f"{m}_clean"]) for m in z}
        z_ecg, z_cmr = z["ecg"], z["cmr"]
        if self.training:
            z_ecg, z_cmr = processes.gather(torch.cat([z_ecg, z_cmr], 1)).chunk(2, 1)
        contrast = losses.global_loss(
            z_ecg, z_cmr, temperature=self.settings.temperature, direction_weight=0.5
        )
        samples = torch.tensor(len(mixed_BP), device=contrast.device)
        rebuilt = sum(errors.values(), torch.zeros_like(contrast))
        loss = (
            weighted(rebuilt, samples) if self.training else rebuilt
        ) + self.settings.contrastive_weight * contrast
        chance = torch.full_like(contrast.detach(), math.log(len(z_ecg)))
        shown = {"global": contrast.detach(), "global_chance": chance}
        return (
            {"loss": loss} | shown | {f"{m}_error": error.detach() for m, error in errors.items()}
        )

    def _error(self, modality: str, latent_BP: Tensor, clean_BS: Tensor) -> Tensor:
        true_BNP = vit.patchify(clean_BS, self.encoder(modality).patch)
        predicted_BNP = self.decoders[modality](latent_BP).to(true_BNP.dtype)
        error: Tensor = (predicted_BNP - true_BNP).square().mean() / true_BNP.var().clamp_min(1e-6)
        return error
