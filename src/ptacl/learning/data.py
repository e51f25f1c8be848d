"""Turn stored recordings into batches.

Recordings keep their stored type, mapped or in memory, and become floating point on the device. A
batch is made in two halves: `collect` gathers, crops and draws (NumPy, and can run ahead in a
thread), and `finish` converts and augments (tensors on the device). Both depend only on (seed,
epoch, sample).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ptacl import seeds, store
from ptacl.config import AnyEncoder, CmrAugmentation, EcgAugmentation, Encoder, ResNet
from ptacl.ecg import zscore as zscores
from ptacl.ecg.beats import beat_matrices
from ptacl.ecg.zscore import Zscore
from ptacl.learning import augment, maps

_FIXED_EPOCH = -1  # epoch that seeds the augmented views in evaluation
_SCALE = "ecg scale, mV"  # key in a batch until its ECGs are standardised


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
        bar = tqdm(
            signals, total=len(self.visits), desc="z-score", unit="ECG", delay=2, leave=False
        )
        return replace(
            self, scale_mv=np.stack([zscores.statistics(signal, zscore) for signal in bar])
        )


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
    settings: dict[str, object] = store.read(Path(manifests[0]).with_suffix("")).attributes.get(
        "settings", {}
    )
    return settings


def digest(recordings: Recordings, table: pd.DataFrame) -> str:
    """Return a hash of recordings and splits, the same for a resumed and an interrupted run."""
    return hashlib.sha256(
        "\n".join([recordings.key, *recordings.visits, *table["split"]]).encode()
    ).hexdigest()


@dataclass(frozen=True)
class Host:
    """The half of a batch in main memory; a draw is None if nothing is augmented."""

    arrays: dict[str, np.ndarray]
    ecg: augment.EcgDraw | None
    cmr: augment.CmrDraw | None


@dataclass(frozen=True)
class Samples:
    """Batches of some participants; sample i is one of the visits in `rows[i]`.

    An epoch number gives the training view. It is augmented and differs in every epoch. One visit
    per participant is drawn, because two visits of one person in a batch would be negatives of each
    other. Epoch None gives the evaluation view, which is always the same: the first visit, the
    first samples of the ECG, and frames over the whole cycle from frame 0
    (:func:`ptacl.learning.augment.frame_index`).

    sizes : encoder settings by modality; only shape and patch are used.
    beats : add "beats" (B, T, tokens) and "valid" (B,) for the local loss.
    masked : add "noise" (B, masked), uniform, for masked reconstruction. Also add the input to be
    reconstructed as "ecg_clean" or "cmr_clean": cropped and turned like the input, but not
    corrupted (Sec. 3.1). 0 adds neither.
    views : number of differently augmented views of each sample, one after the other: (views x B,
    ...). With two or more, the evaluation view is augmented too, always in the same way.
    systole : add "systole" (B,), the phase of end-systole.
    targets : (n, P) float32 of the rows of the recordings, added as "targets" (B, P).
    """

    recordings: Recordings
    rows: Sequence[np.ndarray]
    sizes: Mapping[str, AnyEncoder]
    seed: int
    ecg: EcgAugmentation | None = None
    cmr: CmrAugmentation | None = None
    beats: bool = False
    masked: int = 0
    views: int = 1
    systole: bool = False
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def collect(self, samples: np.ndarray, *, epoch: int | None) -> Host:
        """Gather, crop and draw for these sample indices, in main memory."""
        ids = samples.tolist()
        rows = np.array([self._visit(i, epoch) for i in ids], dtype=np.int64)
        labels = {} if self.targets is None else {"targets": self.targets[rows]}
        if self.views > 1:
            epoch = _FIXED_EPOCH if epoch is None else epoch
            ids, rows = (
                [i + view * len(self) for view in range(self.views) for i in ids],
                np.tile(rows, self.views),
            )
        ecg, ecg_draw = self._collect_ecg(ids, rows, epoch)
        cmr, cmr_draw = self._collect_cmr(ids, rows, epoch)
        return Host(ecg | cmr | labels | self._collect_noise(ids, epoch), ecg_draw, cmr_draw)

    def _visit(self, sample: int, epoch: int | None) -> int:
        visits = self.rows[sample]
        if epoch is None or len(visits) == 1:
            return int(visits[0])
        return int(seeds.generator(self.seed, "visit", epoch, sample).choice(visits))

    def _collect_ecg(
        self, ids: list[int], rows: np.ndarray, epoch: int | None
    ) -> tuple[dict[str, np.ndarray], augment.EcgDraw | None]:
        if (signal := self.recordings.signal) is None:
            return {}, None
        size, draw, start_B = self.sizes["ecg"].shape[1], None, np.zeros(len(rows), np.int64)
        if epoch is not None and self.ecg is not None:
            draw = augment.draw_ecg(
                ids, settings=self.ecg, seed=self.seed, epoch=epoch, spare=signal.shape[2] - size
            )
            start_B = draw.start_B
        places = self.recordings.at("ecg", rows)
        arrays = {
            "ecg": np.stack(
                [signal[row, :, a : a + size] for row, a in zip(places, start_B, strict=True)]
            )
        }
        if self.recordings.scale_mv is not None:
            arrays[_SCALE] = self.recordings.scale_mv[rows]
        if self.beats:
            arrays["beats"], arrays["valid"] = self._beats(rows, start_B)
        return arrays, draw

    def _collect_cmr(
        self, ids: list[int], rows: np.ndarray, epoch: int | None
    ) -> tuple[dict[str, np.ndarray], augment.CmrDraw | None]:
        if (frames := self.recordings.frames) is None:
            return {}, None
        count, keep = frames.shape[1], self.sizes["cmr"].shape[0]
        index_BT, draw = np.broadcast_to(augment.frame_index(count, keep), (len(rows), keep)), None
        if epoch is not None and self.cmr is not None:
            draw = augment.draw_cmr(
                ids, settings=self.cmr, seed=self.seed, epoch=epoch, frames=count, keep=keep
            )
            index_BT = draw.frame_BT
        if isinstance(
            self.sizes["cmr"], ResNet
        ):  # end-diastole, half way to end-systole, end-systole
            index_BT = self._systole(rows)[:, None] * np.arange(3) // 2
        arrays = {"cmr": np.asarray(frames[self.recordings.at("cmr", rows)[:, None], index_BT])}
        if self.systole:
            arrays["systole"] = self._systole(rows).astype(np.int64) * self._steps // count
        return arrays, draw

    def _systole(self, rows: np.ndarray) -> np.ndarray:
        assert self.recordings.systole is not None
        return np.asarray(self.recordings.systole[self.recordings.at("cmr", rows)])

    @property
    def _steps(self) -> int:
        size = self.sizes["cmr"]
        assert isinstance(size, Encoder)
        return size.shape[0] // size.patch[0]

    def _collect_noise(self, ids: list[int], epoch: int | None) -> dict[str, np.ndarray]:
        if not self.masked:
            return {}
        key = "evaluation" if epoch is None else epoch
        return {
            "noise": np.stack(
                [
                    seeds.generator(self.seed, "mask", key, i).random(self.masked, np.float32)
                    for i in ids
                ]
            )
        }

    def _beats(self, rows: np.ndarray, start_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.recordings.r_peaks is not None
        ecg, steps, peaks = (
            self.sizes["ecg"],
            self._steps,
            self.recordings.r_peaks[self.recordings.at("ecg", rows)],
        )
        assert isinstance(ecg, Encoder)
        matrices, counts = beat_matrices(
            peaks, start=start_B, num_samples=ecg.shape[1], patch=ecg.patch[1], steps=steps
        )
        return matrices, counts > 0

    def finish(self, host: Host, *, device: torch.device) -> dict[str, Tensor]:
        """Return the augmented batch on the device. Call it once per `host`, whose memory it can
        reuse.
        """
        batch = {name: _to(torch.from_numpy(array), device) for name, array in host.arrays.items()}
        if _SCALE in batch:
            mean_BL1, sd_BL1 = batch.pop(_SCALE)[..., None].unbind(1)
            batch["ecg"].sub_(mean_BL1).div_(sd_BL1)
        if "ecg" in batch and self.masked:
            batch["ecg_clean"] = batch["ecg"].clone()
        if host.ecg is not None and self.ecg is not None:
            batch["ecg"] = augment.corrupt_ecg(batch["ecg"], host.ecg, settings=self.ecg)
        if "cmr" in batch:
            batch["cmr"], clean = augment.cmr(
                batch["cmr"], host.cmr, settings=self.cmr, clean=self.masked > 0
            )
            batch |= {} if clean is None else {"cmr_clean": clean}
        return batch


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to the device. For a GPU it is pinned first, so that the copy can overlap the
    previous optimiser step.
    """
    return (
        tensor.pin_memory().to(device, non_blocking=True)
        if device.type == "cuda"
        else tensor.to(device)
    )
