"""Collect package versions, and the wall times and memory of jobs, for the report."""

import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

PACKAGES = (
    "ptacl",
    "snakemake",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "zarr",
    "pywavelets",
    "neurokit2",
    "sleepecg",
    "nibabel",
    "pydicom",
    "pydantic",
    "safetensors",
    "matplotlib",
    "jinja2",
)


# Seconds. Snakemake samples the memory of a job at intervals, and samples shorter jobs only before
# they have loaded anything.
_MEASURABLE = 5.0


@dataclass(frozen=True)
class Rule:
    """The jobs of one rule.

    Fields are the number of jobs, the wall time of all and of the longest (seconds), and the peak
    resident memory (MiB), which is NaN if no job lasted long enough to be measured.
    """

    name: str
    jobs: int
    seconds: float
    longest: float
    memory_mib: float


def versions() -> list[tuple[str, str]]:
    """Return the versions of Python and of the installed packages by name."""
    found = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found


def wall_times(folder: Path) -> list[Rule]:
    """Read one entry per rule from Snakemake's benchmark files, with the slowest rule first.

    A rule has one file `rule.tsv` if it has one job, and one file `rule/wildcards.tsv` per job
    otherwise. Unreadable files are ignored.
    """
    jobs: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        try:
            row = pd.read_csv(path, sep="\t").iloc[0]
        except (pd.errors.ParserError, pd.errors.EmptyDataError, IndexError, UnicodeDecodeError):
            continue
        seconds, memory = (
            float(pd.to_numeric(pd.Series([row.get(c)]), errors="coerce").iloc[0])
            for c in ("s", "max_rss")
        )
        memory = memory if seconds >= _MEASURABLE else math.nan
        if seconds >= 0:
            jobs.setdefault(path.relative_to(folder).parts[0].removesuffix(".tsv"), []).append(
                (seconds, memory)
            )
    rules = []
    for name, values in jobs.items():
        seconds_all, memory_all = (
            pd.Series([s for s, _ in values]),
            pd.Series([m for _, m in values]),
        )
        rules.append(
            Rule(
                name,
                len(values),
                float(seconds_all.sum()),
                float(seconds_all.max()),
                float(memory_all.max()),
            )
        )
    return sorted(rules, key=lambda rule: (-rule.seconds, rule.name))


def duration(seconds: float) -> str:
    """Format a duration, such as 4.2 s, 3 min 05 s or 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
