"""Compare methods over independent cohorts: one pipeline run per cohort, with its own people and
seed.

    python benchmarks/cohorts.py benchmark-run/* --out docs/benchmark/cohorts.csv

Training participants, test participants and initial weights all differ between runs, so a plain t
interval over the runs describes the variation between cohorts. The tables of one run cannot do so,
because all its seeds use the same people.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from scipy import stats

from ptacl.evaluation.summary import OWN_RANK
from ptacl.report import records
from ptacl.report.comparison import RANDOM


def values(run: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield method, statistic, value and difference from the reference for one run."""
    tables = run / "results/tables"
    for row in records.records(records.read(tables / "regression.csv")):
        name = f"{row.input} {row.method} ({row.evaluation})"
        yield name, "mean R²", row.value("R2").value, row.difference("R2").value
    for row in records.records(records.read(tables / "retrieval.csv")):
        if not row.shown or row.model == RANDOM:
            continue
        for statistic in ("P@1", "P@10"):
            value, difference = row.value(statistic).value, row.difference(statistic).value
            if not math.isnan(value):
                yield row.method, f"mean {statistic}", value, difference
        share = row.value(OWN_RANK, "").value / row.n_test
        yield row.method, "own partner, share of the gallery", share, math.nan
    alignment = json.loads((run / "results/evaluation/alignment.json").read_text())
    for entry in alignment["models"].values():
        difference = entry["share_difference"]
        yield (
            entry["title"],
            "phases near the diagonal",
            entry["share"],
            math.nan if difference is None else difference,
        )
        for control in ("other", "still"):
            yield (
                entry["title"],
                f"beyond {control}",
                entry[f"beyond_{control}_difference"],
                math.nan,
            )


def interval(numbers: pd.Series) -> tuple[float, float, float, float]:
    """Return the mean, both ends of the 95 % t interval, and the two-sided p for a mean of zero."""
    known = numbers.dropna()
    if len(known) < 2:
        return (known.mean(), math.nan, math.nan, math.nan)
    test = stats.ttest_1samp(known, 0.0)
    low, high = test.confidence_interval(0.95)
    return (known.mean(), low, high, test.pvalue)


def summary(runs: list[Path]) -> pd.DataFrame:
    """Return one row per method and statistic.

    It has the mean, the difference from the reference, the intervals over runs, and the differences
    of each run.
    """
    columns = ["method", "statistic", "value", "difference"]
    of_runs = [pd.DataFrame(values(run), columns=columns).assign(run=run.name) for run in runs]
    table = pd.concat(of_runs, ignore_index=True)
    rows = []
    for (method, statistic), group in table.groupby(["method", "statistic"], sort=False):
        row = {"method": method, "statistic": statistic, "cohorts": len(group)}
        for name in ("value", "difference"):
            row[name], row[f"{name}_low"], row[f"{name}_high"], row[f"{name}_p"] = interval(
                group[name]
            )
        row["differences"] = " ".join(f"{number:.4f}" for number in group["difference"].dropna())
        rows.append(row)
    return pd.DataFrame(rows).drop(columns="value_p")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="folders of finished runs, one per cohort",
    )
    parser.add_argument(
        "--out", type=Path, metavar="CSV", help="table to write (default: the screen)"
    )
    arguments = parser.parse_args()
    runs = [run for run in arguments.runs if (run / "results/report.html").exists()]
    if len(runs) < 2:
        parser.error(
            f"{len(runs)} of {len(arguments.runs)} runs are finished, but at least two are needed"
        )
    table = summary(runs)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out, index=False, float_format="%.6g")
    else:
        print(table.to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
