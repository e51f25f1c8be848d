"""Compare a contrastive step and the simulation with the code of an earlier commit.

Both take turns in processes of their own. Without the history of the repository there is nothing to
compare with.
"""

import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common import Row

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "4edbcab"  # the last commit before training and preparation were made faster
PAIRS, VISITS = 64, 40

KEEP = """
try:
    from ptacl import memory
    memory.keep()  # as a job does
except ImportError:
    pass
"""

STEP = f"""{KEEP}
import sys
import time
from pathlib import Path
import numpy as np
import torch
from ptacl import config
try:
    from ptacl.learning import assemble, optimizer as building
except ImportError:  # before these modules had names of their own
    from ptacl.learning import fit as building, train as assemble
from ptacl.learning.data import Samples
try:
    from ptacl.learning.recordings import Recordings
except ImportError:
    from ptacl.learning.data import Recordings
torch.set_num_threads(1)
settings = config.load(Path(sys.argv[1]))
entry = settings.models["ptacl"].model_copy(update={{"start": None}})
inputs = settings.inputs_of("ptacl")
rng, n = np.random.default_rng(0), 256
peaks = np.full((n, 64), -1, np.int32)
peaks[:, :12] = 150 + 400 * np.arange(12)
signal = rng.normal(size=(n, 12, 5000)).astype(np.float32)
frames = rng.integers(0, 256, (n, 50, 84, 84), np.uint8)
visits = [f"{{9000001 + i}}_2" for i in range(n)]
recordings = Recordings(visits, signal, peaks, frames, np.full(n, 18, np.int32))
objective = assemble.build(entry, inputs, seed=0)
data = Samples(recordings, list(np.arange(n)[:, None]), sizes=dict(inputs.encoders), seed=0,
               ecg=entry.augmentation.ecg, cmr=entry.augmentation.cmr, **objective.needs)
optimizer, taken = building.build_optimizer(objective, entry.training), []
for step in range(14):
    start = time.process_time()
    batch = data.collect(np.arange({PAIRS}) + step % 4 * {PAIRS}, epoch=step)
    batch = data.finish(batch, device=torch.device("cpu"))
    middle = time.process_time()
    optimizer.zero_grad()
    objective(batch)["loss"].backward()
    optimizer.step()
    taken.append((time.process_time() - start, middle - start))
print(*np.median(taken[4:], axis=0))
"""

SIMULATION = f"""{KEEP}
import sys
import tempfile
import time
from pathlib import Path
from ptacl import config
from ptacl.cohort import simulate
settings = config.load(Path(sys.argv[1])).simulation
def run(participants):
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        few = settings.model_copy(update={{"participants": participants, "defects": 0}})
        simulate.simulate(Path(folder) / "x", settings=few, seed=0, processes=1)
        return time.process_time() - start
fixed = run(2)
print((run({VISITS} + 2) - fixed) / {VISITS})
"""


def earlier(folder: Path) -> bool:
    """Extract the code of the earlier commit; return False if the history does not contain it."""
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", BEFORE, "src", "config.yaml"], capture_output=True
    )
    if archive.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
    return archive.returncode == 0


def run(code: str, root: Path) -> list[float]:
    """Return the numbers that the code prints, with the package below `root`.

    It uses one thread, so that processor time is meaningful.
    """
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(root / "config.yaml")]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in found.stdout.split()]


def rows(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        if not earlier(Path(name)):
            print(f"the history has no commit {BEFORE}: nothing to compare with")
            return
        for code, title, count, unit, floor in (
            (STEP, "contrastive step of the demonstration, a core", PAIRS, "pairs/s", 1.6),
            (SIMULATION, "simulation, a core", 1, "visits/s", 2.0),
        ):
            now, then = [], []
            for _ in range(max(rounds // 2, 2)):
                now.append(run(code, ROOT))
                then.append(run(code, Path(name)))
            ours = statistics.median(seconds for seconds, *_ in now)
            peer = statistics.median(seconds for seconds, *_ in then)
            ratios = [b[0] / a[0] for a, b in zip(now, then, strict=True)]
            ratio = statistics.median(ratios)
            yield Row(title, count / ours, count / peer, unit, ratio, floor)
            if code is STEP:
                share = statistics.median(part / whole for whole, part in now)
                before = statistics.median(part / whole for whole, part in then)
                yield Row(
                    "share of augmentation in it", share, before, "of the step", before / share
                )
