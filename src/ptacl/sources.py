"""Inputs of a trained model: files, or ECGs as an array."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ptacl.cmr import examine as cmr
from ptacl.cmr.read import find_labels
from ptacl.ecg import examine as ecg
from ptacl.ecg.read import LEADS
from ptacl.preparation import Examined

Files = str | Path | Sequence[str | Path]

_CINES = (".zip", ".nii", ".nii.gz")


@dataclass(frozen=True)
class Input:
    """One input: its name, and the function that examines it with the preparation settings."""

    name: str
    examine: Callable[..., Examined]


def inputs(
    source: Files | np.ndarray,
    *,
    modality: str,
    rate_hz: float = 500,
    leads: Sequence[str] = LEADS,
    unit: str = "mV",
    segmentation: Path | None = None,
) -> list[Input]:
    """List the inputs of a model.

    The parameters are those of :meth:`ptacl.Model.embed`. Raises ValueError for an input of the
    other modality.
    """
    if isinstance(source, np.ndarray):
        if modality != "ecg":
            raise ValueError("an array can only hold ECGs: give the files of cines")
        signals = _signals(source, num_leads=len(leads))
        examine = partial(ecg.examine_array, names=leads, rate_hz=rate_hz, unit=unit)
        return [Input(str(i), partial(examine, signal)) for i, signal in enumerate(signals)]
    found: list[Input] = []
    for path in [Path(source)] if isinstance(source, str | Path) else map(Path, source):
        if modality == "cmr":
            labels = segmentation or find_labels(path)
            found.append(Input(str(path), partial(cmr.examine, path, segmentation=labels)))
        else:
            require_ecg(path)
            found.append(Input(str(path), partial(ecg.examine, path)))
    return found


def require_ecg(path: Path) -> None:
    """Raise ValueError for a cine, which can only be read with its own modality."""
    if path.is_dir() or path.name.lower().endswith(_CINES):
        raise ValueError(
            f'{path.name} is a cine, not an ECG: add --modality cmr (modality="cmr" in Python)'
        )


def _signals(source: np.ndarray, *, num_leads: int) -> np.ndarray:
    """Return an array (n, leads, samples), also for one ECG."""
    signals = source[None] if source.ndim == 2 else source
    if signals.ndim != 3 or signals.shape[1] != num_leads:
        raise ValueError(
            f"signals of shape {source.shape}: give (leads, samples) or (n, leads, samples) with "
            f"{num_leads} leads"
        )
    return signals
