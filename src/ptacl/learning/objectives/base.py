"""The base class of objectives.

An objective is a module that contains encoders and maps a batch to {"loss": scalar, and detached
scalars}.
"""

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
    """Phenotypes that a model learns to predict.

    Parameters
    ----------
    names : list of str
        Names of the P phenotypes.
    mean, std : list of float
        Mean and standard deviation over the training participants, in the units of the phenotypes.
    """

    names: list[str]
    mean: list[float]
    std: list[float]


class Objective(nn.Module):
    """Base class of all objectives.

    Parameters
    ----------
    settings : config.Trained
        Settings of the model, available as the attribute `settings`.
    encoders : mapping of str to encoder
        Encoders by modality, with the weights to start from, available as the attribute `encoders`.
    seed : int
        Seed of the initial weights of all other parts.
    targets : Targets, optional
        Phenotypes to learn, for objectives that need labels.

    Notes
    -----
    The attribute `needs` says what else a batch must contain, as arguments of
    :class:`ptacl.learning.data.Samples`. The attribute `selection` names the value whose validation
    mean chooses the best epoch. A value `x_chance` is the loss that `x` has as long as nothing is
    learned (:mod:`ptacl.learning.collapse`). The attribute `whole_batches` is True if the loss
    compares the samples of a batch, which then cannot be divided into micro-batches.
    """

    selection = "loss"
    whole_batches = False

    def __init__(
        self,
        settings: Any,
        encoders: Mapping[str, AnyEncoder],
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.encoders = settings, nn.ModuleDict(encoders)
        self.needs: dict[str, Any] = {}

    def encoder(self, modality: str) -> vit.VisionTransformer:
        """Return the encoder of a modality.

        Parameters
        ----------
        modality : str
            `ecg` or `cmr`.

        Returns
        -------
        Encoder
            Encoder of patches.
        """
        found = self.encoders[modality]
        assert isinstance(found, vit.VisionTransformer)
        return found

    def saved(self) -> dict[str, nn.Module]:
        """Return the modules that the model folder stores.

        Returns
        -------
        dict of str to nn.Module
            Encoders by modality, and parts that belong to them as `modality_part`. Two names
            are used after the training: `ecg_projector` and `cmr_projector` map pooled tokens to
            the space in which retrieval compares them.
        """
        return dict(self.encoders.items())

    def begin(self, batches: Iterable[Batch]) -> None:
        """Set everything that depends on data, before the first optimiser step.

        Parameters
        ----------
        batches : iterable of mapping of str to Tensor
            A few hundred training samples in the evaluation view.
        """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss and the values for the metrics.

        Parameters
        ----------
        batch : mapping of str to Tensor
            Batch with everything that `needs` requests.

        Returns
        -------
        dict of str to Tensor
            "loss", and detached scalars that become columns of the metrics.
        """
        raise NotImplementedError


@contextmanager
def initial_weights(seed: int, part: str) -> Iterator[None]:
    """Make the initial weights of modules that are built inside the context reproducible.

    They depend only on the seed and the name of the part. Random draws outside are not affected.

    Parameters
    ----------
    seed : int
        Seed of the model.
    part : str
        Name of the part, such as `projectors`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "initial weights", part))
        yield


def weighted(mean: Tensor, samples: Tensor) -> Tensor:
    """Weight a mean over the samples of this process.

    With this weight, the mean over processes is the mean over all samples.

    Parameters
    ----------
    mean : Tensor, shape ()
        Mean over the samples of this process.
    samples : Tensor, shape ()
        Number of these samples.

    Returns
    -------
    Tensor, shape ()
        Weighted mean.
    """
    return mean * processes.share(samples).to(mean) if processes.count() > 1 else mean
