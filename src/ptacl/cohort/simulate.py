"""Stage: simulate a paired cohort with known causes, in the original file formats.

The anatomy and function of each participant's heart are drawn first. The ECG and the cine are
both generated from this draw, so they share information about the whole heart and its timing. The
sizes of all nuisance effects are in `simulation/nuisance.py`.
"""

import argparse
import csv
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ptacl import memory, seeds, stage
from ptacl.cohort.simulation import ceiling, defects, diseases, tables, visit
from ptacl.cohort.simulation.defects import Defect
from ptacl.cohort.simulation.diseases import History
from ptacl.cohort.simulation.visit import FIRST_INSTANCE, REPEAT_INSTANCE, Order, Written
from ptacl.config import Simulation

LOG = logging.getLogger(__name__)

TRUTH = "truth.csv"

_FIRST_ID, _LAST_ID = 9_000_001, 9_999_999
_STRANGER = str(_LAST_ID)  # a withdrawn person whose files were never sent
_FOLDERS = ("Bulk", "ecg", "nifti", "phenotypes", "withdrawals")


def simulate(out: Path, *, settings: Simulation, seed: int, processes: int) -> dict[str, Any]:
    """Write a cohort below `out`, showing a progress bar, and return its summary.

    The summary holds counts, defects, and the ceiling of what an ECG can predict. The files of a
    participant depend on the seed, the id and all settings except `participants`, so adding a
    participant does not change the files of the others. An earlier cohort in `out` is replaced.
    If the folder holds anything else, ValueError is raised.
    """
    out = Path(out)
    _clear(out)
    histories: dict[str, History] = {}
    orders = list(_orders(settings, seed=seed, histories=histories))
    written = list(
        tqdm(
            _run(orders, out, processes),
            total=len(orders),
            desc="simulate",
            unit="visit",
            mininterval=2,
        )
    )
    by_kind = Counter(o.defect for o in orders if o.defect and o.instance == FIRST_INSTANCE)
    withdrawn = [
        o.person for o in orders if o.defect is Defect.WITHDRAWN and o.instance == FIRST_INSTANCE
    ]
    missing = {o.person for o in orders if o.defect is Defect.PHENOTYPES_MISSING}
    rows = _rows(written, missing)
    for person, cells in rows.items():
        cells.update(histories[person].cells)
    tables.write_tables(out / "phenotypes", rows, instances=(FIRST_INSTANCE, REPEAT_INSTANCE))
    tables.write_withdrawals(out / "withdrawals", [*withdrawn, _STRANGER])
    _write_truth(out / TRUTH, written)
    files: Counter[str] = Counter()
    for one in written:
        files.update(one.files)
    return {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "counts": {
            "participants": settings.participants,
            "visits": len(orders),
            **dict(sorted(files.items())),
        },
        "defects": {kind.value: by_kind[kind] for kind in Defect},
        "ceiling": ceiling.ceiling(seed, timing=settings.timing),
    }


def _orders(settings: Simulation, *, seed: int, histories: dict[str, History]) -> Iterator[Order]:
    """Yield the visits of all participants, and add the history of each one."""
    if settings.participants > _LAST_ID - _FIRST_ID:
        raise ValueError(
            f"simulation.participants: at most {_LAST_ID - _FIRST_ID} participants are possible"
        )
    for number in range(settings.participants):
        person = str(_FIRST_ID + number)
        defect = defects.of(number, defects=settings.defects)
        choice = seeds.generator(seed, "simulation visit", person)
        as_zip, repeated = (
            choice.random() < settings.zip_fraction,
            choice.random() < settings.second_visit_fraction,
        )
        as_zip = defect in defects.ZIP or (as_zip and defect not in defects.NIFTI)
        instances = (FIRST_INSTANCE, REPEAT_INSTANCE) if repeated else (FIRST_INSTANCE,)
        at_visit = {i: visit.draw_person(person, i, seed=seed) for i in instances}
        history = diseases.draw(
            at_visit[FIRST_INSTANCE],
            seeds.generator(seed, "simulation diseases", person),
            ages={i: float(causes.age) for i, causes in at_visit.items()},
            incidence=settings.incidence,
        )
        histories[person] = history
        for i, day in history.visits.items():
            of_visit = defect if i == FIRST_INSTANCE else None
            yield Order(person, i, seed, as_zip, of_visit, settings.timing, day)


def _run(orders: Sequence[Order], out: Path, processes: int) -> Iterator[Written]:
    if processes <= 1 or len(orders) <= 1:
        yield from (visit.write(order, out) for order in orders)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), memory.keep) as pool:
        yield from pool.map(partial(visit.write, out=out), orders, chunksize=4)


def _clear(out: Path) -> None:
    if (
        out.is_dir()
        and any(out.iterdir())
        and not all(p.name in (*_FOLDERS, TRUTH) for p in out.iterdir())
    ):
        raise ValueError(
            f"{out} holds files that do not belong to a simulated cohort: name an empty or "
            "new folder"
        )
    for name in _FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def _rows(
    written: Sequence[Written], missing: set[str]
) -> dict[str, dict[tuple[str, int], float | str]]:
    """Return the table cells of each participant."""
    rows: dict[str, dict[tuple[str, int], float | str]] = {}
    for one in written:
        if one.person not in missing:
            cells: dict[tuple[str, int], float | str] = {
                (name, one.instance if name != "sex" else 0): value
                for name, value in one.table.items()
            }
            rows.setdefault(one.person, {}).update(cells)
    return rows


def _write_truth(path: Path, written: Sequence[Written]) -> None:
    """Write the drawn causes and exact phenotypes, one row per visit."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["visit", *written[0].truth])
        for one in written:
            numbers = [f"{value:.6g}" for value in one.truth.values()]
            table.writerow([f"{one.person}_{one.instance}", *numbers])


def main() -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--settings", required=True, help="the `simulation` section of the configuration, as JSON"
    )
    parser.add_argument("--seed", type=int, required=True, help="random seed of the cohort")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--summary",
        type=Path,
        required=True,
        help="JSON file to write: counts, defects, ceiling of an ECG",
    )
    parser.add_argument(
        "--code",
        required=True,
        help="version of the code; if it changes, the preparation runs again",
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="number of processes; it does not affect the files"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = Simulation.model_validate_json(args.settings)
    summary = simulate(args.out, settings=settings, seed=args.seed, processes=args.processes) | {
        "version": args.code
    }
    args.summary.parent.mkdir(parents=True, exist_ok=True)
    args.summary.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    LOG.info("%s", ", ".join(f"{count} {name}" for name, count in summary["counts"].items()))


if __name__ == "__main__":
    stage.run(main)
