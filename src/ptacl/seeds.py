"""Every random draw of the project, derived from (seed, purpose, ids): no global generator, nothing to store."""

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *ids: int | str) -> int:
    """A seed of 63 bits that depends on all of its arguments, the same on every machine."""
    text = "\x1f".join([str(seed), purpose, *map(str, ids)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *ids: int | str) -> np.random.Generator:
    """A NumPy generator of its own for one purpose."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *ids)))


def uniform(purpose: str, *ids: int | str) -> float:
    """A fixed number in [0, 1) for an id: stable whoever else comes or goes (splits, shards)."""
    return derive(0, purpose, *ids) / 2**63
