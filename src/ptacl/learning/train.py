"""Train one model of the configuration, or save the weights it would start from. Also runs under
torchrun.
"""

import argparse
import csv
import dataclasses
import hashlib
import importlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter

from ptacl import config, participants, stage
from ptacl.ecg import zscore as zscores
from ptacl.ecg.zscore import Zscore
from ptacl.learning import chance, fit, processes, resume
from ptacl.learning.board import board
from ptacl.learning.data import (
    Recordings,
    Samples,
    digest,
    load,
    prepared_by,
    split_participants,
    split_rows,
)
from ptacl.learning.maps import Place
from ptacl.learning.objectives.base import Objective, Targets, initial_weights
from ptacl.models import weights
from ptacl.models.build import AnyEncoder
from ptacl.models.build import encoder as new_encoder
from ptacl.models.vit import Encoder

log = logging.getLogger(__name__)

_START_SAMPLES = 256  # enough to estimate a mean and a spread
_SPLITS = ["train", "validation"]


def build_encoders(
    entry: config.Entry, inputs: config.Inputs, *, seed: int, start: Mapping[str, Path]
) -> dict[str, AnyEncoder]:
    """Build the encoders of an entry by modality, random or from model folders.

    ValueError is raised if a folder is missing or has an encoder of another size.
    """
    found = dict[str, AnyEncoder]()
    for modality in entry.modalities:
        wanted = inputs.encoders[modality]
        if modality not in entry.starts:
            with initial_weights(seed, modality):
                found[modality] = new_encoder(wanted)
            continue
        if modality not in start:
            raise ValueError(
                f"the entry starts from {entry.starts[modality]}: give its folder with "
                f"--start {modality}=FOLDER"
            )
        found[modality] = weights.encoder(start[modality], modality)
        if found[modality].settings != wanted:
            raise ValueError(
                f"{start[modality]} has another size than encoders.{modality}: train it "
                "again with this size"
            )
    return found


def build(
    entry: config.Trained,
    inputs: config.Inputs,
    *,
    seed: int,
    start: Mapping[str, Path] | None = None,
    targets: Targets | None = None,
) -> Objective:
    """Build the objective of an entry with its initial weights."""
    encoders = build_encoders(entry, inputs, seed=seed, start=start or {})
    for modality in entry.modalities:
        frozen = entry.frozen(modality)
        encoders[modality].freeze(len(encoders[modality].blocks) if frozen == "all" else frozen)
        if isinstance(encoder := encoders[modality], Encoder):
            encoder.recompute = entry.training.recompute
    # Imported by name, so that a change of another objective does not retrain this model.
    module, _, name = entry.objective_class.partition(":")
    kind: type[Objective] = getattr(importlib.import_module(module), name)
    return kind(entry, encoders, seed=seed, targets=targets)


def read_targets(table: pd.DataFrame, names: Sequence[str]) -> tuple[Targets, np.ndarray]:
    """Read the phenotypes that a model learns.

    Returns the statistics of the training participants, and the z-scored phenotypes (n, P) of all
    rows, NaN if missing. ValueError names a phenotype that the training participants do not have,
    or for which they all have the same value.
    """
    if missing := [name for name in names if name not in table.columns]:
        raise ValueError(
            f"participants.csv has no column {', '.join(missing)}: rerun the cohort stages"
        )
    values = table[list(names)].to_numpy(np.float64)
    seen = values[(table["split"] == "train").to_numpy()]
    usable = np.isfinite(seen).sum(0) > 1
    mean, std = (
        np.where(usable, f(np.where(usable, seen, 0.0), axis=0), np.nan)
        for f in (np.nanmean, np.nanstd)
    )
    if bad := [name for name, s in zip(names, std, strict=True) if not s > 0]:
        raise ValueError(
            f"{', '.join(bad)} cannot be learned: too few training participants have "
            "different values"
        )
    return Targets(list(names), mean.tolist(), std.tolist()), ((values - mean) / std).astype(
        np.float32
    )


def zscore_of(
    inputs: config.Inputs, recordings: Recordings, train: np.ndarray, *, start: Path | None
) -> Zscore:
    """Return the z-score of the ECGs of a model.

    It is that of the model from which the ECG encoder starts, or that of the training visits.
    `train` holds the rows of the training visits, and `start` is the folder of the model to start
    from. ValueError is raised if that model was trained with another kind of z-score.
    """
    if start is not None:
        found = weights.zscore(start)
        if found.over != inputs.zscore:
            raise ValueError(
                f"{start} was trained with encoders.zscore {found.over}, not "
                f"{inputs.zscore}: train it again"
            )
        return found
    if inputs.zscore == "cohort" and recordings.signal is not None:
        return zscores.of_cohort(recordings.signals(train))
    return Zscore(inputs.zscore)


def main() -> None:
    """Run the stage."""
    options = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    entry: config.Entry = TypeAdapter(config.Model).validate_json(options.settings)
    inputs, start = config.Inputs.model_validate_json(options.inputs), dict(options.start)
    facts = {
        "settings": entry.model_dump(mode="json"),
        "inputs": inputs.model_dump(mode="json"),
        "seed": options.seed,
    }
    facts |= {"model": options.model, "code": options.identity}
    description = facts | {"title": options.model}
    if not isinstance(entry, config.Trained):
        zscore = Zscore(inputs.zscore)
        if options.participants and "ecg" in entry.modalities:
            table = participants.read(options.participants, splits=["train"])
            recordings = load(
                table["visit"].tolist(), ecg=options.ecg_shards, cmr=[], place=options.maps
            )
            zscore = zscore_of(inputs, recordings, np.arange(len(table)), start=None)
        description |= {"zscore": dataclasses.asdict(zscore)}
        weights.save(
            options.out,
            build_encoders(entry, inputs, seed=options.seed, start=start),
            description=description,
        )
        write_metrics(options.metrics, [])
        return
    with processes.started() as device:
        table = participants.read(options.participants, splits=_SPLITS)
        targets, labels = read_targets(table, options.phenotypes) if entry.labels else (None, None)
        shards = {"ecg": options.ecg_shards, "cmr": options.cmr_shards}
        description |= {"preparation": {m: prepared_by(shards[m]) for m in entry.modalities}}
        recordings = load(
            table["visit"].tolist(),
            ecg=options.ecg_shards,
            cmr=options.cmr_shards,
            place=options.maps,
        )
        zscore = zscore_of(inputs, recordings, split_rows(table, "train"), start=start.get("ecg"))
        recordings = recordings.standardised(zscore)
        description |= {"zscore": dataclasses.asdict(zscore)}
        objective = build(entry, inputs, seed=options.seed, start=start, targets=targets)
        data, validation = (
            Samples(
                recordings,
                split_participants(table, split),
                sizes={str(m): size for m, size in inputs.encoders.items()},
                seed=options.seed,
                ecg=entry.augmentation.ecg,
                cmr=entry.augmentation.cmr,
                targets=labels,
                **objective.needs,
            )
            for split in _SPLITS
        )
        identity = facts | {
            "data": digest(recordings, table),
            "initial": _digests(start),
            "torch": torch.__version__,
        }
        if labels is not None:
            identity |= {"labels": hashlib.sha256(labels.tobytes()).hexdigest()}
        with torch.autocast(
            device.type, torch.bfloat16, enabled=entry.training.precision == "bfloat16"
        ):
            objective.to(device).eval().begin(_batches(data, device))
        _be_deterministic(device)
        log.info(
            "%d training and %d validation samples on %s, %d process(es)",
            len(data),
            len(validation),
            device,
            processes.count(),
        )
        folder = options.tensorboard if processes.rank() == 0 else None
        with _state(options.state, identity) as state, board(folder) as watch:
            history = fit.fit(
                objective,
                data,
                validation=validation,
                training=entry.training,
                seed=options.seed,
                state=state,
                device=device,
                watch=watch,
            )
            processes.wait()
            if processes.rank() == 0:
                weights.save(options.out, objective.saved(), description=description)
                write_metrics(options.metrics, history)
                kept = next(row for row in history if row["chosen"])
                for warning in chance.warnings(kept, chance.floors(entry, inputs)):
                    log.warning("WARNING: %s", warning)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="name of the model in the configuration")
    parser.add_argument(
        "--settings",
        required=True,
        metavar="JSON",
        help="settings of the model, including those that it inherits",
    )
    parser.add_argument(
        "--inputs",
        required=True,
        metavar="JSON",
        help="z-score and encoders of the modalities of the model",
    )
    parser.add_argument(
        "--seed", required=True, type=int, help="seed of weights, order, masks and augmentation"
    )
    parser.add_argument(
        "--participants",
        nargs="?",
        type=Path,
        help="visits.csv, or participants.csv if the model needs labels",
    )
    parser.add_argument(
        "--phenotypes",
        nargs="*",
        default=[],
        metavar="NAME",
        help="columns to learn, if the model needs labels",
    )
    parser.add_argument(
        "--ecg-shards", nargs="*", default=[], type=Path, help="manifests k.json of the ECG stores"
    )
    parser.add_argument(
        "--cmr-shards", nargs="*", default=[], type=Path, help="manifests k.json of the CMR stores"
    )
    parser.add_argument(
        "--maps",
        type=Place.of,
        default=Place(),
        metavar="JSON",
        help="section maps (default: read into memory)",
    )
    parser.add_argument(
        "--start",
        nargs="*",
        default=[],
        type=weights.named_folder,
        metavar="MODALITY=FOLDER",
        help="models to start from",
    )
    parser.add_argument(
        "--state",
        required=True,
        type=Path,
        help="folder of checkpoints, which is removed after success",
    )
    parser.add_argument(
        "--tensorboard",
        type=Path,
        help="folder for curves of the training; needs the extra `tensorboard`",
    )
    parser.add_argument(
        "--identity",
        required=True,
        help="everything else that decides the result, such as the version of the code",
    )
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")
    parser.add_argument(
        "--metrics", required=True, type=Path, help="CSV to write, one row per epoch"
    )
    return parser.parse_args()


def _batches(data: Samples, device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a few hundred training samples in the evaluation view."""
    for start in range(0, min(len(data), _START_SAMPLES), 32):
        samples = np.arange(start, min(start + 32, len(data), _START_SAMPLES))
        yield data.finish(data.collect(samples, epoch=None), device=device)


def _digests(start: Mapping[str, Path]) -> dict[str, str]:
    """Return hashes of the weights to start from."""
    return {modality: weights.digest(folder) for modality, folder in start.items()}


def _be_deterministic(device: torch.device) -> None:
    """Use deterministic kernels, so that a resumed run ends with the same weights.

    An operation without a deterministic kernel gives a warning.
    """
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def _state(folder: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Let process 0 hold the folder; the other processes wait until it is ready."""
    if processes.rank() != 0:
        processes.wait()
        yield folder
        return
    with resume.resumable(folder, identity):
        processes.wait()
        yield folder


def write_metrics(path: Path, history: Sequence[fit.Row]) -> None:
    """Write one row per epoch. Missing values are written as empty cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, fieldnames=list(history[0]) if history else ["epoch"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({k: "" if math.isnan(v) else v for k, v in row.items()} for row in history)


if __name__ == "__main__":
    stage.run(main)
