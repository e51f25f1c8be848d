"""What an objective is: encoders and what they learn, as a module from a batch to {"loss": scalar, and detached scalars}."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ptacl import seeds
from ptacl.learning import processes
from ptacl.models import vit
from ptacl.models.build import AnyEncoder

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Targets:
    """Phenotypes that a model learns to predict, with mean and standard deviation over the training participants."""

    names: list[str]
    mean: list[float]
    std: list[float]


class Objective(nn.Module):
    """Base of all objectives.

    encoders : by modality, with the weights to start from. seed : of the initial weights of all else. targets : for kinds that
    take labels.

    Attributes: `settings`; `encoders`; `needs`, what else of a batch there must be, as arguments of
    :class:`ptacl.learning.data.Samples`; `selection`, the value whose validation mean chooses the best epoch. A value `x_chance`
    is the loss that `x` has while nothing is learned (:mod:`ptacl.learning.chance`).
    """

    selection = "loss"

    def __init__(self, settings: Any, encoders: Mapping[str, AnyEncoder], *, seed: int, targets: Targets | None = None) -> None:
        super().__init__()
        self.settings, self.encoders = settings, nn.ModuleDict(encoders)
        self.needs: dict[str, Any] = {}

    def encoder(self, modality: str) -> vit.Encoder:
        """The encoder of a modality."""
        found = self.encoders[modality]
        assert isinstance(found, vit.Encoder)
        return found

    def saved(self) -> dict[str, nn.Module]:
        """What the model folder holds: encoders by modality, and what belongs to them as `modality_part`."""
        return dict(self.encoders.items())

    def begin(self, batches: Iterable[Batch]) -> None:
        """Set what depends on data before the first step, from some hundred training samples in the evaluation view."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, and what else is worth a column of the metrics."""
        raise NotImplementedError


@contextmanager
def initial_weights(seed: int, part: str) -> Iterator[None]:
    """Modules built inside get weights that depend on the seed and the name of the part alone; other draws go on as if not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "initial weights", part))
        yield


def weighted(mean: Tensor, samples: Tensor) -> Tensor:
    """A mean over the samples of this process, weighted so that the mean over processes is that over all samples."""
    return mean * processes.share(samples).to(mean) if processes.count() > 1 else mean
