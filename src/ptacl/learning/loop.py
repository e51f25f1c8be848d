"""The steps of a training: which samples each contains, and what is done with them."""

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ptacl import seeds
from ptacl.config import Training
from ptacl.learning import processes
from ptacl.learning.optimizer import build_optimizer, learning_rate
from ptacl.learning.reading import Reading, Row

_SIGNAL = "signal"  # name, among the values of a step, of the signals that the processes received


class Data(Protocol):
    """Batches by sample index; see :class:`ptacl.learning.data.Samples`."""

    def __len__(self) -> int: ...

    def collect(self, samples: np.ndarray, *, epoch: int | None) -> Any:
        """Make the main-memory part of a batch, in a thread; epoch None is the evaluation view."""

    def finish(self, host: Any, *, device: torch.device) -> Mapping[str, Tensor]:
        """Make the batch from the part that was collected."""
        ...


@dataclass(frozen=True)
class Schedule:
    """The samples of each optimiser step, in an order that depends only on seed and epoch.

    The last incomplete batch of an epoch is dropped, and a training set smaller than a batch is one
    batch. A step has `accumulate` micro-batches, each divided over the processes.
    """

    data: Data
    training: Training
    seed: int

    @property
    def batch(self) -> int:
        """Samples per step, over all micro-batches and processes."""
        return min(self.training.batch_size, len(self.data))

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return len(self.data) // self.batch

    @property
    def total(self) -> int:
        """Optimiser steps of the whole training."""
        return self.training.epochs * self.steps_per_epoch

    @property
    def weights(self) -> list[float]:
        """Share of each micro-batch in its step."""
        parts = np.array_split(np.arange(self.batch), self.training.accumulate)
        return [len(part) / self.batch for part in parts]

    def collect(self, step: int) -> list[Any]:
        """Collect the part of this process in each micro-batch of a step."""
        epoch, number = divmod(step, self.steps_per_epoch)
        order = seeds.generator(self.seed, "order", epoch).permutation(len(self.data))
        chosen = order[number * self.batch : (number + 1) * self.batch]
        collected = []
        for micro_batch in np.array_split(chosen, self.training.accumulate):
            collected.append(self.data.collect(processes.part(micro_batch), epoch=epoch))
        return collected

    def collect_ahead(self, first: int, finished: Callable[[], bool]) -> Iterator[list[Any]]:
        """Yield the micro-batches of each step from `first` on, and collect the next ones
        meanwhile.
        """
        if finished():
            return
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.collect, first)
            for step in range(first + 1, self.total + 1):
                collected = waiting.result()
                if step < self.total:
                    waiting = pool.submit(self.collect, step)
                yield collected
                if finished():
                    return


@dataclass
class Progress:
    """Progress of a training; `sums` and `seconds` belong to the epoch that is running."""

    step: int = 0
    history: list[Row] = field(default_factory=list)
    sums: Row = field(default_factory=dict)
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)


class Loop:
    """A running training, which :func:`ptacl.learning.fit.fit` advances step by step."""

    def __init__(
        self,
        objective: nn.Module,
        schedule: Schedule,
        *,
        validation: Data | None,
        device: torch.device,
    ) -> None:
        self.objective, self.schedule = objective, schedule
        self.validation, self.device = validation, device
        self.optimizer = build_optimizer(objective, schedule.training)
        self.compute = torch.compile(objective) if schedule.training.compile else objective
        self.progress = Progress()
        self.stop_requested = False
        self._reading: Reading | None = None
        self._weights = torch.tensor(schedule.weights, dtype=torch.float64, device=device)

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint needs."""
        self.read()
        return {
            "model": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.objective.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])

    def finished(self) -> bool:
        """Return whether all epochs are done, or the patience is used up."""
        progress, patience = self.progress, self.schedule.training.patience
        if progress.step >= self.schedule.total:
            return True
        waited = len(progress.history) - progress.best_epoch
        return patience > 0 and waited >= patience

    def at_end_of_epoch(self) -> bool:
        """Return whether the last step was the last of an epoch."""
        return self.progress.step % self.schedule.steps_per_epoch == 0

    @property
    def samples_per_second(self) -> float:
        """Speed of the epoch that is running."""
        steps = (self.progress.step - 1) % self.schedule.steps_per_epoch + 1
        return steps * self.schedule.batch / self.progress.seconds

    def take_step(self, hosts: list[Any], *, signal: int = 0) -> Row:
        """Take one optimiser step, and return the values of the step before it.

        The values of a step are means over its micro-batches and processes. They are read while the
        device computes the next step, so that it does not wait. `signal` is that which this process
        received; :attr:`stop_requested` is set in all processes at the same step.
        """
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        outputs = self._optimise(hosts)
        self.progress.step += 1
        means = self._means(outputs, signal=signal)
        reading = Reading.start(self.progress.step, [*outputs[0], _SIGNAL], means)
        values = self.read()
        self._reading = reading
        return values

    def read(self) -> Row:
        """Return the values of the last step, or nothing if they have been read.

        FloatingPointError names a step whose loss is not finite.
        """
        reading, self._reading = self._reading, None
        if reading is None:
            return {}
        values = reading.finish()
        self.stop_requested |= values.pop(_SIGNAL) > 0
        self._require_finite("loss", values["loss"], step=reading.step)
        sums = self.progress.sums
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
        return values

    def close_epoch(self) -> Row:
        """Validate, add the row of the epoch to the history, and keep the best weights."""
        self.read()
        progress, training = self.progress, self.schedule.training
        means = {k: total / self.schedule.steps_per_epoch for k, total in progress.sums.items()}
        validated: Row = {}
        if self.validation is not None:
            validated = self._validate(list(means))
            self._require_finite("validation loss", validated["loss"], step=progress.step)
        row: Row = {
            "epoch": len(progress.history) + 1,
            "step": progress.step,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": means.pop("loss"),
            "validation_loss": validated.pop("loss", math.nan),
            "seconds": progress.seconds,
            "samples_per_second": self.samples_per_second,
        }
        row |= {f"train_{name}": value for name, value in means.items()}
        row |= {f"validation_{name}": value for name, value in validated.items()}
        progress.history.append(row)
        progress.sums, progress.seconds = {}, 0.0
        selection = getattr(self.objective, "selection", "loss")
        criterion = row.get(f"validation_{selection}", math.nan)
        if criterion < progress.best_loss:
            progress.best_loss, progress.best_epoch = criterion, len(progress.history)
            if training.select == "best":
                for name, value in self.objective.state_dict().items():
                    progress.best[name] = value.detach().cpu().clone()
        return row

    def _rate(self) -> float:
        return learning_rate(
            self.progress.step,
            steps_per_epoch=self.schedule.steps_per_epoch,
            training=self.schedule.training,
        )

    def _optimise(self, hosts: list[Any]) -> list[dict[str, Tensor]]:
        """Step with gradients of all micro-batches and processes; return the outputs of each."""
        self.objective.train()
        self.optimizer.zero_grad(set_to_none=True)
        outputs = []
        for host, weight in zip(hosts, self.schedule.weights, strict=True):
            with processes.dividing(round(weight * self.schedule.batch)):
                output = self._forward(host, self.schedule.data)
            torch.autograd.backward(output["loss"] * weight)
            outputs.append(output)
        groups = self.optimizer.param_groups
        parameters = list(chain.from_iterable(group["params"] for group in groups))
        processes.average_gradients(parameters)
        if self.schedule.training.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.schedule.training.clip_norm)
        self.optimizer.step()
        return outputs

    def _forward(self, host: Any, data: Data) -> dict[str, Tensor]:
        batch = data.finish(host, device=self.device)
        reduced = self.schedule.training.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=reduced):
            output: dict[str, Tensor] = self.compute(batch)
        return output

    def _means(self, outputs: list[dict[str, Tensor]], *, signal: int) -> Tensor:
        """Return means over micro-batches and processes, and the mean of the signals."""
        means = []
        for name in outputs[0]:
            values = torch.stack([output[name].detach().double() for output in outputs])
            means.append(values @ self._weights)
        means.append(torch.full_like(means[0], signal))
        return processes.total(torch.stack(means)) / processes.count()

    @torch.no_grad()
    def _validate(self, names: list[str]) -> Row:
        """Return validation means over batches of similar size, since losses depend on the size."""
        assert self.validation is not None
        self.objective.eval()
        count = len(self.validation)
        number = math.ceil(count / self.schedule.training.batch_size)
        batches = np.array_split(np.arange(count), number)
        sums = torch.zeros(len(names), dtype=torch.float64, device=self.device)
        for samples in batches[processes.rank() :: processes.count()]:
            output = self._forward(self.validation.collect(samples, epoch=None), self.validation)
            sums += torch.stack([output[name].double() for name in names]) * len(samples)
        return dict(zip(names, (processes.total(sums) / count).tolist(), strict=True))

    def _require_finite(self, name: str, value: float, *, step: int) -> None:
        if math.isfinite(value):
            return
        per_epoch = self.schedule.steps_per_epoch
        where = f"step {step} of {self.schedule.total} (epoch {(step - 1) // per_epoch + 1})"
        raise FloatingPointError(
            f"the {name} is {value} at {where}: lower learning_rate, set clip_norm, or use "
            "precision float32"
        )
