"""Read and denoise the ECGs of one shard, find their R-peaks, and write one store."""

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
from ptacl.ecg import faults, formats, rpeaks, sheet
from ptacl.ecg.denoise import denoise
from ptacl.ecg.measure import measure
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason

MAX_PEAKS = 64
_PANELS = 12
_LOG = logging.getLogger("ptacl.ecg.prepare")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A usable ECG.

    signal_mv : (12, T) float32, denoised. r_peaks : (MAX_PEAKS,) int32, padded with -1. quality :
    as in the manifest.
    """

    signal_mv: np.ndarray
    r_peaks: np.ndarray
    quality: dict[str, Any]


@dataclass
class Outcome:
    """The result of a shard: the content of its manifest."""

    visits: list[str] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Hash of the stored arrays: a changed store changes the manifest, so that its dependants rerun.
    stored: str = ""


def prepare_record(path: Path, *, settings: config.Ecg) -> Prepared:
    """Prepare one file of any format; raises Excluded if it cannot be used."""
    return prepare(
        formats.record(path, settings=settings),
        settings=settings,
        named=path.name.partition("_")[0],
    )


def prepare(record: EcgRecord, *, settings: config.Ecg, named: str = "") -> Prepared:
    """Prepare a record that has been read; `named` is the participant id in its file name."""
    signal_mv = denoise(record.signal_mv, wavelet=settings.wavelet)
    peaks, quality = rpeaks.find(
        signal_mv,
        rate_hz=record.rate_hz,
        device_beats_ms=record.device_beats_ms,
        settings=settings.rpeaks,
    )
    rpeaks.check(quality, settings=settings.rpeaks)
    if len(peaks) > MAX_PEAKS:
        raise Excluded(
            Reason.IMPLAUSIBLE_RATE,
            f"{len(peaks)} R-peaks, but the store holds at most {MAX_PEAKS}",
        )
    padded = np.full(MAX_PEAKS, -1, np.int32)
    padded[: len(peaks)] = peaks
    facts = {
        "filters": dict(record.filters),
        "software": record.software,
        "resolution_mv": record.resolution_mv,
    }
    found = measure(
        signal_mv,
        r_peaks=peaks,
        rate_hz=record.rate_hz,
        device=record.measurements,
        delineation=settings.delineation,
    )
    doubts = faults.flags(
        quality,
        signal_mv=signal_mv,
        r_peaks=peaks,
        rate_hz=record.rate_hz,
        leads=record.leads,
        inside=record.participant,
        named=named,
    )
    return Prepared(
        signal_mv=signal_mv,
        r_peaks=padded,
        quality=quality | facts | {"measurements": found, "flags": doubts},
    )


def prepare_shard(
    members: Iterable[Mapping[str, str]], *, settings: config.Ecg, directory: Path
) -> Outcome:
    """Prepare every member (columns visit, ecg), in the order given.

    Each becomes a row of the store below `directory`, or an exclusion.
    """
    outcome = Outcome()
    arrays = {
        "signal_mv": store.Array(
            dims=("lead", "sample"),
            shape=(len(LEADS), settings.num_samples),
            dtype="float32",
            unit="mV",
        ),
        "r_peaks": store.Array(dims=("beat",), shape=(MAX_PEAKS,), dtype="int32", unit="sample"),
    }
    attributes = {
        "leads": list(LEADS),
        "rate_hz": settings.rate_hz,
        "settings": settings.model_dump(mode="json"),
    }
    with store.Writer(directory, arrays=arrays, attributes=attributes) as writer:
        for member in members:
            visit = member["visit"]
            if not member["ecg"]:  # it only joins the pre-training of the other modality
                continue
            try:
                prepared = prepare_record(Path(member["ecg"]), settings=settings)
            except Excluded as error:
                outcome.excluded.append(
                    {"visit": visit, "reason": error.reason.value, "detail": error.detail}
                )
                continue
            writer.append(visit, signal_mv=prepared.signal_mv, r_peaks=prepared.r_peaks)
            outcome.visits.append(visit)
            outcome.quality[visit] = prepared.quality
    outcome.stored = writer.digest
    return outcome


def panels(outcome: Outcome, *, directory: Path, settings: config.Ecg) -> list[sheet.Panel]:
    """Choose records for the contact sheet.

    Half have the lowest likeness, and half are spread evenly over the rest of the shard.
    """
    rows = sorted(
        range(len(outcome.visits)), key=lambda row: outcome.quality[outcome.visits[row]]["likeness"]
    )
    doubtful, rest = rows[: _PANELS // 2], sorted(rows[_PANELS // 2 :])
    even = np.linspace(0, len(rest) - 1, min(_PANELS - _PANELS // 2, len(rest))).round().astype(int)
    chosen = doubtful + [rest[i] for i in even]
    opened = store.read(directory)
    signals_mv, peaks = opened.read("signal_mv", chosen), opened.read("r_peaks", chosen)
    return [
        sheet.Panel(
            title=_title(outcome.visits[row], quality=outcome.quality[outcome.visits[row]]),
            signal_mv=signal_mv,
            r_peaks=r_peaks[r_peaks >= 0],
            rate_hz=settings.rate_hz,
        )
        for row, signal_mv, r_peaks in zip(chosen, signals_mv, peaks, strict=True)
    ]


def _title(visit: str, *, quality: dict[str, Any]) -> str:
    rhythm = f"{quality['heart_rate_bpm']:.0f} bpm{', irregular' if quality['irregular'] else ''}"
    return (
        f"{visit}   {rhythm}   likeness {quality['likeness']:.2f}   agreement "
        f"{quality['agreement']:.2f}"
    )


def main() -> None:
    """Prepare one shard from the command line."""
    parser = argparse.ArgumentParser(prog="python -m ptacl.ecg.prepare", description=__doc__)
    parser.add_argument(
        "--members",
        type=Path,
        required=True,
        help="CSV file of the shard, with columns visit and ecg (a path)",
    )
    parser.add_argument(
        "--settings", required=True, help="section ecg of the configuration, as JSON"
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
        help="PNG file to write, with some records and their R-peaks",
    )
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
    )
    settings = config.Ecg.model_validate_json(args.settings)
    with args.members.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        members = list(csv.DictReader(file))
    bar = tqdm(members, desc="ECG", unit="record", mininterval=0.5 if sys.stderr.isatty() else 10)
    outcome = prepare_shard(bar, settings=settings, directory=args.store)
    sheet.draw(panels(outcome, directory=args.store, settings=settings), out_png=args.sheet)
    content = {name: getattr(outcome, name) for name in ("visits", "excluded", "quality", "stored")}
    text = json.dumps(content, indent=1, sort_keys=True)
    args.manifest.write_text(text + "\n", encoding="utf-8")
    _LOG.info(
        "%d usable and %d excluded of %d records",
        len(outcome.visits),
        len(outcome.excluded),
        len(members),
    )


if __name__ == "__main__":
    stage.run(main)
