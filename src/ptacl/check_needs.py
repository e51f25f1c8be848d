"""Estimate the disk space, memory and time of a run, and name the device of its trainings."""

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ptacl import config, training_cost

PROBLEM = "problem"  # key of the facts about a device that cannot be used
# Peak rates of bfloat16 matrix products, from the data sheets of the makers, and the fraction of
# the peak rate that a small transformer reaches.
GPUS = {
    "NVIDIA L4": 121e12,
    "NVIDIA A10G": 70e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
}
SHARE_GPU, SHARE_CPU = 0.15, 0.3
_MATRIX = 1024


def sizes(encoders: config.Encoders, *, demonstration: config.Encoders) -> dict[str, Any]:
    """Describe the encoders to train, with a note if they are those of the demonstration."""
    found = {}
    for name, encoder in (("ECG encoder", encoders.ecg), ("CMR encoder", encoders.cmr)):
        shape, patch = (" x ".join(map(str, axes)) for axes in (encoder.shape, encoder.patch))
        found[name] = (
            f"input {shape}, patch {patch}, {encoder.depth} layers, width {encoder.width}, "
            f"{encoder.heads} heads"
        )
    if encoders == demonstration:
        found["note"] = (
            "sizes of the demonstration; for those of the paper, give "
            "workflow/config/paper.yaml as the first file, and for a few thousand patients "
            "workflow/config/small.yaml"
        )
    return found


def needs(
    settings: config.Config, *, visits: int, seconds: Mapping[str, float], cores: int
) -> dict[str, Any]:
    """Estimate the disk space, memory and time that `visits` visits need.

    `seconds` is the measured preparation time per record, by modality.
    """
    ecg_bytes, cmr_bytes = (
        12 * settings.ecg.num_samples * 4,
        settings.cmr.frames * settings.cmr.size**2,
    )
    works = training_cost.trainings(settings, visits=visits)
    here = os.path.abspath("results" if os.path.isdir("results") else ".")
    total, speed = sum(work.flops for work in works.values()), SHARE_CPU * rate()
    stored = _gb(visits * (ecg_bytes + cmr_bytes))
    return {
        "disk": {
            "stores": stored,
            "maps": stored if settings.maps.folder else _gb(0),
            "free": _gb(shutil.disk_usage(here).free),
        },
        "memory": {"to hold what trainings read": stored, "of this machine": _gb(_memory())},
        "preparation": {
            m: hours(s * visits / cores) + f" on {cores} cores, measured"
            for m, s in seconds.items()
        },
        "trainings": {
            name: hours(work.seconds(speed)) + " on the CPU of this machine, estimate"
            for name, work in works.items()
        },
        "all trainings": {
            f"one {gpu}": f"about {hours(seconds)}, estimate"
            if seconds >= 60
            else "less than a minute, estimate"
            for gpu, seconds in gpu_seconds(total).items()
        },
    }


def device() -> dict[str, Any]:
    """Return what trainings would run on here."""
    from ptacl.learning import devices

    try:
        return {"device": {"trainings here run on": devices.describe()}}
    except ValueError as error:
        return {"device": {PROBLEM: str(error)}}


def gpu_seconds(flops: float) -> dict[str, float]:
    """Return about how many seconds each GPU needs for `flops` operations."""
    return {gpu: flops / (SHARE_GPU * peak) for gpu, peak in GPUS.items()}


def rate() -> float:
    """Measure the operations per second of a matrix product that takes some milliseconds."""
    a = np.ones((_MATRIX, _MATRIX), np.float32)
    a @ a
    start = time.perf_counter()
    a @ a
    return float(2 * _MATRIX**3 / (time.perf_counter() - start))


def _memory() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def hours(seconds: float) -> str:
    """Return a time in hours, minutes or seconds, as text."""
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
