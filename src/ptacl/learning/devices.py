"""Choose the device of a job, and notice a GPU that PyTorch cannot use.

PyTorch falls back to the CPU without a word if its CUDA version does not fit the driver. A training
would then take days instead of hours.
"""

import logging
import subprocess
from collections import Counter

import torch

LOG = logging.getLogger(__name__)

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
_BFLOAT16 = (8, 0)  # compute capability from which a GPU has units for bfloat16
_HIDDEN = "No CUDA GPUs are available"  # error of PyTorch if CUDA_VISIBLE_DEVICES hides all


def kind(*, gpus: int) -> str:
    """Return "cuda" or "cpu" for a job that asked for a number of GPUs.

    A machine without an NVIDIA GPU trains on the CPU, and logs one line.

    Raises
    ------
    ValueError
        If the machine has an NVIDIA GPU that PyTorch cannot use. The message names the GPU, its
        driver, the CUDA version of PyTorch and the remedies.
    """
    if gpus < 1:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if (devices := installed()) and (cause := _cause()):
        raise ValueError(unusable(devices, cause=cause))
    LOG.info("no NVIDIA GPU was found: running on the CPU")
    return "cpu"


def installed() -> str:
    """Return the GPUs of this machine with their drivers, as nvidia-smi reports them, or ""."""
    try:
        found = subprocess.run(_QUERY, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = found.stdout.strip().splitlines() if found.returncode == 0 else []
    named = []
    for line in dict.fromkeys(lines):
        name, _, driver = line.partition(",")
        named.append(f"{name.strip()} (driver {driver.strip()})")
    return ", ".join(named)


def _cause() -> str:
    """Return why PyTorch cannot use a GPU, or "" if the user has hidden all of them."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        text = str(error).strip().splitlines()[0]
        return "" if text.startswith(_HIDDEN) else text
    return ""


def unusable(devices: str, *, cause: str) -> str:
    """Describe a GPU that PyTorch cannot use, with the remedies."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    return (
        f"this machine has {devices}, but PyTorch {torch.__version__} (built for {built}) cannot "
        f"use it: {cause}. If the driver is older than 580, install the versions of "
        "envs/requirements-cuda12.lock, or update the driver; to use the CPU, add "
        "--set-resources train:gpu=0 embed:gpu=0"
    )


def describe() -> str:
    """Return the devices that jobs use on this machine, in words; raises ValueError as `kind`."""
    if kind(gpus=1) == "cpu":
        return "the CPU; no NVIDIA GPU was found"
    names = []
    for number in range(torch.cuda.device_count()):
        old = torch.cuda.get_device_capability(number) < _BFLOAT16
        lacks = " (no units for bfloat16)" if old else ""
        names.append(torch.cuda.get_device_name(number) + lacks)
    return ", ".join(f"{number} x {name}" for name, number in Counter(names).items())


def require_gpu() -> None:
    """Name the GPUs that trainings use here; SystemExit if there is none."""
    try:
        print(describe())
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if not torch.cuda.is_available():
        raise SystemExit(1)
