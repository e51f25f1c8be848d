"""Mutation testing: `make mutants ONLY=ecg SAMPLE=60`.

mutmut changes one expression at a time and runs the tests that reach it. A mutant that no test
notices survives. Results are kept in mutants/, so an interrupted call goes on where it was.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ecg", "cmr", "learning", "evaluation", "gallery", "inference", "sources")
MUTANTS = ROOT / "mutants"
OPEN = ("not checked", "check was interrupted by user")

# before mutmut and the tests import NumPy and torch; subprocesses of tests import the mutants too
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = str(MUTANTS / "src")
os.environ.setdefault("PTACL_REAL_DATA", str(ROOT.parent / "shared" / "data"))
os.chdir(ROOT)

from mutmut import __main__ as mutmut
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code


def generate(jobs: int) -> None:
    """Write the mutated files; those newer than their source are kept."""
    discard_damaged()
    shutil.rmtree(MUTANTS / "tests", ignore_errors=True)
    mutmut.set_mutant_under_test("mutant_generation")
    print("Generating mutants: about a minute the first time", flush=True)
    with mutmut.CatchOutput():
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.create_mutants(jobs)


def discard_damaged() -> None:
    """A kill can cut off a file of results: its mutants are generated and tested again."""
    for path in MUTANTS.rglob("*.meta"):
        try:
            json.loads(path.read_text())
        except json.JSONDecodeError:
            path.unlink()
            path.with_suffix("").unlink(missing_ok=True)


def outcomes(only: list[str]) -> dict[str, tuple[Path, str]]:
    """File and status of each mutant whose module starts with one of the names."""
    found = {}
    for data, name, code in mutmut.collect_source_file_mutation_data(mutant_names=())[0]:
        if any(name.startswith(f"ptacl.{piece}.") for piece in only):
            found[name] = (Path(data.path), status_by_exit_code[code])
    return found


def chosen(names: list[str], size: int, seed: int) -> list[str]:
    """A random sample that a larger size extends; 0 chooses all."""
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return order[:size] if size else order


def report(results: dict[str, tuple[Path, str]]) -> None:
    """Counts by package, and the change that each survivor made."""
    counts: dict[str, Counter[str]] = {package: Counter() for package in PACKAGES}
    for name, (_, status) in results.items():
        counts[name.split(".")[1]][status] += 1
    columns = ("tested", "killed", "survived", "no tests", "timeout", "other", "score")
    print("\n" + "package".ljust(12) + "".join(column.rjust(10) for column in columns))
    for package, count in counts.items():
        tested = count.total() - sum(count[status] for status in OPEN)
        if not tested:
            continue
        row = [count[status] for status in ("killed", "survived", "no tests", "timeout")]
        score = (count["killed"] + count["timeout"]) / tested
        cells = [tested, *row, tested - sum(row), f"{score:.0%}"]
        print(package.ljust(12) + "".join(str(cell).rjust(10) for cell in cells))
    no_tests = [name for name, (_, status) in results.items() if status == "no tests"]
    unreached = Counter(name.partition("__mutmut_")[0] for name in no_tests)
    for function, count in sorted(unreached.items()):
        print(f"\n{function}: no test runs this function (mutants: {count})")
    for name, (path, status) in sorted(results.items()):
        if status == "survived":
            print(f"\n{name}")
            changes = get_diff_for_mutant(name, path=path).splitlines()[2:]
            print("\n".join(f"  {line}" for line in changes if line[0] in "+-"))
    left = sum(status in OPEN for _, status in results.values())
    print(f"\n{left} of {len(results)} mutants are not tested yet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="packages or modules: ecg, cmr.crop; default all")
    parser.add_argument("--sample", type=int, default=0, help="how many mutants; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another sample")
    parser.add_argument("--again", action="store_true", help="test survivors again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    only = arguments.only or list(PACKAGES)
    generate(arguments.jobs)
    before = outcomes(only)
    names = chosen(list(before), arguments.sample, arguments.seed)
    if not names:
        parser.error(f"no mutants in {' '.join(only)}")
    statuses = (*OPEN, "survived", "no tests") if arguments.again else OPEN
    todo = [name for name in names if before[name][1] in statuses]
    if todo:
        # Ctrl-C ends this call early and the report follows
        mutmut.cli(["run", "--max-children", str(arguments.jobs), *todo], standalone_mode=False)
    results = outcomes(only)
    report({name: results[name] for name in names})


if __name__ == "__main__":
    main()
