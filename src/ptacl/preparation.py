"""Prepare the records of one shard: the stage that both modalities share.

A modality says how one of its records is examined, stored and drawn (:class:`Modality`). This
stage, `ptacl check`, `ptacl inspect` and trained models all examine a record by the same function,
so they cannot disagree.
"""

import argparse
import csv
import json
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel
from tqdm import tqdm

from ptacl import config, contact_sheet, lost_records, raw, read_ahead, store
from ptacl.exclusions import Excluded

_LOG = logging.getLogger("ptacl.preparation")
Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(eq=False)
class Examined:
    """What is known about one record; an excluded record keeps what was known until then.

    arrays : the arrays of the store, by name; complete if the record is not excluded.
    facts : JSON values for the manifest and for `ptacl inspect`.
    flags : what a person should check in a record that is used nevertheless.
    excluded : why the record cannot be used; None if it can.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    excluded: Excluded | None = None

    @contextmanager
    def until_excluded(self) -> Iterator[None]:
        """Run steps until the first that raises Excluded, and keep it as the reason."""
        try:
            yield
        except Excluded as error:
            self.excluded = error


class Modality(ABC, Generic[Settings]):
    """How the records of one modality are examined, stored and drawn."""

    name: ClassVar[str]  # also the column of a shard's list that holds the path
    files: ClassVar[tuple[str, ...]]  # columns of a shard's list with the files of a record
    unit: ClassVar[str]  # what one record is called in a progress bar
    settings: type[Settings]
    sheet: ClassVar[contact_sheet.Layout]

    @abstractmethod
    def examine(self, paths: Mapping[str, str], settings: Settings) -> Examined:
        """Examine one record; `paths` has the column :attr:`name`, and others that it needs."""

    @abstractmethod
    def arrays(self, settings: Settings) -> dict[str, store.Array]:
        """Return the arrays of a store."""

    def attributes(self, settings: Settings) -> dict[str, Any]:
        """Return the attributes of a store."""
        return {"settings": settings.model_dump(mode="json")}

    @abstractmethod
    def doubt(self, facts: Mapping[str, Any]) -> float:
        """Return how much a usable record should be looked at; the contact sheet prefers those."""

    @abstractmethod
    def caption(self, facts: Mapping[str, Any]) -> str:
        """Return the caption of a record in the contact sheet."""

    @abstractmethod
    def draw_panel(self, axes: Any, arrays: Mapping[str, np.ndarray], settings: Settings) -> None:
        """Draw a record in the contact sheet, from the arrays of the store."""

    @abstractmethod
    def draw(self, examined: Examined, out_png: Path, settings: Settings) -> None:
        """Draw one record on a page, whether or not it is excluded."""


@dataclass
class Shard:
    """The result of a shard: the content of its manifest.

    visits : usable visits, in the order of the store. excluded : rows (visit, reason, detail).
    quality : facts and flags by visit. stored : hash of the stored arrays: a changed store changes
    the manifest, so that its dependants rerun.
    """

    visits: list[str] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    stored: str = ""


def prepare_shard(
    members: Iterable[Mapping[str, str]],
    *,
    modality: Modality[Settings],
    settings: Settings,
    directory: Path,
) -> Shard:
    """Examine every member in the order given.

    members : rows with the column `visit` and the paths that the modality needs. Each becomes a row
    of the store below `directory`, or an exclusion. Members without a record of this modality only
    join the pre-training of the other one, and are skipped. Unavailable, which names the place of
    the member, is raised if the storage fails.
    """
    shard = Shard()
    arrays, attributes = modality.arrays(settings), modality.attributes(settings)
    with store.Writer(directory, arrays=arrays, attributes=attributes) as writer:
        for number, ready in enumerate(read_ahead.each(members, names=modality.files), start=1):
            member = ready.member
            if not member[modality.name]:
                continue
            visit = member["visit"]
            try:
                with raw.listed(ready.sizes, ahead=ready.contents):
                    examined = modality.examine(member, settings)
            except raw.Unavailable as error:
                raise raw.Unavailable(f"record {number} of the list: {error}") from None
            if examined.excluded:
                reason, detail = examined.excluded.reason.value, examined.excluded.detail
                shard.excluded.append({"visit": visit, "reason": reason, "detail": detail})
                continue
            writer.append(visit, **examined.arrays)
            shard.visits.append(visit)
            shard.quality[visit] = examined.facts | {"flags": examined.flags}
    shard.stored = writer.digest
    return shard


def sheet_rows(doubts: list[float], number: int) -> list[int]:
    """Choose rows for the contact sheet: half the most doubtful, half spread over the rest."""
    by_doubt = sorted(range(len(doubts)), key=lambda row: -doubts[row])
    doubtful, rest = by_doubt[: number // 2], sorted(by_doubt[number // 2 :])
    even = np.linspace(0, len(rest) - 1, min(number - number // 2, len(rest)))
    return doubtful + [rest[i] for i in even.round().astype(int)]


def draw_sheet(
    shard: Shard,
    *,
    modality: Modality[Settings],
    settings: Settings,
    directory: Path,
    out_png: Path,
) -> None:
    """Draw some records of a shard from its store, to review the preparation at a glance."""
    doubts = [modality.doubt(shard.quality[visit]) for visit in shard.visits]
    rows = sheet_rows(doubts, modality.sheet.number)
    opened = store.read(directory)
    arrays = {name: opened.read(name, rows) for name in modality.arrays(settings)}
    captions = []
    for row in rows:
        visit = shard.visits[row]
        captions.append(f"{visit}   {modality.caption(shard.quality[visit])}")

    def draw_panel(axes: Any, panel: int) -> None:
        of_record = {name: values[panel] for name, values in arrays.items()}
        modality.draw_panel(axes, of_record, settings)

    contact_sheet.draw(captions, draw_panel, layout=modality.sheet, out_png=out_png)


def run(modality: Modality[Any]) -> None:
    """Prepare one shard with the arguments of the command line."""
    name, unit = modality.name, modality.unit
    parser = argparse.ArgumentParser(
        prog=f"python -m ptacl.{name}.prepare",
        description=f"Examine every {unit} of one shard, and write the usable ones to a store.",
    )
    parser.add_argument(
        "--members",
        type=Path,
        required=True,
        help=f"CSV file of the shard, with columns visit and {name} (a path)",
    )
    parser.add_argument(
        "--settings", required=True, help=f"section {name} of the configuration, as JSON"
    )
    parser.add_argument(
        "--storage", required=True, help="section storage of the configuration, as JSON"
    )
    parser.add_argument(
        "--store", type=Path, required=True, help="folder in which to write store.zarr"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        required=True,
        help="JSON file to write, with visits, exclusions and quality",
    )
    parser.add_argument(
        "--sheet", type=Path, required=True, help="PNG file to write, with some records"
    )
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
    )
    settings = modality.settings.model_validate_json(args.settings)
    with args.members.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        members = list(csv.DictReader(file))
    interval_s = 0.5 if sys.stderr.isatty() else 10
    bar = tqdm(members, desc=name.upper(), unit=unit, mininterval=interval_s)
    shard = prepare_shard(bar, modality=modality, settings=settings, directory=args.store)
    limits = config.Storage.model_validate_json(args.storage)
    lost_records.require_few(
        shard.excluded,
        of=len(members),
        share=limits.lost_of_shard,
        setting="storage.lost_of_shard",
        where=str(args.members),
    )
    draw_sheet(
        shard, modality=modality, settings=settings, directory=args.store, out_png=args.sheet
    )
    text = json.dumps(vars(shard), indent=1, sort_keys=True)
    args.manifest.write_text(text + "\n", encoding="utf-8")
    usable, excluded = len(shard.visits), len(shard.excluded)
    _LOG.info("%d usable and %d excluded of %d records", usable, excluded, len(members))
