"""The only training loop of the project.

`fit` needs a module that maps a batch to a dict with "loss", and data that make batches. All
randomness is derived, so a checkpoint is model, optimiser, step and history. A run that is killed
at any step and resumed ends with the same weights as one that was not killed: byte-identical on one
machine with the same number of threads. Several processes agree up to rounding.
"""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from ptacl.config import Training
from ptacl.learning import processes, resume
from ptacl.learning.loop import Data, Loop, Schedule
from ptacl.learning.reading import Row
from ptacl.models import exact

log = logging.getLogger(__name__)


def fit(
    objective: nn.Module,
    data: Data,
    *,
    validation: Data | None,
    training: Training,
    seed: int,
    state: Path,
    device: torch.device,
    watch: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Train `objective` in place and return one row per epoch; `chosen` is 1 if its weights are
    kept.

    All processes start from the weights of process 0. `validation` is evaluated after every epoch,
    without augmentation and always with the same masks. Only `select: best` and `patience` need it:
    they use its mean of the value that the objective names in `selection`, by default the loss.
    `state` is a folder from :func:`ptacl.learning.resume.resumable`; a checkpoint in it is resumed,
    also within an epoch. `watch` receives the row of each epoch when it ends, and all rows of a
    resumed checkpoint at once.

    FloatingPointError names the step at which a loss is not finite. SystemExit is raised after
    SIGTERM or Ctrl-C, when the state has been saved.
    """
    validation = validation if validation is not None and len(validation) else None
    _check(data, validation, training)
    processes.share_state(objective.to(device))
    schedule = Schedule(data, training, seed)
    loop = Loop(objective, schedule, validation=validation, device=device)
    checkpoint = resume.load(state)
    if checkpoint is not None:
        loop.load_state(checkpoint)
        log.info("resuming after step %d of %d", loop.progress.step, schedule.total)
        for row in loop.progress.history:
            watch(row)
    with exact.tf32(training.precision == "tf32"):
        _run(loop, state=state, watch=watch)
    history, kept = loop.progress.history, len(loop.progress.history)
    if training.select == "best":
        objective.load_state_dict(loop.progress.best)
        kept = loop.progress.best_epoch
    return [row | {"chosen": float(row["epoch"] == kept)} for row in history]


def _run(loop: Loop, *, state: Path, watch: Callable[[Row], None]) -> None:
    """Take the remaining steps, and save checkpoints on the way."""
    schedule = loop.schedule
    saved = started = time.perf_counter()
    loss = math.nan
    with resume.stoppable() as stop, _bar(loop) as bar:
        for hosts in schedule.collect_ahead(loop.progress.step, loop.finished):
            values = loop.take_step(hosts, signal=stop.signal)
            if loop.at_end_of_epoch():
                values = loop.read()
            loss = values.get("loss", loss)
            loop.progress.seconds += time.perf_counter() - started
            speed = f"{loop.samples_per_second:.0f}"
            if loop.at_end_of_epoch():
                watch(loop.close_epoch())
            started = time.perf_counter()
            bar.update()
            bar.set_postfix({"loss": f"{loss:.4f}", "samples/s": speed}, refresh=False)
            stopped = _agreed_signal(stop, loop)
            if stopped or time.perf_counter() - saved >= schedule.training.checkpoint_seconds:
                if processes.rank() == 0:
                    resume.save(state, loop.state())
                saved = time.perf_counter()
            if stopped:
                raise SystemExit(128 + stopped)


def _agreed_signal(stop: resume.Stop, loop: Loop) -> int:
    """Return the signal that any process received, or 0.

    All processes must stop at the same step, or the others would wait forever.
    """
    if processes.count() == 1:
        return stop.signal
    return (stop.signal or signal.SIGTERM) if loop.stop_requested else 0


def _check(data: Data, validation: Data | None, training: Training) -> None:
    parts = training.accumulate * processes.count()
    if min(len(data), training.batch_size) < parts:
        raise ValueError(
            f"{len(data)} training samples in batches of {training.batch_size} cannot be "
            f"divided into {training.accumulate} micro-batches over {processes.count()} "
            "processes: raise batch_size, or lower accumulate or the number of processes"
        )
    if validation is None and training.needs_validation:
        raise ValueError(
            "there is no validation set: use select: last and patience: 0, or raise "
            "cohort.validation_fraction"
        )


def _bar(loop: Loop) -> "tqdm[Any]":
    return tqdm(
        total=loop.schedule.total,
        initial=loop.progress.step,
        desc="training",
        unit="step",
        disable=processes.rank() != 0,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
