"""Whole stages with 34,000 and 100,000 participants: hard links to simulated files in their true
formats. Seconds and memory of the real commands, without a peer.

One shard is really prepared, with 34,000 participants. The lists of the others are written from it,
so that the flow and a run without anything to do have all they read.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml
from common import Row

from ptacl import config
from ptacl.cohort import simulate

ROOT = Path(__file__).resolve().parents[1]
SIZES, SHARDS, SOURCES, FIRST = (34_000, 100_000), 64, 40, 9_000_001
PRIVATE = Path("results/private")


def rows(rounds: int) -> Iterator[Row]:
    """Yield times and memory; each is measured once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulation = config.load(ROOT / "config.yaml").simulation.model_copy(
            update={"participants": SOURCES, "defects": 0, "zip_fraction": 0.0}
        )
        simulate.simulate(folder / "raw", settings=simulation, seed=0, processes=2)
        template: dict[str, dict[str, object]] = {}
        for size in SIZES:
            place = folder / str(size)
            lay_out(folder / "raw", place, participants=size)
            yield from measure(place, participants=size, template=template)


def lay_out(raw: Path, place: Path, *, participants: int) -> None:
    """Link the simulated files under the names of many participants, and write their table."""
    ecgs = sorted(raw.rglob("*_20205_2_0.xml"))
    cines = sorted(path.parent for path in raw.glob("nifti/*_20209_2_0/sa.nii.gz"))
    for name in ("ecg", "cmr"):
        (place / name).mkdir(parents=True)
    known = pd.read_csv(raw / "phenotypes/table_exporter.csv", dtype=str)
    table = known.iloc[[i % len(known) for i in range(participants)]].copy()
    table["eid"] = [str(FIRST + i) for i in range(participants)]
    table.to_csv(place / "table.csv", index=False)
    for i in range(participants):
        os.link(ecgs[i % len(ecgs)], place / f"ecg/{FIRST + i}_20205_2_0.xml")
        cine = place / f"cmr/{FIRST + i}_20209_2_0"
        cine.mkdir()
        for file in cines[i % len(cines)].iterdir():
            os.link(file, cine / file.name)
    cohort = {
        "source": "files",
        "ecg_folders": ["ecg"],
        "cmr_folders": ["cmr"],
        "phenotype_tables": ["table.csv"],
        "shards": SHARDS,
    }
    (place / "large.yaml").write_text(yaml.safe_dump({"cohort": cohort}))


def measure(
    place: Path, *, participants: int, template: dict[str, dict[str, object]]
) -> Iterator[Row]:
    """Yield the rows of one cohort; `template` keeps what a prepared shard looks like."""
    of = f"{participants:,} participants"
    yield Row(
        f"ptacl check, {of}", _run(place, "ptacl.cli", "check", "large.yaml"), None, "s", None
    )
    _snakemake(place, PRIVATE / "cohort/manifest.csv")
    yield from _job(place, "manifest", f"manifest, {of}")
    if not template:
        for modality, what in (("ecg", "ECGs"), ("cmr", "NIfTI cines")):
            _snakemake(place, PRIVATE / f"{modality}/0.json")
            number = len(_visits(place, 0))
            yield from _job(place, f"prepare_{modality}/0", f"a shard of {number} {what}, one core")
            template[modality] = json.loads((place / PRIVATE / f"{modality}/0.json").read_text())
    for shard in range(SHARDS):
        _pretend(place, shard, template)
    _snakemake(place, "data")
    yield from _job(place, "flow", f"flow, {of}")
    seconds = _snakemake(place, "data")
    yield Row(f"a run without anything to do, {of}", seconds, None, "s", None)


def _pretend(place: Path, shard: int, template: dict[str, dict[str, object]]) -> None:
    """Write what the preparation of a shard would leave, without its arrays."""
    visits = _visits(place, shard)
    for modality, known in template.items():
        manifest = place / PRIVATE / f"{modality}/{shard}.json"
        if manifest.exists():
            continue
        (place / PRIVATE / f"{modality}/{shard}").mkdir(parents=True)
        qualities = list(known["quality"].values())
        quality = {visit: qualities[i % len(qualities)] for i, visit in enumerate(visits)}
        values = {**known, "visits": visits, "excluded": [], "quality": quality}
        manifest.write_text(json.dumps(values))
        manifest.with_suffix(".png").write_bytes(b"")


def _visits(place: Path, shard: int) -> list[str]:
    with (place / PRIVATE / f"cohort/shards/{shard}.csv").open() as file:
        return [row["visit"] for row in csv.DictReader(file)]


def _job(place: Path, name: str, what: str) -> Iterator[Row]:
    """Yield the seconds and the memory of a job, as Snakemake measured them."""
    measured = pd.read_csv(place / f"results/benchmarks/{name}.tsv", sep="\t").iloc[0]
    yield Row(what, float(measured["s"]), None, "s", None)
    yield Row(f"memory of {what}", float(measured["max_rss"]), None, "MiB", None)


def _snakemake(place: Path, target: Path | str) -> float:
    return _run(
        place,
        *("snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", str(target)),
        *("--configfile", "large.yaml"),
    )


def _run(place: Path, module: str, *arguments: str) -> float:
    """Run a command; return its seconds."""
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return time.perf_counter() - start
