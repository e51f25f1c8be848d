"""Move the arrays of a batch to a device in one copy.

Every copy to a GPU costs a call, and from memory that is not pinned it also waits for the GPU. A
batch has some twenty arrays, most of them small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ALIGNMENT = 64  # bytes


@dataclass(frozen=True)
class Packed:
    """Arrays in one buffer in main memory, by name: their type, shape and offset in bytes."""

    buffer: Tensor
    places: Mapping[str, tuple["np.dtype[Any]", tuple[int, ...], int]]

    def to(self, device: torch.device) -> dict[str, Tensor]:
        """Return the arrays as tensors on the device; a pinned buffer is copied meanwhile."""
        moved = self.buffer.to(device, non_blocking=True)
        found = {}
        for name, (kind, shape, offset) in self.places.items():
            size = kind.itemsize * int(np.prod(shape))
            dtype = torch.from_numpy(np.empty(0, kind)).dtype
            found[name] = moved[offset : offset + size].view(dtype).view(shape)
        return found


def pack(arrays: Mapping[str, np.ndarray], *, pin: bool) -> Packed:
    """Copy arrays into one buffer, in pinned memory if they go to a GPU."""
    places, end = {}, 0
    for name, array in arrays.items():
        places[name] = (array.dtype, array.shape, end)
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    buffer = torch.empty(end, dtype=torch.uint8, pin_memory=pin)
    view = buffer.numpy()
    for name, array in arrays.items():
        offset = places[name][2]
        part = view[offset : offset + array.nbytes].view(array.dtype)
        np.copyto(part.reshape(array.shape), array)
    return Packed(buffer, places)
