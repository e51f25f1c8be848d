"""Train with several processes (torchrun), with the same numbers as one process, only faster.

The global batch of a step is divided over the processes. Each process computes a loss such that the
mean over processes is the loss of the global batch, and gradients are averaged. A term that needs
the whole batch gathers its embeddings. A mean over local samples is weighted by :func:`share`.
Without torchrun these functions do nothing. Evaluation never gathers, because each process
evaluates whole batches of its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed import get_node_local_rank

from ptacl.learning import devices

_batch = 0  # samples of the batch that the processes are computing together


@contextmanager
def started(device: torch.device | None = None, *, gpus: int = 1) -> Iterator[torch.device]:
    """Yield the device of this process.

    Under torchrun, the process group exists inside the context (nccl on GPUs, gloo on CPUs).
    `gpus` is the number of GPUs that the job asked for. Raises ValueError for a GPU that PyTorch
    cannot use.
    """
    launched = distributed.is_torchelastic_launched()
    if device is None:
        kind = devices.kind(gpus=gpus)
        index = (get_node_local_rank() if launched else 0) if kind == "cuda" else None
        device = torch.device(kind) if index is None else torch.device(kind, index)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not launched:
        yield device
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process; process 0 writes files and shows progress."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def wait() -> None:
    """Wait until every process has arrived here."""
    if count() > 1:
        distributed.barrier()


def part(samples: np.ndarray) -> np.ndarray:
    """Return the part of a batch that this process computes."""
    return np.array_split(samples, count())[rank()]


@contextmanager
def dividing(samples: int) -> Iterator[None]:
    """Tell :func:`gather` the size of the batch whose parts the processes compute."""
    global _batch
    before, _batch = _batch, samples
    try:
        yield
    finally:
        _batch = before


def total(values: Tensor) -> Tensor:
    """Sum over the processes, without gradient."""
    values = values.detach().clone()
    if count() > 1:
        distributed.all_reduce(values)
    return values


def share(samples: Tensor) -> Tensor:
    """Return the weight of a mean over the samples of this process.

    With it, the mean over processes is the mean over all samples. `samples` is a count of shape ().
    """
    samples = samples.detach().double()
    return samples * count() / total(samples).clamp(min=1)


@torch.no_grad()
def share_state(module: nn.Module) -> None:
    """Give every process the weights and persistent buffers of process 0."""
    if count() > 1:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes.

    All gradients are sent in one message, because the overhead of hundreds of small messages
    exceeds the time of the transfer itself.
    """
    if count() == 1:
        return
    gradients = []
    for p in parameters:
        if p.requires_grad:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            gradients.append(p.grad)
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= count()
    for gradient, part in zip(
        gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_BP: Tensor) -> Tensor:
        ctx.sizes = [len(own) for own in np.array_split(np.arange(_batch), count())]
        if ctx.sizes[rank()] != len(rows_BP):
            raise RuntimeError(
                f"this process has {len(rows_BP)} rows, but its part of the batch of {_batch} has "
                f"{ctx.sizes[rank()]}: gather one row of each sample"
            )
        padded = rows_BP.new_zeros(max(ctx.sizes), *rows_BP.shape[1:])
        padded[: len(rows_BP)] = rows_BP
        parts = [torch.empty_like(padded) for _ in ctx.sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process computed a loss from these rows, so the gradients are added.
        return torch.split(total(gradients[0]), ctx.sizes)[rank()]


def gather(rows_BP: Tensor) -> Tensor:
    """Gather one row of each sample from all processes, in their order, with gradient.

    The parts of the processes can have different sizes, which follow from the size of the batch
    (:func:`dividing`).
    """
    if count() == 1:
        return rows_BP
    gathered: Tensor = _Gather.apply(rows_BP)  # type: ignore[no-untyped-call]
    return gathered
