"""All benchmarks, each against its peer in the same run, one round after the other: `make benchmark`.

    python benchmarks [--only NAME] [--rounds 5] [--out results/benchmarks.json]

Ratios are what counts: machines are noisy, and under 15 % nothing is resolved.
"""

import argparse
import importlib
import json
from pathlib import Path

from common import HEAD

NAMES = ("models", "before", "steps", "ecg_preparation", "cmr_preparation", "evaluation", "dag")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, help="some of them")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks.json"))
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() and args.only != NAMES else []
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
