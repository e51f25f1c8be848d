"""Speed of the simulated cohort with the default settings: participants a second, and the time that 400 would take."""

import json
import os
import tempfile
import time
from pathlib import Path

from ptacl import config
from ptacl.cohort import simulate

ROOT = Path(__file__).resolve().parents[1]
PARTICIPANTS, LARGE = 48, 400


def main() -> dict[str, float]:
    settings = config.load(ROOT / "config.yaml").simulation
    processes = min(2, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        few = settings.model_copy(update={"participants": 2, "defects": 0})
        start = time.perf_counter()
        simulate.simulate(Path(folder) / "few", settings=few, seed=0, processes=processes)
        fixed = time.perf_counter() - start
        many = settings.model_copy(update={"participants": PARTICIPANTS, "defects": 0})
        start = time.perf_counter()
        simulate.simulate(Path(folder) / "many", settings=many, seed=0, processes=processes)
        seconds = time.perf_counter() - start
        megabytes = sum(f.stat().st_size for f in (Path(folder) / "many").rglob("*") if f.is_file()) / 1e6
    each = (seconds - fixed) / (PARTICIPANTS - 2)
    return {
        "processes": processes,
        "participants_per_second": round(1 / each, 2),
        f"seconds_for_{LARGE}": round(fixed + each * LARGE, 1),
        "megabytes_a_participant": round(megabytes / PARTICIPANTS, 2),
    }


if __name__ == "__main__":
    print(json.dumps(main()))
