"""ECG preparation, milliseconds a record and core: this project against the obvious way, taking turns on the same file.

The obvious way: the standard library's XML, one `pywt.wavedec` and `waverec` a lead, neurokit2's `ecg_clean` and `ecg_peaks` on
lead II.
Then the whole stage with its store, and the beat matrices of a batch of 256.

    python benchmarks/ecg_preparation.py [--ecg FILE.xml] [--rounds 60]

Measured on one of two shared, busy cores: 7 to 10 ms against 16 to 22 (2.3 times), 14 with the store, 1 for the matrices.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import neurokit2
import numpy as np
import pywt

from ptacl import config
from ptacl.ecg import prepare
from ptacl.ecg.beats import beat_matrices

ROOT = Path(__file__).parents[1]


def obvious(path: Path) -> np.ndarray:
    strip = ElementTree.parse(path).getroot().find("StripData")
    resolution_mv = float(strip.find("Resolution").text) / 1000
    leads = []
    for element in strip.findall("WaveformData"):
        lead_mv = np.array(element.text.split(","), dtype=int) * resolution_mv
        bands = pywt.wavedec(lead_mv, "db6", level=8)
        for band in (0, -2, -1):
            bands[band] = np.zeros_like(bands[band])
        leads.append(pywt.waverec(bands, "db6")[: len(lead_mv)])
    clean = neurokit2.ecg_clean(leads[1], sampling_rate=500)
    return neurokit2.ecg_peaks(clean, sampling_rate=500)[1]["ECG_R_Peaks"]


def milliseconds(function: Callable[[], object]) -> tuple[float, float]:
    """Time on the core and time on the wall."""
    core, wall = time.process_time(), time.perf_counter()
    function()
    return 1000 * (time.process_time() - core), 1000 * (time.perf_counter() - wall)


def default_file(folder: Path) -> Path:
    """The real CardioSoft recording where there is one, else a synthetic one."""
    real = Path(os.environ.get("PTACL_REAL_DATA", ROOT.parent / "shared" / "data")) / "ecg" / "cardiosoft" / "example-XML1.xml"
    if real.is_file():
        return real
    sys.path.insert(0, str(ROOT / "tests" / "ecg"))
    from recordings import beat_times, cardiosoft, counts, synthetic_mv

    path = folder / "synthetic.xml"
    path.write_text(cardiosoft(counts(synthetic_mv(beat_times(65), noise_mv=0.02))), encoding="latin-1")
    return path


def say(name: str, times: list[tuple[float, float]]) -> None:
    columns = [sorted(column) for column in zip(*times, strict=True)]
    text = [f"{label} {statistics.median(c):7.2f} (best {c[0]:.2f})" for label, c in zip(("core", "wall"), columns, strict=True)]
    print(f"{name:34}", *text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecg", type=Path, help="a CardioSoft file")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = config.load(ROOT / "config.yaml").ecg
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = args.ecg or default_file(folder)
        print(f"{path.name}, {path.stat().st_size / 1000:.0f} kB; milliseconds a record, median of {args.rounds} rounds in turns")
        ours, theirs = [], []
        for k in range(args.rounds + 3):
            pair = milliseconds(lambda: prepare.prepare_record(path, settings=settings)), milliseconds(lambda: obvious(path))
            if k >= 3:  # warm
                ours.append(pair[0])
                theirs.append(pair[1])
        say("this project", ours)
        say("the obvious way", theirs)
        ratios = sorted(their[0] / our[0] for our, their in zip(ours, theirs, strict=True))
        tenth = len(ratios) // 10
        spread = f"({ratios[tenth]:.1f} to {ratios[-1 - tenth]:.1f})"
        print(f"{'ratio of each round, on the core':34} {statistics.median(ratios):.1f} {spread}")

        members = [{"visit": f"{9000001 + k}_2", "ecg": str(path)} for k in range(256)]
        core, wall = milliseconds(lambda: prepare.prepare_shard(members, settings=settings, directory=folder / "0"))
        print(f"{'whole stage, with the store':34} core {core / 256:7.2f} wall {wall / 256:7.2f}")

        peaks = np.full((256, prepare.MAX_PEAKS), -1, np.int32)
        peaks[:, :12] = 200 + 400 * np.arange(12)
        starts = np.arange(256) * 9
        step = [milliseconds(lambda: beat_matrices(peaks, start=starts, num_samples=2500, patch=50, steps=13)) for _ in range(30)]
        say("beat matrices of a batch of 256", step)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
