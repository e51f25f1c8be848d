"""Stored recordings of the visits that a training or an evaluation reads."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ptacl import store
from ptacl.ecg import zscore as zscores
from ptacl.ecg.zscore import Zscore
from ptacl.learning import maps


@dataclass(frozen=True)
class Recordings:
    """Recordings of n visits as stored, mapped or in memory; None for a modality not requested.

    signal : (m, 12, 5000) float32, ECGs in mV.
    r_peaks : (m, 64) int32, in samples, padded with -1.
    frames : (m, 50, 84, 84) uint8, cines.
    systole : (m,) int32, frame of end-systole.
    places : by modality, the row of each visit in the arrays; without it, m is n.
    key : identifies the content of the arrays.
    scale_mv : (n, 2, 12) float32, mean and standard deviation of each lead, with which batches of
    ECGs are standardised (:meth:`standardised`).
    """

    visits: list[str]
    signal: np.ndarray | None
    r_peaks: np.ndarray | None
    frames: np.ndarray | None
    systole: np.ndarray | None = None
    places: Mapping[str, np.ndarray] = field(default_factory=dict)
    key: str = ""
    scale_mv: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        visits: Sequence[str],
        arrays: Mapping[str, np.ndarray],
        *,
        places: Mapping[str, np.ndarray] | None = None,
        key: str = "",
    ) -> "Recordings":
        """Make recordings of arrays with the names that stores give them."""
        return cls(
            list(visits),
            signal=arrays.get("signal_mv"),
            r_peaks=arrays.get("r_peaks"),
            frames=arrays.get("frames"),
            systole=arrays.get("systole"),
            places=places or {},
            key=key,
        )

    def at(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Return the rows of the arrays of a modality for these rows of visits."""
        return self.places[modality][rows] if modality in self.places else rows

    def signals(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the ECGs of some visits one by one, (12, 5000) in mV."""
        assert self.signal is not None
        for row in self.at("ecg", rows):
            yield self.signal[row]

    def standardised(self, zscore: Zscore) -> "Recordings":
        """Return the same stored recordings, whose batches contain z-scored ECGs."""
        if self.signal is None:
            return self
        signals = self.signals(np.arange(len(self.visits)))
        count = len(self.visits)
        bar = tqdm(signals, total=count, desc="z-score", unit="ECG", delay=2, leave=False)
        scale_mv = np.stack([zscores.statistics(signal, zscore) for signal in bar])
        return replace(self, scale_mv=scale_mv)


def split_rows(table: pd.DataFrame, split: str) -> np.ndarray:
    """Return the rows of a split in the table, and so in recordings loaded from it."""
    return np.flatnonzero((table["split"] == split).to_numpy())


def split_participants(table: pd.DataFrame, split: str) -> list[np.ndarray]:
    """Return the rows of each participant of a split, first visit first, for a training."""
    rows = split_rows(table, split)
    _, person = np.unique(table["participant"].to_numpy(str)[rows], return_inverse=True)
    return [rows[person == p] for p in range(person.max(initial=-1) + 1)]


def load(
    visits: Sequence[str],
    *,
    ecg: Sequence[Path],
    cmr: Sequence[Path],
    place: maps.Place | None = None,
) -> Recordings:
    """Read the recordings of these visits, in this order.

    ecg, cmr : manifests k.json of the shards, whose stores are in the folders of the same name.
    Empty for a modality that is not needed.
    place : where the maps are (:mod:`ptacl.learning.maps`). By default recordings are read into
    memory.
    """
    if not visits:
        raise ValueError(
            "participants.csv has no visit to read: the flow diagram shows why visits were excluded"
        )
    wanted = {"ecg": (ecg, ["signal_mv", "r_peaks"]), "cmr": (cmr, ["frames", "systole"])}
    arrays, places, keys = dict[str, np.ndarray](), dict[str, np.ndarray](), []
    for modality, (manifests, names) in wanted.items():
        if manifests:
            found = maps.read(manifests, names, place or maps.Place())
            arrays |= found.arrays
            places[modality] = _places(visits, found.visits, Path(manifests[0]).parent)
            keys.append(found.key)
    return Recordings.of(visits, arrays, places=places, key=" ".join(keys))


def _places(visits: Sequence[str], stored: Sequence[str], folder: Path) -> np.ndarray:
    """Return the rows of visits among the stored visits."""
    row_of = {visit: row for row, visit in enumerate(stored)}
    found = [row_of[visit] for visit in visits if visit in row_of]
    if len(found) != len(visits):
        raise ValueError(
            f"the stores in {folder} hold {len(found)} of the {len(visits)} visits of "
            "participants.csv: prepare the shards again"
        )
    return np.array(found, np.int64)


def prepared_by(manifests: Sequence[Path]) -> dict[str, object]:
    """Return the settings with which the stores of these shards were prepared, empty if unknown.
    Inference must prepare a file with the same settings.
    """
    opened = store.read(Path(manifests[0]).with_suffix(""))
    settings: dict[str, object] = opened.attributes.get("settings", {})
    return settings


def digest(recordings: Recordings, table: pd.DataFrame) -> str:
    """Return a hash of recordings and splits, the same for a resumed and an interrupted run."""
    text = "\n".join([recordings.key, *recordings.visits, *table["split"]])
    return hashlib.sha256(text.encode()).hexdigest()
