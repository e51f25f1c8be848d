"""Train one model of the configuration, or save the weights it would start from. Also runs under
torchrun.
"""

import argparse
import csv
import dataclasses
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from ptacl import config, participants, stage
from ptacl.ecg.zscore import Zscore
from ptacl.learning import collapse, fit, processes, resume
from ptacl.learning.assemble import build, build_encoders, read_targets, zscore_of
from ptacl.learning.board import board
from ptacl.learning.data import Samples
from ptacl.learning.maps import Place
from ptacl.learning.reading import Row
from ptacl.learning.recordings import digest, load, prepared_by, split_participants, split_rows
from ptacl.models import weights

log = logging.getLogger(__name__)

_START_SAMPLES = 256  # enough to estimate a mean and a spread
_SPLITS = ["train", "validation"]


def main() -> None:
    """Run the stage."""
    options = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    entry: config.Entry = TypeAdapter(config.Model).validate_json(options.settings)
    inputs = config.Inputs.model_validate_json(options.inputs)
    facts = {
        "settings": entry.model_dump(mode="json"),
        "inputs": inputs.model_dump(mode="json"),
        "seed": options.seed,
        "model": options.model,
        "code": options.identity,
    }
    if isinstance(entry, config.Trained):
        _train(entry, inputs, facts, options)
    else:
        _save_untrained(entry, inputs, facts, options)


def _save_untrained(
    entry: config.Entry,
    inputs: config.Inputs,
    facts: Mapping[str, Any],
    options: argparse.Namespace,
) -> None:
    """Save random encoders, or those that the entry starts from, with an empty history."""
    zscore = Zscore(inputs.zscore)
    if options.participants and "ecg" in entry.modalities:
        table = participants.read(options.participants, splits=["train"])
        visits = table["visit"].tolist()
        recordings = load(visits, ecg=options.ecg_shards, cmr=[], place=options.maps)
        zscore = zscore_of(inputs, recordings, np.arange(len(table)), start=None)
    encoders = build_encoders(entry, inputs, seed=options.seed, start=dict(options.start))
    description = {**facts, "title": options.model, "zscore": dataclasses.asdict(zscore)}
    weights.save(options.out, encoders, description=description)
    write_metrics(options.metrics, [])


def _train(
    entry: config.Trained,
    inputs: config.Inputs,
    facts: Mapping[str, Any],
    options: argparse.Namespace,
) -> None:
    """Train an entry, and save the weights that are kept with the history of the training."""
    start = dict(options.start)
    with processes.started(gpus=options.gpus) as device:
        table = participants.read(options.participants, splits=_SPLITS)
        targets, labels = None, None
        if entry.labels:
            targets, labels = read_targets(table, options.phenotypes)
        shards = {"ecg": options.ecg_shards, "cmr": options.cmr_shards}
        recordings = load(
            table["visit"].tolist(), ecg=shards["ecg"], cmr=shards["cmr"], place=options.maps
        )
        zscore = zscore_of(inputs, recordings, split_rows(table, "train"), start=start.get("ecg"))
        recordings = recordings.standardised(zscore)
        objective = build(entry, inputs, seed=options.seed, start=start, targets=targets)

        def samples(split: str) -> Samples:
            return Samples(
                recordings,
                split_participants(table, split),
                sizes={str(m): size for m, size in inputs.encoders.items()},
                seed=options.seed,
                ecg=entry.augmentation.ecg,
                cmr=entry.augmentation.cmr,
                targets=labels,
                pin=device.type == "cuda",
                **objective.needs,
            )

        data, validation = samples("train"), samples("validation")
        reduced = entry.training.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            objective.to(device).eval().begin(_batches(data, device))
        _be_deterministic(device)
        log.info(
            "%d training and %d validation samples on %s, %d process(es)",
            len(data),
            len(validation),
            device,
            processes.count(),
        )
        identity = {
            **facts,
            "data": digest(recordings, table),
            "initial": {modality: weights.digest(folder) for modality, folder in start.items()},
            "torch": torch.__version__,
        }
        if labels is not None:
            identity["labels"] = hashlib.sha256(labels.tobytes()).hexdigest()
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
            if processes.rank() != 0:
                return
            description = {
                **facts,
                "title": options.model,
                "preparation": {m: prepared_by(shards[m]) for m in entry.modalities},
                "zscore": dataclasses.asdict(zscore),
            }
            weights.save(options.out, objective.saved(), description=description)
            write_metrics(options.metrics, history)
            kept = next(row for row in history if row["chosen"])
            for warning in collapse.warnings(kept, collapse.floors(entry, inputs)):
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
    parser.add_argument(
        "--gpus", type=int, default=1, help="GPUs of the job (default 1); 0: train on the CPU"
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


def write_metrics(path: Path, history: Sequence[Row]) -> None:
    """Write one row per epoch. Missing values are written as empty cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = list(history[0]) if history else ["epoch"]
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({k: "" if math.isnan(v) else v for k, v in row.items()})


if __name__ == "__main__":
    stage.run(main)
