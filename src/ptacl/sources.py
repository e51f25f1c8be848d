"""Inputs of a trained model: files, or ECGs as an array."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.ecg import contract
from ptacl.ecg.read import EcgRecord

Files = str | Path | Sequence[str | Path]

_CINES = (".zip", ".nii", ".nii.gz")


def require_ecgs(source: Files | np.ndarray) -> None:
    """Raise ValueError for a cine, which can only be read with its own modality."""
    for path in [] if isinstance(source, np.ndarray) else paths(source):
        if path.is_dir() or path.name.lower().endswith(_CINES):
            raise ValueError(
                f'{path.name} is a cine, not an ECG: add --modality cmr (modality="cmr" in Python)'
            )


def paths(source: Files) -> list[Path]:
    """Return the given files as a list of paths."""
    return [Path(path) for path in ([source] if isinstance(source, str | Path) else source)]


def items(
    source: Files | np.ndarray, *, rate_hz: float, leads: Sequence[str], unit: str
) -> list[tuple[str, Any]]:
    """Return names and items.

    An item is a path, or a function that makes a record from a signal.
    """
    if isinstance(source, np.ndarray):
        signals = source[None] if source.ndim == 2 else source
        if signals.ndim != 3 or signals.shape[1] != len(leads):
            raise ValueError(
                f"signals of shape {source.shape}: give (leads, samples) or (n, leads, "
                f"samples) with {len(leads)} leads"
            )

        def record(signal: np.ndarray) -> Any:
            def make(settings: config.Ecg) -> EcgRecord:
                return contract.conform(
                    signal, names=leads, rate_hz=rate_hz, unit=unit, settings=settings
                )

            return make

        return [(str(i), record(signal)) for i, signal in enumerate(signals)]
    return [(str(path), path) for path in paths(source)]
