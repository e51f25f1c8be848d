"""Run all benchmarks, each against its peer in the same run, in alternating rounds: `make
benchmark`.

    python benchmarks [--only NAME] [--rounds 5] [--out results/benchmarks.json]
    python benchmarks --page      write the tables of docs/performance.md from that file, and the
    estimated cost of large cohorts

Only ratios are meaningful, because machines are noisy. Differences below 15 % cannot be resolved.
"""

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

from common import HEAD

from ptacl import check_needs, config, training_cost

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

PAPER_VISITS, PLANNED_VISITS = 33_942, 100_000

NAMES = (
    "models",
    "before",
    "steps",
    "ecg_preparation",
    "cmr_preparation",
    "slow_mount",
    "evaluation",
    "dag",
    "scale",
)


def table(found: list[dict[str, object]]) -> str:
    """Return the comparisons as a Markdown table."""

    def number(value: object) -> str:
        return (
            "" if value is None else f"{value:.3g}" if float(str(value)) < 1000 else f"{value:,.0f}"
        )

    lines = [
        "| what | ours | peer | unit | ratio | at least |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        (
            f"| {r['name']} | {number(r['ours'])} | {number(r['peer'])} | {r['unit']} | "
            f"{number(r['ratio'])} | {number(r['floor'])} |"
        )
        for r in found
    ]
    return "\n".join(lines) + "\n"


def sizes(found: list[dict[str, object]]) -> str:
    """Return the measurements of whole stages as a Markdown table, with the memory next to them."""
    lines = ["| what | seconds | memory |", "| --- | --- | --- |"]
    for row, after in zip(found, [*found[1:], None], strict=True):
        if row["unit"] != "s":
            continue
        memory = f"{after['ours']:.0f} MiB" if after and after["unit"] == "MiB" else ""
        lines.append(f"| {row['name']} | {row['ours']:.3g} | {memory} |")
    return "\n".join(lines) + "\n"


ROWS = ("workflow/config/rows.yaml", "workflow/config/paper-rows.yaml")


def paper(*more: str, seeds: int) -> config.Config:
    """Return the configuration with the paper's sizes and a number of seeds of each model."""
    paths = ("config.yaml", "workflow/config/paper.yaml", *more)
    settings = config.stack(*(ROOT / path for path in paths))
    return settings.model_copy(update={"seeds": list(range(seeds))})


def costs() -> str:
    """Return the GPU hours of what people run at the paper's sizes, and the disk space, as `ptacl
    check` estimates them.
    """
    gpus = list(check_needs.GPUS)
    lines = [
        f"| what | visits | seeds | {' | '.join(gpu.removeprefix('NVIDIA ') for gpu in gpus)} |",
        "| --- | --- | --- |" + " --- |" * len(gpus),
    ]

    def add(what: str, settings: config.Config, *, visits: int, models: list[str] | None) -> None:
        works = training_cost.trainings(settings, visits=visits, models=models)
        seconds = check_needs.gpu_seconds(sum(work.flops for work in works.values()))
        hours = " | ".join(f"{seconds[gpu] / 3600:,.0f}" for gpu in gpus)
        lines.append(f"| {what} | {visits:,} | {len(settings.seeds)} | {hours} |")

    main = paper(seeds=1)
    ptacl = main.needed(row for row in main.alignment.rows if row.model == "ptacl")
    add("embeddings of PTACL", main, visits=PAPER_VISITS, models=ptacl)
    for seeds in (1, 5):
        add("main rows", paper(seeds=seeds), visits=PAPER_VISITS, models=None)
        add("all rows", paper(*ROWS, seeds=seeds), visits=PAPER_VISITS, models=None)
    add("main rows", main, visits=PLANNED_VISITS, models=None)
    stores = [
        check_needs.needs(main, visits=visits, seconds={}, cores=1)["disk"]["stores"]
        for visits in (PAPER_VISITS, PLANNED_VISITS)
    ]
    disk = (
        f"Stores take {stores[0]} for {PAPER_VISITS:,} visits and {stores[1]} for "
        f"{PLANNED_VISITS:,}, and maps take as much again."
    )
    return "\n".join([*lines, "", disk]) + "\n"


def write_pages(found: list[dict[str, object]]) -> None:
    """Write both tables between their marks in docs/performance.md and README.md.

    Without measurements, the table of the benchmarks stays as it is.
    """
    contents = {"costs": costs()}
    scale = [row for row in found if row.get("module") == "scale"]
    compared = [row for row in found if row.get("module") != "scale"]
    if compared:
        contents["benchmarks"] = table(compared)
    if scale:
        contents["scale"] = sizes(scale)
    for page in PAGES:
        text = page.read_text()
        for mark, content in contents.items():
            text = re.sub(
                f"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
                lambda m, c=content: m[1] + c + m[2],
                text,
                flags=re.S,
            )
        page.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", choices=NAMES, default=NAMES, help="benchmarks to run (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks.json"))
    parser.add_argument(
        "--page",
        action="store_true",
        help="only write the tables of docs/performance.md and README.md",
    )
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else []
    if args.page:
        write_pages(found)
        return
    if (
        len(args.only) > 1
    ):  # separate processes, because the peak memory of one would count for the next
        for name in args.only:
            again = ["--only", name, "--rounds", str(args.rounds), "--out", str(args.out)]
            subprocess.run([sys.executable, str(Path(__file__).parent), *again], check=True)
        return
    for name in args.only:
        module = importlib.import_module(name)
        print(f"\n{(module.__doc__ or '').splitlines()[0]}\n{HEAD}", flush=True)
        for row in module.rows(args.rounds):
            print(row.line(), flush=True)
            values = row.values() | {"module": name}
            found = [old for old in found if old["name"] != row.name] + [values]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
