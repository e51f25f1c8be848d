"""What is learned: each objective is a module from a batch to {"loss": scalar, and detached scalars to show}.

Its attribute `selection` names the value whose validation mean chooses the best epoch. A value `x_chance` is the loss that `x`
has while nothing is learned (:mod:`ptacl.learning.chance`).

A new method is one more class here. Shape letters: B patients, L leads, T steps of the cardiac cycle, N tokens, D token width,
P width of the shared space.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ptacl import seeds
from ptacl.config import Experiment
from ptacl.learning import losses, processes
from ptacl.models import heads, vit
from ptacl.models.mae import MAE


@contextmanager
def initial_weights(seed: int, part: str) -> Iterator[None]:
    """Modules built inside get weights that depend on the seed and the name of the part alone; other draws go on as if not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "initial weights", part))
        yield


def ecg_steps(tokens_BND: Tensor, beats_BTM: Tensor) -> Tensor:
    """Local ECG embedding, one vector a step of the mean beat: (B, T, D).

    tokens_BND : L x M tokens, lead by lead. beats_BTM : which tokens make up which step (`ptacl.ecg.beats`). The mean over leads,
    the interpolation within beats and the mean over beats are linear: one product does them all.
    """
    (batch, tokens, width), times = tokens_BND.shape, beats_BTM.shape[2]
    tokens_BMD = tokens_BND.view(batch, tokens // times, times, width).mean(1)
    return torch.bmm(beats_BTM.to(tokens_BMD), tokens_BMD)


def cmr_steps(tokens_BND: Tensor, *, steps: int) -> Tensor:
    """Local CMR embedding, the mean over the image of each temporal token: (B, T, D). tokens_BND : step by step."""
    batch, tokens, width = tokens_BND.shape
    return tokens_BND.view(batch, steps, tokens // steps, width).mean(2)


class Reconstruction(nn.Module):
    """Masked reconstruction of one modality.

    Batch: the modality, as "ecg_clean" or "cmr_clean" the same before it was corrupted, and "noise" (B, N), whose lowest tokens
    stay visible.
    """

    selection = "loss"

    def __init__(self, mae: MAE, *, modality: str) -> None:
        super().__init__()
        self.mae, self.modality = mae, modality

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`loss`: mean squared error over masked values."""
        loss = self.mae(batch[self.modality], batch["noise"], batch[f"{self.modality}_clean"])["loss"]
        samples = torch.tensor(len(batch["noise"]), device=loss.device)
        return {"loss": weighted(loss, samples) if self.training else loss}


class Contrastive(nn.Module):
    """Global and local contrastive learning of ECG and CMR (Sec. 3.2): L = L_global + beta L_local.

    Batch: "ecg" (B, L, S), "cmr" (B, F, H, W), and where beta > 0 "beats" (B, T, M) and "valid" (B,), False where the crop holds
    no complete beat. With beta 0 the local term is not computed. The best epoch is chosen by the global term, which means the
    same for every beta.
    """

    selection = "global"

    def __init__(self, ecg: vit.Encoder, cmr: vit.Encoder, *, settings: Experiment) -> None:
        super().__init__()
        self.ecg, self.cmr, self.settings = ecg, cmr, settings
        self.ecg_projector = heads.projector(ecg.width, settings.projection_width)
        self.cmr_projector = heads.projector(cmr.width, settings.projection_width)
        if settings.beta > 0 and ecg.width != cmr.width:
            raise ValueError(f"the local loss compares tokens: encoders have widths {ecg.width} and {cmr.width}, make them equal")
        ecg.freeze(settings.frozen_layers)
        cmr.freeze(settings.frozen_layers)
        self.register_buffer("alignment", losses.alignment_matrix(cmr.grid[0], sigma=settings.sigma), persistent=False)

    @torch.no_grad()
    def start_projectors(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Set both projectors so that their output starts centred and of even spread over these samples.

        Average-pooled tokens of all participants point nearly the same way: every cosine is close to 1, and the first hundreds
        of steps would pass in telling them apart. (The paper gives no initial values.)
        """
        pooled = [(heads.pool(self.ecg(b["ecg"])), heads.pool(self.cmr(b["cmr"]))) for b in batches]
        for projector, parts in zip((self.ecg_projector, self.cmr_projector), zip(*pooled, strict=True), strict=True):
            pooled_ND = torch.cat(parts)
            spread_D = pooled_ND.std(0, unbiased=False).clamp_min(1e-6)
            projector.weight.div_(spread_D)
            with torch.autocast(pooled_ND.device.type, enabled=False):  # the mean is far larger than the spread
                projector.bias.copy_(-projector.weight @ pooled_ND.mean(0))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `global`, `top1` (ECG to CMR) and, with beta > 0, `local` and `valid` (share of the batch with a beat)."""
        ecg_BND, cmr_BND = self.ecg(batch["ecg"]), self.cmr(batch["cmr"])
        z_ecg, z_cmr = heads.project(ecg_BND, self.ecg_projector), heads.project(cmr_BND, self.cmr_projector)
        if self.training:
            z_ecg, z_cmr = processes.gather(torch.cat([z_ecg, z_cmr], 1)).chunk(2, 1)
        loss = losses.global_loss(
            z_ecg, z_cmr, temperature=self.settings.global_temperature, direction_weight=self.settings.direction_weight
        )
        out = {"global": loss.detach(), "global_chance": _chance(len(z_ecg), loss)}
        out |= {"top1": _top1(z_ecg.detach(), z_cmr.detach())}
        if self.settings.beta > 0:
            local = self._local(ecg_BND, cmr_BND, batch)
            loss = loss + self.settings.beta * local
            out |= {"local": local.detach(), "local_chance": _chance(self.cmr.grid[0], loss)}
            out |= {"valid": batch["valid"].float().mean()}
        return {"loss": loss} | out

    def _local(self, ecg_BND: Tensor, cmr_BND: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        # Sums over hundreds of tokens: not in bfloat16.
        with torch.autocast(ecg_BND.device.type, enabled=False):
            dtype = torch.promote_types(ecg_BND.dtype, torch.float32)
            loss = losses.local_loss(
                ecg_steps(ecg_BND.to(dtype), batch["beats"]),
                cmr_steps(cmr_BND.to(dtype), steps=self.cmr.grid[0]),
                alignment=self.get_buffer("alignment"),
                temperature=self.settings.local_temperature,
                direction_weight=self.settings.direction_weight,
                valid_B=batch["valid"],
            )
        return weighted(loss, batch["valid"].sum()) if self.training else loss


def weighted(mean: Tensor, samples: Tensor) -> Tensor:
    """A mean over the samples of this process, weighted so that the mean over processes is that over all samples."""
    return mean * processes.share(samples).to(mean) if processes.count() > 1 else mean


def _chance(candidates: int, loss: Tensor) -> Tensor:
    """Cross-entropy of a uniform guess among so many, whatever the targets."""
    return torch.full_like(loss.detach(), math.log(candidates))


def _top1(z_ecg_BP: Tensor, z_cmr_BP: Tensor) -> Tensor:
    """Share of ECGs whose nearest CMR of the batch is their own."""
    nearest = losses.cosine_similarity(z_ecg_BP, z_cmr_BP).argmax(1)
    return (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean()
