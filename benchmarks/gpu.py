"""Training steps at the paper's sizes on a GPU: the table for docs/performance.md.

    python benchmarks/gpu.py [--only ptacl cmr_mae] [--batch 256] [--steps 20] [--out gpu.md]

A step is that of a training: batches are collected in a thread, copied, augmented, and followed by
the forward and backward pass, clipping, the optimiser, and reading the metrics. The first rows are
`ptacl` and `cmr_mae` in bfloat16, compiled or not, deterministic or not, which takes some ten
minutes. Each row is written when it is finished, and one that fails says why.
"""

import argparse
import gc
import itertools
import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ptacl import config
from ptacl.learning import assemble, loop
from ptacl.learning.data import Samples
from ptacl.learning.recordings import Recordings
from ptacl.models import exact

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = ("ptacl", "cmr_mae", "ecg_mae", "global")
HEAD = ("Model", "Precision", "Compiled", "Deterministic", "Samples/s", "Peak GiB")
_WARM_UP = 3  # steps that are not timed
_BATCHES = 4  # different batches in the recordings


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    entry: str
    precision: str
    compiled: bool
    deterministic: bool

    def cells(self) -> list[str]:
        """Return the first cells of the row."""
        ways = ["yes" if way else "no" for way in (self.compiled, self.deterministic)]
        return [self.entry, self.precision, *ways]


def cases(entries: Sequence[str], *, compile_too: bool) -> list[Case]:
    """Return the rows, the most important ones first."""
    compiled = (False, True) if compile_too else (False,)
    found = []
    for precision in ("bfloat16", "tf32", "float32"):
        deterministic = (True, False) if precision == "bfloat16" else (True,)
        for entry, how, same in itertools.product(entries, compiled, deterministic):
            found.append(Case(entry, precision, how, same))
    return found


def recordings(visits: int, modalities: Sequence[str]) -> Recordings:
    """Return noise in the shapes of stored recordings."""
    rng = np.random.default_rng(0)
    peaks = np.full((visits, 64), -1, np.int32)
    peaks[:, :12] = 150 + 400 * np.arange(12)
    signal = rng.normal(size=(visits, 12, 5000)).astype(np.float32) if "ecg" in modalities else None
    frames = rng.integers(0, 256, (visits, 50, 84, 84), np.uint8) if "cmr" in modalities else None
    return Recordings(
        [str(i) for i in range(visits)], signal, peaks, frames, np.full(visits, 18, np.int32)
    )


def training(
    case: Case, settings: config.Config, *, batch: int, steps: int, device: torch.device
) -> loop.Loop:
    """Build a training of at least `steps` steps, from random weights."""
    entry = settings.models[case.entry].model_copy(update={"start": None})
    assert isinstance(entry, config.Trained)
    changes = {
        "precision": case.precision,
        "compile": case.compiled,
        "batch_size": batch,
        "epochs": math.ceil(steps / _BATCHES),
    }
    how = entry.training.model_copy(update=changes)
    inputs = settings.inputs_of(case.entry)
    objective = assemble.build(entry, inputs, seed=0).to(device)
    visits = batch * _BATCHES
    data = Samples(
        recordings(visits, entry.modalities),
        list(np.arange(visits)[:, None]),
        sizes={str(m): size for m, size in inputs.encoders.items()},
        seed=0,
        pin=device.type == "cuda",
        ecg=entry.augmentation.ecg,
        cmr=entry.augmentation.cmr,
        **objective.needs,
    )
    schedule = loop.Schedule(data, how, seed=0)
    return loop.Loop(objective, schedule, validation=None, device=device)


def measure(
    case: Case, settings: config.Config, *, batch: int, steps: int, device: torch.device
) -> tuple[float, float]:
    """Return the samples per second and the peak GiB of a case."""
    cuda = device.type == "cuda"
    torch.use_deterministic_algorithms(case.deterministic, warn_only=True)
    running = training(case, settings, batch=batch, steps=steps + _WARM_UP, device=device)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    start = time.perf_counter()
    for hosts in running.schedule.collect_ahead(0, lambda: len(times) == steps + _WARM_UP):
        running.take_step(hosts)  # waits for the step before it
        now = time.perf_counter()
        times.append(now - start)
        start = now
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else math.nan
    return batch / statistics.median(times[_WARM_UP:]), peak


def rows(
    chosen: Sequence[Case], settings: config.Config, *, batch: int, steps: int, device: torch.device
) -> Iterator[list[str]]:
    """Yield the cells of each row when it is finished."""
    for case in chosen:
        try:
            with exact.tf32(case.precision == "tf32"):
                speed, peak = measure(case, settings, batch=batch, steps=steps, device=device)
            result = [f"{speed:,.1f}", f"{peak:.1f}"]
        except torch.OutOfMemoryError:
            result = ["out of memory", ""]
        except Exception as error:  # a kernel or a compiler that fails costs only its row
            text = str(error).strip() or type(error).__name__
            result = [f"failed: {text.splitlines()[0][:120]}", ""]
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        yield [*case.cells(), *result]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="cuda", help="cpu, with --batch 2 --steps 1, shows that the script runs"
    )
    parser.add_argument("--only", nargs="+", choices=ENTRIES, default=ENTRIES, metavar="MODEL")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed, after three")
    parser.add_argument(
        "--config",
        type=Path,
        nargs="*",
        default=[ROOT / "config.yaml", ROOT / "workflow/config/paper.yaml"],
    )
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    args = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as in a run of the pipeline
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU is seen by torch: run it where there is one")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    chosen = cases(args.only, compile_too=not args.no_compile)
    found = rows(
        chosen, config.stack(*args.config), batch=args.batch, steps=args.steps, device=device
    )
    head = [f"{name}, torch {torch.__version__}, batch {args.batch}.", ""]
    lines = itertools.chain([HEAD, ["---"] * len(HEAD)], found)
    with args.out.open("w") as file:
        for line in itertools.chain(head, (f"| {' | '.join(cells)} |" for cells in lines)):
            print(line, flush=True)
            print(line, file=file, flush=True)


if __name__ == "__main__":
    main()
