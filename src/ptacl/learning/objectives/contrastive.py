"""Global and local contrastive learning of ECG and CMR (Sec. 3.2).

Shape letters: B patients, L leads, T phases of the cardiac cycle, N tokens, D token width, P width
of the shared space.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ptacl import config
from ptacl.learning import losses, processes
from ptacl.learning.objectives.base import Batch, Objective, Targets, initial_weights, weighted
from ptacl.learning.phases import cmr_phases, ecg_phases
from ptacl.models import heads, parts
from ptacl.models.build import AnyEncoder


class ContrastiveObjective(Objective):
    """Global and local contrastive learning of ECG and CMR (Sec. 3.2).

    The loss is L = L_global + beta L_local, and beta L_phasewise if there is one. With
    `settings.loss`, a module of your own takes the place of L_global: it maps the projected ECGs
    and CMRs of the whole batch, both (B, P), to a scalar, and `temperature` and `direction_weight`
    only apply to the other losses. The best epoch is chosen by the global term, because its meaning
    does not depend on the other losses.

    A batch has "ecg" (B, L, S) and "cmr" (B, F, H, W). With a loss that compares phases it also has
    "beats" (B, T, M) and "valid" (B,), which is False if the crop contains no complete beat.
    """

    selection = "global"
    whole_batches = True

    def __init__(
        self,
        settings: config.Contrastive,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__(settings, encoders, seed=seed)
        ecg, cmr, self.local = encoders["ecg"], encoders["cmr"], settings.local
        with initial_weights(seed, "projectors"):
            self.ecg_projector = _projector(ecg.width, settings)
            self.cmr_projector = _projector(cmr.width, settings)
        self.own_loss = _own_loss(settings, seed=seed)
        self.phasewise = settings.phasewise
        if self.phasewise:
            self.needs = {"beats": True}
            with initial_weights(seed, "phase projectors"):
                self.ecg_phase_projector = _phase_projector(ecg.width, settings)
                self.cmr_phase_projector = _phase_projector(cmr.width, settings)
        if self.local:
            if ecg.width != cmr.width:
                raise ValueError(
                    "the local loss compares tokens, but the encoders have widths "
                    f"{ecg.width} and {cmr.width}: make them equal"
                )
            self.needs = {"beats": True, "systole": self.local.phases == "ed_es"}
            whole = self.local.phases == "all"
            alignment = losses.alignment_matrix(
                cmr.grid[0] if whole else 2, sigma=self.local.sigma if whole else 0.0
            )
            self.register_buffer("alignment", alignment, persistent=False)

    def saved(self) -> dict[str, nn.Module]:
        """Return encoders and projectors."""
        return {
            **super().saved(),
            "ecg_projector": self.ecg_projector,
            "cmr_projector": self.cmr_projector,
        }

    @torch.no_grad()
    def begin(self, batches: Iterable[Batch]) -> None:
        """Initialise both projectors so that their outputs on these samples are centred and evenly
        spread.

        Average-pooled tokens of all participants point in nearly the same direction. Every cosine
        would be close to 1, and the model would spend hundreds of steps on separating them. (The
        paper gives no initial values.)
        """
        ecg_parts, cmr_parts, ecg_beats = [], [], []
        for batch in batches:
            ecg_BND, cmr_BND = (self.encoders[name](batch[name]) for name in ("ecg", "cmr"))
            ecg_parts.append(heads.pool(ecg_BND))
            cmr_parts.append(heads.pool(cmr_BND))
            if self.phasewise:
                ecg_BTD, _ = self._phases(ecg_BND, cmr_BND, batch)
                ecg_beats.append(ecg_BTD[batch["valid"]].mean(1))
        heads.centre(self.ecg_projector, torch.cat(ecg_parts))
        heads.centre(self.cmr_projector, torch.cat(cmr_parts))
        if self.phasewise:
            heads.centre(self.ecg_phase_projector, torch.cat(ecg_beats))
            heads.centre(self.cmr_phase_projector, torch.cat(cmr_parts))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss`, `global` and `top1` (ECG to CMR).

        With a loss that compares phases, also return `local` or `phasewise`, and `valid`, the share
        of the batch with a complete beat.
        """
        ecg_BND, cmr_BND = self.encoders["ecg"](batch["ecg"]), self.encoders["cmr"](batch["cmr"])
        z_ecg, z_cmr = (
            heads.project(ecg_BND, self.ecg_projector),
            heads.project(cmr_BND, self.cmr_projector),
        )
        if self.training:
            z_ecg, z_cmr = processes.gather(torch.cat([z_ecg, z_cmr], 1)).chunk(2, 1)
        loss, out = self._global(z_ecg, z_cmr)
        out |= {"top1": _top1(z_ecg.detach(), z_cmr.detach())}
        if self.local:
            local = self._local(ecg_BND, cmr_BND, batch)
            loss = loss + self.local.beta * local
            out |= {"local": local.detach(), "valid": batch["valid"].float().mean()}
            if self.local.loss == "infonce":
                out |= {"local_chance": _chance(len(self.get_buffer("alignment")), loss)}
        if self.phasewise:
            phasewise, chance = self._phasewise(ecg_BND, cmr_BND, batch)
            loss = loss + self.phasewise.beta * phasewise
            out |= {"phasewise": phasewise.detach(), "phasewise_chance": chance}
            out |= {"valid": batch["valid"].float().mean()}
        return {"loss": loss} | out

    def _global(self, z_ecg_BP: Tensor, z_cmr_BP: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the global loss, and its values for the metrics."""
        if self.own_loss is not None:
            loss: Tensor = self.own_loss(z_ecg_BP, z_cmr_BP)
            return loss, {"global": loss.detach()}
        loss = losses.global_loss(
            z_ecg_BP,
            z_cmr_BP,
            temperature=self.settings.temperature,
            direction_weight=self.settings.direction_weight,
        )
        return loss, {"global": loss.detach(), "global_chance": _chance(len(z_ecg_BP), loss)}

    def _phases(self, ecg_BND: Tensor, cmr_BND: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the local embeddings (B, T, D), at least float32: bfloat16 is too coarse for sums
        over hundreds of tokens.
        """
        with torch.autocast(ecg_BND.device.type, enabled=False):
            dtype = torch.promote_types(ecg_BND.dtype, torch.float32)
            ecg_BTD = ecg_phases(ecg_BND.to(dtype), batch["beats"])
            return ecg_BTD, cmr_phases(cmr_BND.to(dtype), phases=self.encoder("cmr").grid[0])

    def _phasewise(self, ecg_BND: Tensor, cmr_BND: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the phase-wise loss and the loss of guessing."""
        assert self.phasewise is not None
        with torch.autocast(ecg_BND.device.type, enabled=False):
            ecg_BTD, cmr_BTD = self._phases(ecg_BND, cmr_BND, batch)
            z_ecg, z_cmr = self.ecg_phase_projector(ecg_BTD), self.cmr_phase_projector(cmr_BTD)
            valid_B = batch["valid"]
            if self.training:
                z_ecg, z_cmr = (
                    processes.gather(z_BTP.flatten(1)).reshape(-1, *z_BTP.shape[1:])
                    for z_BTP in (z_ecg, z_cmr)
                )
                valid_B = processes.gather(valid_B[:, None].to(z_ecg))[:, 0] > 0
            loss = losses.phasewise_loss(
                z_ecg,
                z_cmr,
                temperature=self.phasewise.temperature,
                direction_weight=self.settings.direction_weight,
                valid_B=valid_B,
            )
        return loss, valid_B.sum().clamp(min=1).to(loss).log()

    def _local(self, ecg_BND: Tensor, cmr_BND: Tensor, batch: Batch) -> Tensor:
        assert self.local is not None
        with torch.autocast(ecg_BND.device.type, enabled=False):
            ecg_BTD, cmr_BTD = self._phases(ecg_BND, cmr_BND, batch)
            if self.local.phases == "ed_es":
                ecg_BTD = _two_phases(ecg_BTD, batch["systole"])
                cmr_BTD = _two_phases(cmr_BTD, batch["systole"])
            if self.local.centre:
                ecg_BTD = ecg_BTD - ecg_BTD.mean(dim=1, keepdim=True)
                cmr_BTD = cmr_BTD - cmr_BTD.mean(dim=1, keepdim=True)
            alignment, valid_B = self.get_buffer("alignment"), batch["valid"]
            if self.local.loss == "cosine":
                loss = losses.cosine_loss(ecg_BTD, cmr_BTD, alignment=alignment, valid_B=valid_B)
            else:
                how = {
                    "temperature": self.local.temperature,
                    "direction_weight": self.settings.direction_weight,
                }
                loss = losses.local_loss(
                    ecg_BTD, cmr_BTD, alignment=alignment, valid_B=valid_B, **how
                )
        return weighted(loss, batch["valid"].sum()) if self.training else loss


def _projector(width: int, settings: config.Contrastive) -> heads.Projector:
    if settings.projection_hidden is None:
        return heads.projector(width, settings.projection_width)
    return heads.two_layer_projector(width, settings.projection_hidden, settings.projection_width)


def _own_loss(settings: config.Contrastive, *, seed: int) -> nn.Module | None:
    if settings.loss is None:
        return None
    kind = parts.import_class(settings.loss, of=nn.Module)
    with initial_weights(seed, "own loss"):
        return kind(**settings.options)


def _phase_projector(width: int, settings: config.Contrastive) -> nn.Linear:
    """Create a linear map without a bias, which the phase-wise loss would subtract."""
    return heads.projector(width, settings.projection_width, bias=False)


def _two_phases(phases_BTD: Tensor, systole_B: Tensor) -> Tensor:
    """Return the phases of end-diastole (the first) and of end-systole: (B, 2, D)."""
    row = torch.arange(len(phases_BTD), device=phases_BTD.device)
    return torch.stack([phases_BTD[:, 0], phases_BTD[row, systole_B]], 1)


def _chance(candidates: int, loss: Tensor) -> Tensor:
    """Return the cross-entropy of a uniform guess among the candidates, whatever the targets."""
    return torch.full_like(loss.detach(), math.log(candidates))


def _top1(z_ecg_BP: Tensor, z_cmr_BP: Tensor) -> Tensor:
    """Return the share of ECGs whose nearest CMR in the batch is their own."""
    nearest = losses.cosine_similarity(z_ecg_BP, z_cmr_BP).argmax(1)
    return (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean()
