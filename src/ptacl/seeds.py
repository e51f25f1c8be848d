"""Derive every random draw of the project from a seed, a purpose and ids.

A global generator is never used, and no state needs to be stored.
"""

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *ids: int | str) -> int:
    """Return a seed of 63 bits that depends on all arguments and is the same on every machine."""
    text = "\x1f".join([str(seed), purpose, *map(str, ids)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *ids: int | str) -> np.random.Generator:
    """Return a NumPy generator that is only used for one purpose."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *ids)))


def uniform(purpose: str, *ids: int | str) -> float:
    """Return a fixed number in [0, 1) for an id.

    It does not depend on any other id, so splits and shards are stable when others are added or
    removed.
    """
    return derive(0, purpose, *ids) / 2**63
