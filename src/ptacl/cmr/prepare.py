"""Read, crop and measure the cines of one shard, and write one store."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ptacl import config, stage, store
from ptacl.cmr import sheet
from ptacl.cmr.sequence import Examined, examine
from ptacl.exclusions import Excluded, Reason

_PANELS = 24
_LOG = logging.getLogger("ptacl.cmr.prepare")


@dataclass
class Outcome:
    """The result of a shard: the content of its manifest, and the first panels of its contact
    sheet.
    """

    visits: list[str] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Hash of the stored arrays: a changed store changes the manifest, so that its dependants rerun.
    stored: str = ""
    panels: list[sheet.Panel] = field(default_factory=list)


def prepare_record(path: str, *, segmentation: str, settings: config.Cmr) -> Examined:
    """Prepare one cine from its file and its segmentation (or ""); raises Excluded if it cannot be
    used.
    """
    if not path:
        raise Excluded(Reason.NO_CMR)
    examined = examine(
        Path(path), segmentation=Path(segmentation) if segmentation else None, settings=settings
    )
    if examined.excluded:
        raise examined.excluded
    return examined


def prepare_shard(
    members: Iterable[Mapping[str, str]], *, settings: config.Cmr, directory: Path
) -> Outcome:
    """Prepare every member (columns visit, cmr, segmentation), in the order given.

    Each becomes a row of the store below `directory`, or an exclusion.
    """
    outcome = Outcome()
    shape = (settings.frames, settings.size, settings.size)
    arrays = {
        "frames": store.Array(
            dims=("frame", "row", "column"), shape=shape, dtype="uint8", unit="1/255 of the range"
        ),
        "systole": store.Array(dims=(), shape=(), dtype="int32", unit="frame of end-systole"),
    }
    with store.Writer(
        directory, arrays=arrays, attributes={"settings": settings.model_dump(mode="json")}
    ) as writer:
        for member in members:
            visit = member["visit"]
            if not member["cmr"]:  # it only joins the pre-training of the other modality
                continue
            try:
                examined = prepare_record(
                    member["cmr"], segmentation=member.get("segmentation") or "", settings=settings
                )
            except Excluded as error:
                outcome.excluded.append(
                    {"visit": visit, "reason": error.reason.value, "detail": error.detail}
                )
                continue
            assert examined.sequence is not None and examined.systole is not None
            writer.append(
                visit, frames=examined.sequence, systole=np.array(examined.systole[0], np.int32)
            )
            outcome.visits.append(visit)
            outcome.quality[visit] = examined.facts
            if len(outcome.panels) < _PANELS:
                outcome.panels.append(_panel(examined, visit=visit))
    outcome.stored = writer.digest
    return outcome


def _panel(examined: Examined, *, visit: str) -> sheet.Panel:
    assert examined.sequence is not None
    return sheet.panel(
        examined.sequence,
        title=f"{visit}   {examined.location.source}",
        volume_ml=examined.volume_ml.get("lv"),
    )


def main() -> None:
    """Prepare one shard from the command line."""
    parser = argparse.ArgumentParser(prog="python -m ptacl.cmr.prepare", description=__doc__)
    parser.add_argument(
        "--members",
        type=Path,
        required=True,
        help="CSV file of the shard, with columns visit, cmr and segmentation (paths)",
    )
    parser.add_argument(
        "--settings", required=True, help="section cmr of the configuration, as JSON"
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
        "--sheet",
        type=Path,
        required=True,
        help="PNG file to write, with some crops at end-diastole and end-systole",
    )
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
    )
    settings = config.Cmr.model_validate_json(args.settings)
    with args.members.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        members = list(csv.DictReader(file))
    bar = tqdm(members, desc="CMR", unit="cine", mininterval=0.5 if sys.stderr.isatty() else 10)
    outcome = prepare_shard(bar, settings=settings, directory=args.store)
    sheet.draw(outcome.panels, out_png=args.sheet)
    text = json.dumps(
        {k: getattr(outcome, k) for k in ("visits", "excluded", "quality", "stored")},
        indent=1,
        sort_keys=True,
    )
    args.manifest.write_text(text + "\n", encoding="utf-8")
    _LOG.info(
        "%d usable and %d excluded of %d records",
        len(outcome.visits),
        len(outcome.excluded),
        len(members),
    )


if __name__ == "__main__":
    stage.run(main)
