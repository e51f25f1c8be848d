"""Embeddings of phases that are alike in both modalities."""

from pathlib import Path

import numpy as np

T, D = 13, 24


def write(path: Path, *, noise: float, seed: int = 0, people: int = 60, shift: int = 0) -> Path:
    """Steps that share a direction in both modalities, under noise, the CMR `shift` steps late."""
    rng = np.random.default_rng(seed)
    phase = rng.normal(size=(people, T, D))
    ecg = phase + noise * rng.normal(size=phase.shape)
    cmr = np.roll(phase, shift, axis=1) + noise * rng.normal(size=phase.shape)
    np.savez(
        path,
        test_visits=np.array([f"{9000001 + i}_2" for i in range(people)]),
        ecg_local=ecg.astype(np.float16),
        cmr_local=cmr.astype(np.float16),
        cmr_local_still=rng.normal(size=(T, D)).astype(np.float16),
        local_valid=np.ones(people, bool),
    )
    return path
