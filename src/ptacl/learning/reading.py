"""Read the values of a step from the device while it computes the next one."""

from dataclasses import dataclass

import torch
from torch import Tensor

Row = dict[str, float]


@dataclass(frozen=True)
class Reading:
    """Values of a step on their way to main memory."""

    step: int
    names: list[str]
    values: Tensor
    arrived: torch.cuda.Event | None

    @classmethod
    def start(cls, step: int, names: list[str], values: Tensor) -> "Reading":
        """Begin to copy values of the device, without waiting for it."""
        if values.device.type != "cuda":
            return cls(step, names, values, None)
        host = torch.empty_like(values, device="cpu", pin_memory=True)
        host.copy_(values, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return cls(step, names, host, arrived)

    def finish(self) -> Row:
        """Wait for the values."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return dict(zip(self.names, self.values.tolist(), strict=True))
