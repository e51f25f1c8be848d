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

from ptacl import check, config

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

NAMES = ("models", "before", "steps", "ecg_preparation", "cmr_preparation", "evaluation", "dag")


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


def costs() -> str:
    """Return disk, memory and GPU hours for cohorts of the paper's sizes, as estimated by `ptacl
    check`.
    """
    lines = [
        "| visits | stores, and maps as much again | GPU hours, all models of the main rows |",
        "| --- | --- | --- |",
    ]
    for visits in (33_942, 100_000):
        settings = config.stack(ROOT / "config.yaml", ROOT / "workflow/config/paper.yaml")
        facts = check.needs(settings, visits=visits, seconds={}, cores=1)
        hours = "; ".join(
            f"{gpu.removeprefix('one ')} {text.removesuffix(', estimate')}"
            for gpu, text in facts["all trainings"].items()
        )
        lines.append(f"| {visits:,} | {facts['disk']['stores']} | {hours} |")
    return "\n".join(lines) + "\n"


def write_pages(found: list[dict[str, object]]) -> None:
    """Write both tables between their marks in docs/performance.md and README.md."""
    contents = {"benchmarks": table(found), "costs": costs()}
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
    if args.page:
        write_pages(json.loads(args.out.read_text()))
        return
    if (
        len(args.only) > 1
    ):  # separate processes, because the peak memory of one would count for the next
        for name in args.only:
            again = ["--only", name, "--rounds", str(args.rounds), "--out", str(args.out)]
            subprocess.run([sys.executable, str(Path(__file__).parent), *again], check=True)
        return
    found = json.loads(args.out.read_text()) if args.out.exists() else []
    for name in args.only:
        module = importlib.import_module(name)
        print(f"\n{(module.__doc__ or '').splitlines()[0]}\n{HEAD}", flush=True)
        for row in module.rows(args.rounds):
            print(row.line(), flush=True)
            found = [old for old in found if old["name"] != row.name] + [row.values()]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
