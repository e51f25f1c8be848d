"""DAG and dry run for 100,000 participants in 64 shards: seconds and peak memory of the real
command.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from common import Row

ROOT = Path(__file__).resolve().parents[1]
PARTICIPANTS, SHARDS = 100_000, 64


def lay_out(folder: Path) -> None:
    """Write the lists that the manifest stage would have written."""
    cohort = folder / "results/private/cohort"
    (cohort / "shards").mkdir(parents=True)
    for name in ("ecg", "cmr"):
        (folder / name).mkdir()
    (folder / "table.csv").write_text("eid\n")
    rows = [f"{9_000_001 + i}_2" for i in range(PARTICIPANTS)]
    for shard in range(SHARDS):
        lines = [f"{v},ecg/{v}.xml,187000,cmr/{v}.zip,9000000,," for v in rows[shard::SHARDS]]
        (cohort / "shards" / f"{shard}.csv").write_text(
            "\n".join(["visit,ecg,ecg_bytes,cmr,cmr_bytes,segmentation,version", *lines])
        )
    (cohort / "manifest.csv").write_text("\n".join(["visit", *rows]))
    (cohort / "exclusions.csv").write_text("visit,stage,reason,detail\n")
    (cohort / "summary.json").write_text("{}")
    settings = {
        "source": "files",
        "ecg_folders": ["ecg"],
        "cmr_folders": ["cmr"],
        "phenotype_tables": ["table.csv"],
        "shards": SHARDS,
    }
    (folder / "large.yaml").write_text(yaml.safe_dump({"cohort": settings}))


def rows(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        start = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-n",
            "-s",
            str(ROOT / "Snakefile"),
            "--configfile",
            "large.yaml",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
        seconds = time.perf_counter() - start
        assert run.returncode == 0, run.stdout + run.stderr
        assert f"prepare_cmr {SHARDS}" in " ".join((run.stdout + run.stderr).split()), run.stdout
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield Row(
        f"dry run, {PARTICIPANTS:,} participants in {SHARDS} shards, limit 5",
        seconds,
        None,
        "s",
        None,
    )
    yield Row("memory of it", memory, None, "MiB", None)
