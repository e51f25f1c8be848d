"""Stage: train both encoders together by the global and the local contrastive loss (Sec. 3.2). Also under torchrun."""

import argparse
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ptacl.config import Encoder as EncoderSettings
from ptacl.config import Encoders, Experiment
from ptacl.learning import processes, run
from ptacl.learning.data import Samples, digest, load, read_participants, split_participants
from ptacl.learning.objectives import Contrastive, initial_weights
from ptacl.models import weights
from ptacl.models.vit import Encoder

_START_SAMPLES = 256  # enough for the mean and the spread of the pooled tokens


def build(*, encoders: Encoders, settings: Experiment, seed: int, ecg_mae: Path | None, cmr_mae: Path | None) -> Contrastive:
    """The objective with its initial weights, from the masked autoencoders or random."""
    ecg = _encoder("ecg", encoders.ecg, settings=settings, seed=seed, folder=ecg_mae)
    cmr = _encoder("cmr", encoders.cmr, settings=settings, seed=seed, folder=cmr_mae)
    with initial_weights(seed, "projectors"):
        return Contrastive(ecg, cmr, settings=settings)


def _encoder(name: str, sizes: EncoderSettings, *, settings: Experiment, seed: int, folder: Path | None) -> Encoder:
    if settings.initial == "random":
        with initial_weights(seed, name):
            return Encoder(sizes)
    if folder is None:
        raise ValueError(f"initial: mae needs the model folder --{name}-mae")
    encoder = weights.encoder(folder, name)
    if encoder.settings != sizes:
        raise ValueError(f"{folder} has another size than encoders.{name}: pre-train it again")
    return encoder


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--ecg-shards", required=True, nargs="+", type=Path, help="manifests k.json of the ECG stores")
    parser.add_argument("--cmr-shards", required=True, nargs="+", type=Path, help="manifests k.json of the CMR stores")
    parser.add_argument("--ecg-mae", type=Path, help="model folder of the ECG masked autoencoder, for initial: mae")
    parser.add_argument("--cmr-mae", type=Path, help="model folder of the CMR masked autoencoder, for initial: mae")
    parser.add_argument("--encoders", required=True, metavar="JSON", help="section encoders of the configuration")
    run.add_arguments(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    encoders, settings = Encoders.model_validate_json(options.encoders), Experiment.model_validate_json(options.settings)
    with processes.started() as device:
        table = read_participants(options.participants, splits=["train", "validation"])
        recordings = load(table["visit"].tolist(), ecg=options.ecg_shards, cmr=options.cmr_shards, zscore=encoders.zscore)
        objective = build(
            encoders=encoders, settings=settings, seed=options.seed, ecg_mae=options.ecg_mae, cmr_mae=options.cmr_mae
        )
        data, validation = (
            Samples(
                recordings,
                split_participants(table, split),
                sizes={"ecg": encoders.ecg, "cmr": encoders.cmr},
                seed=options.seed,
                ecg=settings.ecg_augmentation,
                cmr=settings.cmr_augmentation,
                beats=settings.beta > 0,
            )
            for split in ("train", "validation")
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.training.precision == "bfloat16"):
            objective.to(device).eval().start_projectors(_batches(data, device))
        facts = {"settings": settings.model_dump(mode="json"), "encoders": encoders.model_dump(mode="json"), "seed": options.seed}
        facts |= {"stage": "align", "experiment": options.experiment, "code": options.identity}
        run.run(
            objective,
            data,
            validation=validation,
            training=settings.training,
            seed=options.seed,
            device=device,
            places=run.Places(options.state, options.out, options.metrics),
            identity=facts | {"data": digest(recordings, table), "initial": _digests(settings, options.ecg_mae, options.cmr_mae)},
            modules={
                "ecg": objective.ecg,
                "cmr": objective.cmr,
                "ecg_projector": objective.ecg_projector,
                "cmr_projector": objective.cmr_projector,
            },
            description=facts | {"title": settings.title},
        )


def _batches(data: Samples, device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
    """Some hundred training samples in the evaluation view."""
    for start in range(0, min(len(data), _START_SAMPLES), 32):
        samples = np.arange(start, min(start + 32, len(data), _START_SAMPLES))
        yield data.finish(data.collect(samples, epoch=None), device=device)


def _digests(settings: Experiment, *folders: Path | None) -> list[str]:
    """Hashes of the weights to start from."""
    if settings.initial == "random":
        return []
    return [hashlib.sha256((folder / weights.WEIGHTS).read_bytes()).hexdigest() for folder in folders if folder is not None]


if __name__ == "__main__":
    main()
