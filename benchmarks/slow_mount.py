"""Preparation from a mount whose opens take 50 ms and wait for one another, as those of dxfuse do,
with the files of the next records read ahead, against one file after the other.

The mount is a real one (FUSE); it needs /dev/fuse, fuse3 and mfusepy. Without them there is no row.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from common import Row, in_turns

from ptacl import config, preparation, read_ahead
from ptacl.cmr.prepare import CMR
from ptacl.cohort import simulate
from ptacl.ecg.prepare import ECG

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests/faults"))
OPEN_S, PEOPLE = 0.05, 40


def rows(rounds: int) -> Iterator[Row]:
    """Yield the records prepared per second."""
    import mounts
    from _pytest.outcomes import Skipped

    settings = config.load(ROOT / "config.yaml")
    simulation = settings.simulation.model_copy(
        update={"participants": PEOPLE, "defects": 0, "second_visit_fraction": 0.0}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate.simulate(folder / "raw", settings=simulation, seed=0, processes=2)
        try:
            mount = mounts.Mount(folder / "raw", folder / "mounted")
        except Skipped as error:
            print(f"no slow mount: {error}")
            return
        try:
            mount.faults({"path": ".", "on": "open", "slow": OPEN_S, "serial": True})
            found = [
                ("ECGs", ECG, settings.ecg, sorted(mount.place.rglob("*_20205_*.xml"))),
                ("NIfTI cines", CMR, settings.cmr, sorted(mount.place.rglob("sa.nii.gz"))),
            ]
            for what, modality, of, paths in found:
                members = [{"visit": str(k), modality.name: str(p)} for k, p in enumerate(paths)]
                prepare = partial(_prepare, members, modality, of, folder / "out")
                ours, peer, ratio = in_turns(prepare, partial(_in_turn, prepare), rounds=rounds)
                name = f"{what} from a mount with serial opens of 50 ms"
                yield Row(name, len(paths) / ours, len(paths) / peer, "records/s", ratio)
        finally:
            mount.stop()


def _prepare(members: list[dict[str, str]], modality: Any, settings: Any, out: Path) -> None:
    preparation.prepare_shard(members, modality=modality, settings=settings, directory=out)


def _in_turn(prepare: Any) -> None:
    with _without_reading_ahead():
        prepare()


@contextmanager
def _without_reading_ahead() -> Iterator[None]:
    def each(members: Iterable[Any], *, names: Any) -> Iterator[read_ahead.Ready]:
        for member in members:
            yield read_ahead.Ready(member, {}, {})

    kept = read_ahead.each
    read_ahead.each = each
    try:
        yield
    finally:
        read_ahead.each = kept
