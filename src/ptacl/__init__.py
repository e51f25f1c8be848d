"""Contrastive pre-training on ECG and cardiac MRI, from raw files to tables; `Model` and `Gallery` use what was trained."""

import importlib
from typing import Any

__all__ = ["Gallery", "Model"]


def __getattr__(name: str) -> Any:
    """Names of :mod:`ptacl.inference`, which loads torch: only where one is asked for."""
    if name in ("Gallery", "Model"):
        # By its name in a string: what the package imports counts as part of every stage's code, and would rerun all of them.
        return getattr(importlib.import_module("ptacl.inference"), name)
    raise AttributeError(f"module 'ptacl' has no attribute {name!r}")
