"""Stage: embeddings of all visits by one model, in the evaluation view; for experiments also local ones of the test set."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ptacl.config import Embedding, Encoders
from ptacl.learning import processes
from ptacl.learning.data import Samples, load, read_participants, split_rows
from ptacl.learning.objectives import cmr_steps, ecg_steps, initial_weights
from ptacl.models import heads, weights
from ptacl.models.vit import Encoder

MODALITIES = ("ecg", "cmr")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Model:
    """Encoders by modality, and projectors by modality where the model is an experiment."""

    encoders: dict[str, Encoder]
    projectors: dict[str, nn.Linear]

    @property
    def local(self) -> bool:
        """Whether both modalities share a space of tokens, so that local embeddings mean something."""
        return set(self.projectors) == set(MODALITIES)


def random_model(encoders: Encoders, *, seed: int) -> Model:
    """Both encoders with the weights that training starts from."""
    out = {}
    for name in MODALITIES:
        with initial_weights(seed, name):
            out[name] = Encoder(getattr(encoders, name)).eval()
    return Model(out, {})


def load_model(folder: Path, *, encoders: Encoders) -> Model:
    """The encoders and projectors of a model folder. ValueError if it has other sizes than the settings."""
    modules, _ = weights.load(folder)
    found = {name: weights.encoder(folder, name) for name in MODALITIES if name in modules}
    if wrong := [name for name, encoder in found.items() if encoder.settings != getattr(encoders, name)]:
        raise ValueError(f"{folder} has other sizes than encoders.{', encoders.'.join(wrong)}: train it again")
    projectors = {}
    for name in found:
        if (state := modules.get(f"{name}_projector")) is not None:
            projectors[name] = heads.projector(state["weight"].shape[1], state["weight"].shape[0])
            projectors[name].load_state_dict(state)
    return Model(found, projectors)


@torch.inference_mode()
def embed(
    model: Model, samples: Samples, *, local_rows: np.ndarray, batch_size: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Embeddings of all samples, by the names of the file: `ecg`, `cmr` (n, D), `ecg_projected`, `cmr_projected` (n, P) float32.

    For an experiment also `ecg_local`, `cmr_local` (m, T, D) float16 and `local_valid` (m,) of the samples in `local_rows`, in
    their order; `samples` must then give beats.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for part in (*model.encoders.values(), *model.projectors.values()):
        part.to(device).eval()
    is_local = np.isin(np.arange(len(samples)), local_rows) & model.local
    starts = range(0, len(samples), batch_size)
    for start in tqdm(starts, desc="embedding", unit="batch", mininterval=0.5 if sys.stderr.isatty() else 10):
        chosen = np.arange(start, min(start + batch_size, len(samples)))
        batch = samples.finish(samples.collect(chosen, epoch=None), device=device)
        for name, value in _embed_batch(model, batch, local=torch.from_numpy(is_local[chosen]).to(device)).items():
            parts.setdefault(name, []).append(value.cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def _embed_batch(model: Model, batch: Mapping[str, torch.Tensor], *, local: torch.Tensor) -> dict[str, torch.Tensor]:
    tokens = {name: encoder(batch[name]) for name, encoder in model.encoders.items()}
    out = {name: heads.pool(t) for name, t in tokens.items()}
    out |= {f"{name}_projected": heads.project(tokens[name], projector) for name, projector in model.projectors.items()}
    if model.local:
        ecg = ecg_steps(tokens["ecg"][local], batch["beats"][local])
        cmr = cmr_steps(tokens["cmr"][local], steps=model.encoders["cmr"].grid[0])
        out |= {"ecg_local": ecg.half(), "cmr_local": cmr.half(), "local_valid": batch["valid"][local]}
    return out


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", required=True, metavar="JSON", help="section encoders of the configuration")
    parser.add_argument("--settings", required=True, metavar="JSON", help="section embedding of the configuration")
    parser.add_argument("--seed", required=True, type=int, help="seed of the random weights, where no model is given")
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument("--ecg-shards", required=True, nargs="+", type=Path, help="manifests k.json of the ECG stores")
    parser.add_argument("--cmr-shards", required=True, nargs="+", type=Path, help="manifests k.json of the CMR stores")
    parser.add_argument("--model", type=Path, help="model folder; without it both encoders have random weights")
    parser.add_argument("--out", required=True, type=Path, help="npz to write")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    encoders, settings = Encoders.model_validate_json(options.encoders), Embedding.model_validate_json(options.settings)
    if options.model is None:
        model = random_model(encoders, seed=options.seed)
    else:
        model = load_model(options.model, encoders=encoders)
    table = read_participants(options.participants, splits=SPLITS)
    recordings = load(
        table["visit"].tolist(),
        ecg=options.ecg_shards if "ecg" in model.encoders else [],
        cmr=options.cmr_shards if "cmr" in model.encoders else [],
        zscore=encoders.zscore,
    )
    sizes = {"ecg": encoders.ecg, "cmr": encoders.cmr}
    samples = Samples(recordings, list(np.arange(len(table))[:, None]), sizes=sizes, seed=options.seed, beats=model.local)
    test = split_rows(table, "test")
    with processes.started() as device:
        arrays = embed(model, samples, local_rows=test, batch_size=settings.batch_size, device=device)
    arrays |= {"visits": table["visit"].to_numpy(str), "split": table["split"].to_numpy(str)}
    if model.local:
        arrays["test_visits"] = arrays["visits"][test]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(options.out.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()
