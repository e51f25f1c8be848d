"""Training steps at the paper's shapes on a GPU: ten minutes, and the table for
docs/performance.md.

    python benchmarks/gpu.py [--device cuda] [--batch 256] [--steps 20] [--out gpu.md]

Each line is a model with the sizes of `workflow/config/paper.yaml`, in float32 and in bfloat16,
with and without `torch.compile`.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptacl import config
from ptacl.learning import assemble, loop
from ptacl.learning.data import Samples
from ptacl.learning.recordings import Recordings

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = ("ecg_mae", "cmr_mae", "global", "ptacl")


def recordings(visits: int, modalities: Sequence[str]) -> Recordings:
    """Noise in the shapes of stored recordings."""
    rng = np.random.default_rng(0)
    peaks = np.full((visits, 64), -1, np.int32)
    peaks[:, :12] = 150 + 400 * np.arange(12)
    signal = rng.normal(size=(visits, 12, 5000)).astype(np.float32) if "ecg" in modalities else None
    frames = rng.integers(0, 256, (visits, 50, 84, 84), np.uint8) if "cmr" in modalities else None
    return Recordings(
        [str(i) for i in range(visits)], signal, peaks, frames, np.full(visits, 18, np.int32)
    )


def halves(
    name: str,
    settings: config.Config,
    *,
    batch: int,
    device: torch.device,
    bfloat16: bool = False,
    compiled: bool = False,
) -> tuple[Callable[[], dict[str, Tensor]], Callable[[dict[str, Tensor]], None]]:
    """Split a training step in two: making an augmented batch from recordings in main memory, and
    learning from it.
    """
    entry = settings.models[name].model_copy(update={"start": None})
    assert isinstance(entry, config.Trained)
    inputs = settings.inputs_of(name)
    objective = assemble.build(entry, inputs, seed=0).to(device).train()
    data = Samples(
        recordings(batch, entry.modalities),
        list(np.arange(batch)[:, None]),
        sizes={str(m): size for m, size in inputs.encoders.items()},
        seed=0,
        ecg=entry.augmentation.ecg,
        cmr=entry.augmentation.cmr,
        **objective.needs,
    )
    optimizer, compute = (
        loop.build_optimizer(objective, entry.training),
        torch.compile(objective) if compiled else objective,
    )
    host = data.collect(np.arange(batch), epoch=0)

    def learn(made: dict[str, Tensor]) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = compute(made)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return lambda: data.finish(host, device=device), learn


def measure(step: Callable[[], None], *, steps: int, device: torch.device) -> tuple[float, float]:
    """Median seconds per step, and peak GiB on the device."""
    cuda = device.type == "cuda"
    for _ in range(3):
        step()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times), torch.cuda.max_memory_allocated() / 2**30 if cuda else float(
        "nan"
    )


def lines(
    settings: config.Config, *, batch: int, steps: int, device: torch.device, compile_too: bool
) -> Iterator[str]:
    yield "| Model | Precision | Compiled | Samples/s | Peak GiB |"
    yield "| --- | --- | --- | --- | --- |"
    for name in ENTRIES:
        for bfloat16 in (False, True):
            for compiled in (False, True) if compile_too else (False,):
                how = {"bfloat16": bfloat16, "compiled": compiled, "batch": batch, "device": device}
                try:
                    made, learn = halves(name, settings, **how)
                    seconds, peak = measure(
                        lambda made=made, learn=learn: learn(made()), steps=steps, device=device
                    )
                    result = f"{batch / seconds:,.0f} | {peak:.1f}"
                except torch.OutOfMemoryError:
                    result = "out of memory | "
                gc.collect()
                precision = "bfloat16" if bfloat16 else "float32"
                yield f"| {name} | {precision} | {'yes' if compiled else 'no'} | {result} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", default="cuda", help="cpu, with --batch 2 --steps 1, shows that the script runs"
    )
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
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU is seen by torch: run it where there is one")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    text = [
        f"{name}, torch {torch.__version__}, batch {args.batch}, steps from main memory on.",
        "",
    ]
    print("\n".join(text))
    settings = config.stack(*args.config)
    for line in lines(
        settings, batch=args.batch, steps=args.steps, device=device, compile_too=not args.no_compile
    ):
        print(line, flush=True)
        text.append(line)
    args.out.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
