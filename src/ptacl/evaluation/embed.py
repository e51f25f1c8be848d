"""Stage: embed all visits with one model, in the evaluation view.

Contrastive models also give local embeddings, one per phase of the cardiac cycle, for the test set.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ptacl import files, participants, stage
from ptacl.config import Embedding
from ptacl.ecg.zscore import Zscore
from ptacl.evaluation.inputs import PHASES, WHOLE
from ptacl.learning import processes
from ptacl.learning.data import MORE_BEATS, MORE_CROPS, MORE_VALID, Samples
from ptacl.learning.maps import Place
from ptacl.learning.phases import cmr_phases, ecg_phases
from ptacl.learning.recordings import load, split_rows
from ptacl.models import heads, weights
from ptacl.models.build import AnyEncoder
from ptacl.models.vit import VisionTransformer

MODALITIES = ("ecg", "cmr")
_LOCAL = ("ecg_local", "cmr_local", "local_valid")  # arrays with only some samples of a batch


@dataclass(frozen=True)
class LoadedEncoders:
    """Encoders, projectors and heads of a model by modality, and the z-score of its ECGs."""

    encoders: dict[str, AnyEncoder]
    projectors: dict[str, nn.Module]
    heads: dict[str, heads.PredictionHead]
    zscore: Zscore

    def only(self, modality: str) -> "LoadedEncoders":
        """Return the parts of one modality."""
        return LoadedEncoders(
            encoders={m: part for m, part in self.encoders.items() if m == modality},
            projectors={m: part for m, part in self.projectors.items() if m == modality},
            heads={m: part for m, part in self.heads.items() if m == modality},
            zscore=self.zscore,
        )

    @property
    def local(self) -> bool:
        """Whether both modalities share a space of tokens, which local embeddings need."""
        if set(self.projectors) != set(MODALITIES):
            return False
        encoders = list(self.encoders.values())
        same_width = len({encoder.width for encoder in encoders}) == 1
        return same_width and all(isinstance(encoder, VisionTransformer) for encoder in encoders)


def load_model(folder: Path) -> LoadedEncoders:
    """Load a model folder."""
    names = weights.modules_of(folder)
    loaded = LoadedEncoders({}, {}, {}, weights.zscore(folder))
    for modality in MODALITIES:
        if modality in names:
            loaded.encoders[modality] = weights.encoder(folder, modality)
        if f"{modality}_projector" in names:
            projector = weights.projector(folder, f"{modality}_projector")
            loaded.projectors[modality] = projector
        if f"{modality}_head" in names:
            loaded.heads[modality] = weights.head(folder, f"{modality}_head")
    return loaded


@torch.inference_mode()
def embed(
    model: LoadedEncoders,
    samples: Samples,
    *,
    local_rows: np.ndarray,
    batch_size: int,
    device: torch.device,
    phases: bool = False,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Embed all samples and return the arrays of the embedding file by name.

    All models give `ecg` and `cmr` (n, D) float32, for the modalities that they have. Models with
    projectors add `ecg_projected` and `cmr_projected` (n, P) float32. Supervised models add
    `ecg_predicted` or `cmr_predicted` (n, phenotypes), in the units of the phenotypes.

    `ecg` sees the first samples of the record. `ecg_whole` is the mean over all crops of `samples`,
    which cover the record, and `ecg_whole_projected` its projection. With `phases`, contrastive
    models add `ecg_phases` (n, T x D) float16, the mean over crops of the local ECG embeddings.

    Contrastive models add local embeddings of the samples in `local_rows`, in their order:
    `ecg_local` and `cmr_local` (m, T, D) float16, and `local_valid` (m,). They also add
    `cmr_local_still` (T, D) float16, the local embedding of a cine that repeats the mean image of
    these samples. `samples` must then contain beats.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for part in (*model.encoders.values(), *model.projectors.values(), *model.heads.values()):
        part.to(device).eval()
    is_local = np.isin(np.arange(len(samples)), local_rows) & model.local
    images = torch.zeros(())
    starts = range(0, len(samples), batch_size)
    interval_s = 0.5 if sys.stderr.isatty() else 10
    for start in tqdm(
        starts, desc="embedding", unit="batch", mininterval=interval_s, disable=not progress
    ):
        chosen = np.arange(start, min(start + batch_size, len(samples)))
        # Every batch is padded to the full size: the rounding of a matrix product depends on its
        # size, and an embedding must not depend on how many samples share its batch.
        filled = np.pad(chosen, (0, batch_size - len(chosen)), mode="edge")
        batch = samples.finish(samples.collect(filled, epoch=None), device=device)
        local = torch.from_numpy(is_local[filled] & (np.arange(batch_size) < len(chosen))).to(
            device
        )
        for name, value in _embed_batch(model, batch, local=local, phases=phases).items():
            kept = value if name in _LOCAL else value[: len(chosen)]
            parts.setdefault(name, []).append(kept.cpu().numpy())
        if is_local.any():
            images = images + batch["cmr"][local].mean(dim=1, dtype=torch.float64).sum(dim=0).cpu()
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    if is_local.any():
        arrays["cmr_local_still"] = _still_phases(
            model, images / is_local.sum(), batch_size=batch_size, device=device
        )
    return arrays


def _still_phases(
    model: LoadedEncoders, image_HW: torch.Tensor, *, batch_size: int, device: torch.device
) -> np.ndarray:
    """Return the local CMR embedding (T, D) float16 of a cine that repeats one image."""
    encoder = model.encoders["cmr"]
    assert isinstance(encoder, VisionTransformer)
    frames = image_HW.to(device, torch.float32).expand(batch_size, *encoder.settings.shape)
    phases_BTD = cmr_phases(encoder(frames), phases=encoder.grid[0])
    return np.asarray(phases_BTD[0].half().cpu().numpy())


def _embed_batch(
    model: LoadedEncoders,
    batch: Mapping[str, torch.Tensor],
    *,
    local: torch.Tensor,
    phases: bool,
) -> dict[str, torch.Tensor]:
    tokens = {name: encoder(batch[name]) for name, encoder in model.encoders.items()}
    out = {name: heads.pool(t) for name, t in tokens.items()}
    for name, projector in model.projectors.items():
        out[f"{name}_projected"] = heads.project(tokens[name], projector)
    if "ecg" in tokens:
        of_crops = [tokens["ecg"]]
        if MORE_CROPS in batch:
            for crop in batch[MORE_CROPS].unbind(1):
                of_crops.append(model.encoders["ecg"](crop))
        out[WHOLE] = torch.stack([heads.pool(crop) for crop in of_crops]).mean(dim=0)
        if "ecg" in model.projectors:
            out[f"{WHOLE}_projected"] = model.projectors["ecg"](out[WHOLE])
        if phases and model.local:
            out[PHASES] = _phases_of_whole(of_crops, batch).flatten(1).half()
    out |= {f"{name}_predicted": head.predict(tokens[name]) for name, head in model.heads.items()}
    if model.local:
        ecg = ecg_phases(tokens["ecg"][local], batch["beats"][local])
        cmr = cmr_phases(tokens["cmr"][local], phases=model.encoders["cmr"].grid[0])
        out |= {
            "ecg_local": ecg.half(),
            "cmr_local": cmr.half(),
            "local_valid": batch["valid"][local],
        }
    return out


def _phases_of_whole(
    of_crops: Sequence[torch.Tensor], batch: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Return the mean local embedding (B, T, D) over the crops with a complete beat, or 0."""
    beats, valid = [batch["beats"]], [batch["valid"]]
    if MORE_BEATS in batch:
        beats += batch[MORE_BEATS].unbind(1)
        valid += batch[MORE_VALID].unbind(1)
    total = torch.zeros((), device=of_crops[0].device)
    for tokens_BND, beats_BTM, valid_B in zip(of_crops, beats, valid, strict=True):
        total = total + ecg_phases(tokens_BND, beats_BTM) * valid_B[:, None, None]
    count_B = torch.stack(valid).sum(dim=0).clamp(min=1)
    return total / count_B[:, None, None]


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="section embedding of the configuration"
    )
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument(
        "--ecg-shards",
        nargs="*",
        default=[],
        type=Path,
        help="manifests (k.json) of the ECG stores",
    )
    parser.add_argument(
        "--cmr-shards",
        nargs="*",
        default=[],
        type=Path,
        help="manifests (k.json) of the CMR stores",
    )
    parser.add_argument(
        "--maps",
        type=Place.of,
        default=Place(),
        metavar="JSON",
        help="section maps, as JSON; by default, recordings are kept in memory",
    )
    parser.add_argument("--model", required=True, type=Path, help="model folder")
    parser.add_argument(
        "--gpus", type=int, default=1, help="GPUs of the job (default 1); 0: use the CPU"
    )
    parser.add_argument("--out", required=True, type=Path, help="embedding file (.npz) to write")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, model = Embedding.model_validate_json(options.settings), load_model(options.model)
    table = participants.read(options.participants)
    recordings = load(
        table["visit"].tolist(),
        ecg=options.ecg_shards if "ecg" in model.encoders else [],
        cmr=options.cmr_shards if "cmr" in model.encoders else [],
        place=options.maps,
    ).standardised(model.zscore)
    sizes = {name: encoder.settings for name, encoder in model.encoders.items()}
    samples = Samples(
        recordings,
        list(np.arange(len(table))[:, None]),
        sizes=sizes,
        seed=0,
        beats=model.local,
        crops=settings.crops,
    )
    test = split_rows(table, "test")
    with processes.started(gpus=options.gpus) as device:
        arrays = embed(
            model,
            samples,
            local_rows=test,
            batch_size=settings.batch_size,
            device=device,
            phases=settings.phases,
        )
    arrays |= {"model": np.array(weights.digest(options.model)), "crops": np.array(settings.crops)}
    arrays |= {"visits": table["visit"].to_numpy(str), "split": table["split"].to_numpy(str)}
    arrays |= {
        f"{name}_phenotypes": np.array(head.settings.phenotypes)
        for name, head in model.heads.items()
    }
    if model.local:
        arrays["test_visits"] = arrays["visits"][test]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(options.out) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


if __name__ == "__main__":
    stage.run(main)
