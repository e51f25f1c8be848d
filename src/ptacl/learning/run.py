"""What the training stages share: their arguments, the state folder under several processes, and what a run leaves behind."""

import argparse
import csv
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ptacl.config import Training
from ptacl.learning import chance, processes, resume, train
from ptacl.models import weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where a run keeps its state, and where model and metrics go."""

    state: Path
    out: Path
    metrics: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every training stage."""
    parser.add_argument("--settings", required=True, metavar="JSON", help="section of this training")
    parser.add_argument("--seed", required=True, type=int, help="seed of weights, order, masks and augmentation")
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument("--state", required=True, type=Path, help="folder of checkpoints; removed after success")
    parser.add_argument("--identity", required=True, help="what else decides the result, such as the version of the code")
    parser.add_argument("--out", required=True, type=Path, help="model folder to write")
    parser.add_argument("--metrics", required=True, type=Path, help="CSV to write, one row an epoch")


def run(
    objective: nn.Module,
    data: train.Data,
    *,
    validation: train.Data,
    training: Training,
    seed: int,
    device: torch.device,
    places: Places,
    identity: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    description: Mapping[str, Any],
) -> None:
    """Train, or go on where an interrupted run of the same identity was; then save `modules` and the metrics."""
    if device.type == "cuda":
        # A resumed run shall end with the same weights; what has no deterministic kernel warns.
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    log.info("%d training and %d validation samples on %s, %d process(es)", len(data), len(validation), device, processes.count())
    with _state(places.state, {**identity, "torch": torch.__version__}) as state:
        history = train.fit(objective, data, validation=validation, training=training, seed=seed, state=state, device=device)
        processes.wait()
        if processes.rank() == 0:
            weights.save(places.out, modules, description=description)
            write_metrics(places.metrics, history)
            for warning in chance.warnings(next(row for row in history if row["chosen"])):
                log.warning("WARNING: %s", warning)


@contextmanager
def _state(folder: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Process 0 holds the folder; the others wait until it is as it should be."""
    if processes.rank() != 0:
        processes.wait()
        yield folder
        return
    with resume.resumable(folder, identity):
        processes.wait()
        yield folder


def write_metrics(path: Path, history: Sequence[train.Row]) -> None:
    """One row an epoch; a value that there is not is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: "" if math.isnan(v) else v for k, v in row.items()} for row in history)
