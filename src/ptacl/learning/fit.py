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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ptacl import seeds
from ptacl.config import Training
from ptacl.learning import processes, resume

log = logging.getLogger(__name__)

Row = dict[str, float]


class Data(Protocol):
    """Batches by sample index; see :class:`ptacl.learning.data.Samples`."""

    def __len__(self) -> int: ...

    def collect(self, samples: np.ndarray, *, epoch: int | None) -> Any:
        """Make the main-memory part of a batch, in a thread; epoch None is the evaluation view."""

    def finish(self, host: Any, *, device: torch.device) -> Mapping[str, Tensor]:
        """Make the batch from the part that was collected."""
        ...


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

    All processes start from the weights of process 0. The last incomplete batch of an epoch is
    dropped, and a training set smaller than a batch is one batch. `validation` is evaluated after
    every epoch, without augmentation and always with the same masks. Only `select: best` and
    `patience` need it: they use its mean of the value that the objective names in `selection`, by
    default the loss. `state` is a folder from :func:`ptacl.learning.resume.resumable`; a checkpoint
    in it is resumed, also within an epoch. `watch` receives the row of each epoch when it ends, and
    all rows of a resumed checkpoint at once.

    FloatingPointError names the step at which a loss is not finite. SystemExit is raised after
    SIGTERM or Ctrl-C, when the state has been saved.
    """
    validation = validation if validation is not None and len(validation) else None
    _check(data, validation, training)
    processes.share_state(objective.to(device))
    loop = _Loop(objective, data, validation, training, seed, device)
    if (checkpoint := resume.load(state)) is not None:
        loop.load_state(checkpoint)
        log.info("resuming after step %d of %d", loop.progress.step, loop.total)
        for row in loop.progress.history:
            watch(row)
    saved = time.perf_counter()
    with resume.stoppable() as stop, _bar(loop) as bar:
        for hosts in loop.collected():
            values = loop.take_step(hosts, stop)
            bar.update()
            if loop.progress.step % loop.steps_per_epoch == 0:
                watch(loop.progress.history[-1])
            bar.set_postfix(
                {"loss": f"{values['loss']:.4f}", "samples/s": f"{loop.samples_per_second:.0f}"},
                refresh=False,
            )
            if loop.stopped or time.perf_counter() - saved >= training.checkpoint_seconds:
                if processes.rank() == 0:
                    resume.save(state, loop.state())
                saved = time.perf_counter()
            if loop.stopped:
                raise SystemExit(128 + loop.stopped)
    history, kept = loop.progress.history, len(loop.progress.history)
    if training.select == "best":
        objective.load_state_dict(loop.progress.best)
        kept = loop.progress.best_epoch
    return [row | {"chosen": float(row["epoch"] == kept)} for row in history]


def learning_rate(step: int, *, steps_per_epoch: int, training: Training) -> float:
    """Return the rate of a step, counted from 0: linear warm-up, then half a cosine to zero."""
    warmup, total = training.warmup_epochs * steps_per_epoch, training.epochs * steps_per_epoch
    if step < warmup:
        return training.learning_rate * (step + 1) / (warmup + 1)
    return (
        training.learning_rate
        * 0.5
        * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
    )


def build_optimizer(objective: nn.Module, training: Training) -> torch.optim.AdamW:
    """Build AdamW for unfrozen parameters; those below 2-D (biases, norms) have no weight decay."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=fused)


@dataclass
class _Progress:
    """Progress of a run; `sums` and `seconds` belong to the epoch that is running."""

    step: int = 0
    history: list[Row] = field(default_factory=list)
    sums: Row = field(default_factory=dict)
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)


class _Loop:
    """State of a running training, which `fit` advances step by step."""

    def __init__(
        self,
        objective: nn.Module,
        data: Data,
        validation: Data | None,
        training: Training,
        seed: int,
        device: torch.device,
    ) -> None:
        self.objective, self.data, self.validation = objective, data, validation
        self.training, self.seed, self.device = training, seed, device
        self.batch = min(training.batch_size, len(data))
        self.steps_per_epoch = len(data) // self.batch
        self.weights = [
            len(part) / self.batch
            for part in np.array_split(np.arange(self.batch), training.accumulate)
        ]
        self.selection = str(getattr(objective, "selection", "loss"))
        self.optimizer = build_optimizer(objective, training)
        self.compute = torch.compile(objective) if training.compile else objective
        self.progress = _Progress()
        self.stopped = 0
        self.mark, self.samples_per_second = time.perf_counter(), math.nan

    @property
    def total(self) -> int:
        return self.training.epochs * self.steps_per_epoch

    def finished(self) -> bool:
        p, patience = self.progress, self.training.patience
        return p.step >= self.total or (patience > 0 and len(p.history) - p.best_epoch >= patience)

    def state(self) -> dict[str, Any]:
        model, optimizer = self.objective.state_dict(), self.optimizer.state_dict()
        return {"model": model, "optimizer": optimizer, "progress": vars(self.progress)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.objective.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = _Progress(**state["progress"])

    def collected(self) -> Iterator[list[Any]]:
        """Yield the micro-batches of each remaining step, and collect the next ones meanwhile."""
        self.mark = time.perf_counter()
        with ThreadPoolExecutor(1) as pool:
            ahead = None if self.finished() else pool.submit(self._collect, self.progress.step)
            while ahead is not None and not self.finished():
                hosts, following = ahead.result(), self.progress.step + 1
                ahead = pool.submit(self._collect, following) if following < self.total else None
                yield hosts

    def _collect(self, step: int) -> list[Any]:
        """Return the part of this process in each micro-batch of a step."""
        epoch, i = divmod(step, self.steps_per_epoch)
        order = seeds.generator(self.seed, "order", epoch).permutation(len(self.data))
        chunks = np.array_split(
            order[i * self.batch : (i + 1) * self.batch], self.training.accumulate
        )
        parts = [np.array_split(chunk, processes.count())[processes.rank()] for chunk in chunks]
        return [self.data.collect(part, epoch=epoch) for part in parts]

    def take_step(self, hosts: list[Any], stop: resume.Stop) -> Row:
        """Take one optimiser step, close the epoch after its last, and return batch means."""
        p = self.progress
        rate = learning_rate(p.step, steps_per_epoch=self.steps_per_epoch, training=self.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        values = self._means(self._optimise(hosts), stop)
        p.step += 1
        self._require_finite("loss", values["loss"])
        p.sums = {name: p.sums.get(name, 0.0) + value for name, value in values.items()}
        p.seconds += time.perf_counter() - self.mark
        self.samples_per_second = ((p.step - 1) % self.steps_per_epoch + 1) * self.batch / p.seconds
        if p.step % self.steps_per_epoch == 0:
            self._close_epoch(rate)
        self.mark = time.perf_counter()
        return values

    def _optimise(self, hosts: list[Any]) -> list[dict[str, Tensor]]:
        """Step with gradients of all micro-batches and processes; return the outputs of each."""
        self.objective.train()
        self.optimizer.zero_grad(set_to_none=True)
        rows = []
        for host, weight in zip(hosts, self.weights, strict=True):
            out = self._forward(host, self.data)
            torch.autograd.backward(out["loss"] * weight)
            rows.append(out)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        processes.average_gradients(parameters)
        if self.training.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.training.clip_norm)
        self.optimizer.step()
        return rows

    def _require_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            step = self.progress.step
            where = f"step {step} of {self.total} (epoch {(step - 1) // self.steps_per_epoch + 1})"
            raise FloatingPointError(
                f"the {name} is {value} at {where}: lower learning_rate, set clip_norm, or "
                "use precision float32"
            )

    def _forward(self, host: Any, data: Data) -> dict[str, Tensor]:
        batch = data.finish(host, device=self.device)
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16"
        ):
            out: dict[str, Tensor] = self.compute(batch)
        return out

    def _means(self, rows: list[dict[str, Tensor]], stop: resume.Stop) -> Row:
        """Return means over micro-batches and processes, with any signal in the same transfer."""
        weights = torch.tensor(self.weights, dtype=torch.float64, device=self.device)
        means = [
            torch.stack([row[name].detach().double() for row in rows]) @ weights for name in rows[0]
        ]
        flag = torch.tensor(float(stop.signal), dtype=torch.float64, device=self.device)
        *values, signals = processes.total(torch.stack([*means, flag])).tolist()
        # All processes must stop at the same step, or the others would wait forever.
        self.stopped = (stop.signal or signal.SIGTERM) if signals else 0
        return {
            name: value / processes.count() for name, value in zip(rows[0], values, strict=True)
        }

    def _close_epoch(self, rate: float) -> None:
        p = self.progress
        means = {name: value / self.steps_per_epoch for name, value in p.sums.items()}
        row: Row = {
            "epoch": len(p.history) + 1,
            "step": p.step,
            "learning_rate": rate,
            "train_loss": means.pop("loss"),
        }
        found = self._validate(["loss", *means]) if self.validation is not None else {}
        if found:
            self._require_finite("validation loss", found["loss"])
        row |= {"validation_loss": found.pop("loss", math.nan), "seconds": p.seconds}
        row |= {"samples_per_second": self.samples_per_second}
        row |= {f"train_{k}": v for k, v in means.items()} | {
            f"validation_{k}": v for k, v in found.items()
        }
        p.history.append(row)
        p.sums, p.seconds = {}, 0.0
        criterion = (
            row[f"validation_{self.selection}"] if found or self.selection == "loss" else math.nan
        )
        if criterion < p.best_loss:
            p.best_loss, p.best_epoch = criterion, len(p.history)
            if self.training.select == "best":
                p.best = {
                    name: value.detach().cpu().clone()
                    for name, value in self.objective.state_dict().items()
                }

    @torch.no_grad()
    def _validate(self, names: list[str]) -> Row:
        """Return validation means over batches of similar size, since losses depend on the size."""
        assert self.validation is not None
        self.objective.eval()
        count = len(self.validation)
        batches = np.array_split(np.arange(count), math.ceil(count / self.training.batch_size))
        sums = torch.zeros(len(names), dtype=torch.float64, device=self.device)
        for samples in batches[processes.rank() :: processes.count()]:
            out = self._forward(self.validation.collect(samples, epoch=None), self.validation)
            sums += torch.stack([out[name].double() for name in names]) * len(samples)
        return dict(zip(names, (processes.total(sums) / count).tolist(), strict=True))


def _check(data: Data, validation: Data | None, training: Training) -> None:
    parts = training.accumulate * processes.count()
    if min(len(data), training.batch_size) < parts:
        raise ValueError(
            f"{len(data)} training samples in batches of {training.batch_size} cannot be "
            f"divided into {training.accumulate} "
            f"micro-batches over {processes.count()} processes: raise batch_size, or lower "
            "accumulate or the number of processes"
        )
    if validation is None and (training.select == "best" or training.patience):
        raise ValueError(
            "there is no validation set: use select: last and patience: 0, or raise "
            "cohort.validation_fraction"
        )


def _bar(loop: _Loop) -> "tqdm[Any]":
    return tqdm(
        total=loop.total,
        initial=loop.progress.step,
        desc="training",
        unit="step",
        disable=processes.rank() != 0,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
