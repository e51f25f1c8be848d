"""Compare methods over independent cohorts: one pipeline run per cohort, with its own people and
seed.

    python benchmarks/cohorts.py benchmark-run/default/* --out docs/benchmark/default.csv \\
        --pair "PTACL, whole ECG" "Global, whole ECG"

Training participants, test participants and initial weights all differ between runs, so a plain t
interval over the runs describes the variation between cohorts. The tables of one run cannot do so,
because all its seeds use the same people.

The table has one line per number: a statistic of a method, or its difference from another method
(`reference`). Differences are taken cohort by cohort.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from scipy import stats

from ptacl import config
from ptacl.evaluation import validation
from ptacl.evaluation.summary import ALL, MEAN, OWN_RANK, RANKINGS
from ptacl.learning import collapse
from ptacl.report import records
from ptacl.report.comparison import RANDOM

ROOT = Path(__file__).resolve().parents[1]
R2 = "mean R²"
Value = tuple[str, str, float, str]  # method, statistic, value, reference of the method
_SEEN = {  # the keys of ptacl.cohort.simulation.outcome_ceiling
    "truth": "ceiling of the hazard",
    "ECG": "ceiling of an ECG",
    "ECG + demographics": "ceiling of an ECG and demographics",
}
_COLUMNS = ["method", "statistic", "value", "reference"]


def results(run: Path) -> Iterator[Value]:
    """Yield the numbers of a run, as in its tables."""
    tables = run / "results/tables"
    yield from of_regression(records.read(tables / "regression.csv"))
    yield from of_labels(pd.read_csv(tables / "labels.csv"))
    if (tables / "outcomes.csv").exists():
        yield from of_diseases(pd.read_csv(tables / "outcomes.csv"))
    yield from of_ceilings(run / "results")
    for row in records.records(records.read(tables / "retrieval.csv")):
        if not row.shown or row.model == RANDOM:
            continue
        for statistic in ("P@1", "P@10"):
            yield row.method, f"mean {statistic}", row.value(statistic).value, row.reference
        share = row.value(OWN_RANK, "").value / row.n_test
        yield row.method, "own partner, share of the gallery", share, row.reference
    alignment = json.loads((run / "results/evaluation/alignment.json").read_text())
    first = next(iter(alignment["models"].values()))["title"]
    for entry in alignment["models"].values():
        reference = "" if entry["title"] == first else first
        yield entry["title"], "phases near the diagonal", entry["share"], reference
        for control in ("other", "still"):
            beyond = entry[f"beyond_{control}_difference"]
            yield entry["title"], f"phases near the diagonal, beyond {control}", beyond, ""
        shift = entry["shift_correlation"]
        yield entry["title"], "correlation with the true phase shift", shift, reference
    titles = {name: entry["title"] for name, entry in alignment["models"].items()}
    yield from learned(run, titles=titles)


def learned(run: Path, *, titles: Mapping[str, str]) -> Iterator[Value]:
    """Yield how far each local loss went from guessing to its lowest possible value.

    `titles` names the models.
    """
    for folder in sorted((run / "results/models").iterdir()):
        facts = json.loads((folder / "config.json").read_text())["description"]
        entry: config.Entry = TypeAdapter(config.Model).validate_python(facts["settings"])
        floors = collapse.floors(entry, config.Inputs.model_validate(facts["inputs"]))
        if "local" in floors:
            table = pd.read_csv(run / f"results/training/{folder.name}.csv")
            kept = table[table["chosen"] == 1].iloc[0].to_dict()
            share = collapse.learned(kept, "local", floors)
            name = folder.name.rpartition("-")[0]
            yield titles.get(name, name), "share of the local loss learned", share, ""


def keep(values: Sequence[Value], path: Path) -> None:
    """Write the numbers of a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(values, columns=_COLUMNS)
    table.to_csv(path, index=False, float_format="%.6g")


def kept(path: Path) -> list[Value]:
    """Read the numbers of a run that :func:`keep` wrote."""
    table = pd.read_csv(path).fillna({"reference": ""})
    return list(table[_COLUMNS].itertuples(index=False, name=None))


def of_regression(table: pd.DataFrame) -> Iterator[Value]:
    """Yield the mean R² of each row of Table 2. Probes of cines are marked, because probes of ECGs
    have the same names.
    """
    for row in records.records(table):
        name = f"CMR {row.name}" if row.input == "CMR" else row.name
        yield name, R2, row.value("R2").value, row.reference


def of_labels(table: pd.DataFrame) -> Iterator[Value]:
    """Yield the mean R² of each row with fewer labels."""
    few = table[(table["phenotype"] == MEAN) & (table["fraction"] < 1)]
    for (group, method, fraction), lines in few.groupby(
        ["input", "method", "fraction"], sort=False
    ):
        name = f"CMR {method}" if group == "CMR" else method
        yield _line(lines, name, f"{R2}, {100 * fraction:g} % of the labels")


def of_diseases(table: pd.DataFrame) -> Iterator[Value]:
    """Yield AUROC and C of each row and disease."""
    main = table["statistic"].isin(RANKINGS.values())
    overall = table[table["seed"].isna() & (table["group"] == ALL) & main]
    places = ["input", "method", "disease", "when", "statistic"]
    for (group, method, disease, when, statistic), lines in overall.groupby(places, sort=False):
        name = f"CMR {method}" if group == "CMR" else method
        yield _line(lines, name, f"{disease} {when} the visit, {statistic}")


def of_ceilings(folder: Path) -> Iterator[Value]:
    """Yield the best values that the simulation allows, by what a model may see."""
    simulated, outcomes = folder / "private/simulated.json", folder / "cohort/outcomes.json"
    if simulated.exists():
        of_phenotypes = json.loads(simulated.read_text())["ceiling"]
        yield "ceiling of an ECG", R2, float(np.mean(list(of_phenotypes.values()))), ""
    known = json.loads(outcomes.read_text()).get("ceiling", {}) if outcomes.exists() else {}
    for disease, by_time in known.items():
        for when, values in by_time.items():
            for seen, value in values.items():
                yield _SEEN[seen], f"{disease} {when} the visit, {RANKINGS[when]}", value, ""


def _line(lines: pd.DataFrame, name: str, statistic: str) -> Value:
    """Return the value of a row and the reference that the table names."""
    own = lines[lines["reference"].isna()].iloc[0]
    references = lines["reference"].dropna()
    reference = str(references.iloc[0]) if len(references) else ""
    return name, statistic, float(own["value"]), reference


def choice(run: Path, settings: config.Config) -> Iterator[Value]:
    """Yield the mean R² with validation participants in place of test participants.

    Methods are chosen by these numbers. Rows with ridge regression are left out, because their
    strength was chosen with the same participants.
    """
    table, _ = validation.evaluate(run, settings)
    yield from of_regression(table)


def interval(numbers: np.ndarray) -> tuple[float, float, float, float]:
    """Return the mean, both ends of the 95 % t interval, and the two-sided p for a mean of zero."""
    known = numbers[np.isfinite(numbers)]
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2:
        return mean, math.nan, math.nan, math.nan
    test = stats.ttest_1samp(known, 0.0)
    low, high = test.confidence_interval(0.95)
    return mean, float(low), float(high), float(test.pvalue)


def summary(of_runs: Sequence[Sequence[Value]], pairs: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return one line per number: the mean over runs, its interval, and the value of each run."""
    known: dict[tuple[str, str], list[float]] = {}
    compared: dict[tuple[str, str], list[str]] = {}
    numbered = [(cohort, line) for cohort, values in enumerate(of_runs) for line in values]
    for cohort, (method, statistic, value, reference) in numbered:
        of_number = known.setdefault((method, statistic), [math.nan] * len(of_runs))
        of_number[cohort] = value
        compared.setdefault((method, statistic), ["", reference] if reference else [""])
    for method, other in pairs:
        for (name, _), others in compared.items():
            if name == method and other not in others:
                others.append(other)
    lines = []
    for (method, statistic), values in known.items():
        for reference in compared[method, statistic]:
            of_cohorts = np.array(values, np.float64)
            if reference and (others := known.get((reference, statistic))) is None:
                continue
            if reference:
                of_cohorts = of_cohorts - np.array(others, np.float64)
            mean, low, high, p = interval(of_cohorts)
            lines.append(
                {
                    "method": method,
                    "statistic": statistic,
                    "reference": reference,
                    "cohorts": int(np.isfinite(of_cohorts).sum()),
                    "value": mean,
                    "low": low,
                    "high": high,
                    "p": p if reference else math.nan,
                    "by_cohort": " ".join(f"{number:.4f}" for number in of_cohorts),
                }
            )
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="folders of finished runs, one per cohort, or files that --keep wrote",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="also write the numbers of each run into a file of its own, which replaces the run",
    )
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        default=[],
        metavar=("METHOD", "OTHER"),
        help="also compare these two, named as in the table",
    )
    parser.add_argument(
        "--validation",
        nargs="+",
        type=Path,
        metavar="YAML",
        help="R² of validation participants, to choose a method; names the configuration files",
    )
    parser.add_argument(
        "--out", type=Path, metavar="CSV", help="table to write (default: the screen)"
    )
    arguments = parser.parse_args()
    runs = []
    for run in arguments.runs:
        if run.is_file() or (run / "results/report.html").exists():
            runs.append(run)
    if len(runs) < 2 and not (runs and arguments.keep):
        parser.error(
            f"{len(runs)} of {len(arguments.runs)} runs are finished, but at least two are needed"
        )
    if arguments.validation:
        settings = config.stack(ROOT / "config.yaml", *arguments.validation)
        of_runs = [list(choice(run, settings)) for run in runs]
    else:
        of_runs = [kept(run) if run.is_file() else list(results(run)) for run in runs]
    if arguments.keep:
        for run, values in zip(runs, of_runs, strict=True):
            keep(values, arguments.keep / f"{run.stem}.csv")
    table = summary(of_runs, arguments.pair)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out, index=False, float_format="%.6g")
    else:
        print(table.to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
