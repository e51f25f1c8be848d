"""Contrastive pre-training on ECG and cardiac MRI, from raw files to tables; `Model` and `Gallery`
use what was trained.
"""

import importlib
from typing import Any

__all__ = ["Gallery", "Model"]

# By name, and imported when asked for: torch takes a second, and what the package imports is part
# of every stage's code.
_MODULES = {"Gallery": "ptacl.gallery", "Model": "ptacl.inference"}


def __getattr__(name: str) -> Any:
    """Import a public class."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'ptacl' has no attribute {name!r}")
