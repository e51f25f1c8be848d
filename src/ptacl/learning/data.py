"""Turn stored recordings into batches.

Recordings keep their stored type, mapped or in memory, and become floating point on the device. A
batch is made in two halves: `collect` gathers, crops and draws (NumPy, and can run ahead in a
thread), and `finish` converts and augments (tensors on the device). Both depend only on (seed,
epoch, sample).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptacl import seeds
from ptacl.config import AnyEncoder, CmrAugmentation, EcgAugmentation, Encoder, ResNet
from ptacl.ecg.beats import beat_matrices
from ptacl.learning import augment, draws, transfer
from ptacl.learning.recordings import Recordings

_FIXED_EPOCH = -1  # epoch that seeds the augmented views in evaluation
# keys in a batch of the ECGs' further crops, and of their beats
MORE_CROPS, MORE_BEATS, MORE_VALID = "ecg_more", "ecg_more_beats", "ecg_more_valid"
_SCALE = "ecg scale, mV"  # key in a batch until its ECGs are standardised
_ECG_DRAW, _CMR_DRAW = "ecg draw: ", "cmr draw: "  # prefixes of the names of packed draws


@dataclass(frozen=True)
class Host:
    """The half of a batch in main memory; a draw is None if nothing is augmented.

    `packed` holds the arrays and draws again, in one buffer, if they go to a GPU.
    """

    arrays: dict[str, np.ndarray]
    ecg: draws.EcgDraw | None
    cmr: draws.CmrDraw | None
    packed: transfer.Packed | None = None

    def pack(self, *, pin: bool) -> "Host":
        """Copy everything into one buffer, which can be in pinned memory."""
        arrays = dict(self.arrays)
        for prefix, draw in ((_ECG_DRAW, self.ecg), (_CMR_DRAW, self.cmr)):
            if draw is not None:
                arrays |= {prefix + name: values for name, values in draw.arrays().items()}
        return Host({}, self.ecg, self.cmr, transfer.pack(arrays, pin=pin))

    def to(self, device: torch.device) -> tuple[dict[str, Tensor], "Host"]:
        """Return the arrays as tensors on the device, and the draws with what was sent."""
        if self.packed is None:
            moved = {n: torch.from_numpy(array).to(device) for n, array in self.arrays.items()}
            return moved, self
        tensors = self.packed.to(device)
        of_ecg, of_cmr = _take(tensors, _ECG_DRAW), _take(tensors, _CMR_DRAW)
        ecg = None if self.ecg is None else replace(self.ecg, sent=of_ecg)
        cmr = None if self.cmr is None else replace(self.cmr, sent=of_cmr)
        return tensors, replace(self, ecg=ecg, cmr=cmr)


@dataclass(frozen=True)
class Samples:
    """Batches of some participants; sample i is one of the visits in `rows[i]`.

    An epoch number gives the training view. It is augmented and differs in every epoch. One visit
    per participant is drawn, because two visits of one person in a batch would be negatives of each
    other. Epoch None gives the evaluation view, which is always the same: the first visit, the
    first samples of the ECG, and frames over the whole cycle from frame 0
    (:func:`ptacl.learning.draws.frame_index`).

    sizes : encoder settings by modality; only shape and patch are used.
    beats : add "beats" (B, T, tokens) and "valid" (B,) for the local loss.
    masked : add "noise" (B, masked), uniform, for masked reconstruction. Also add the input to be
    reconstructed as "ecg_clean" or "cmr_clean": cropped and turned like the input, but not
    corrupted (Sec. 3.1). 0 adds neither.
    views : number of differently augmented views of each sample, one after the other: (views x B,
    ...). With two or more, the evaluation view is augmented too, always in the same way.
    systole : add "systole" (B,), the phase of end-systole.
    crops : number of crops of an ECG in the evaluation view, evenly spaced over the record. The
    first is "ecg"; the others are added as "ecg_more" (B, crops - 1, L, S). There are fewer if the
    record is hardly longer than a crop. With beats, "ecg_more_beats" (B, crops - 1, T, M) and
    "ecg_more_valid" (B, crops - 1) describe them.
    targets : (n, P) float32 of the rows of the recordings, added as "targets" (B, P).
    pin : collect batches in pinned memory, for a GPU.
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
    crops: int = 1
    targets: np.ndarray | None = None
    pin: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def collect(self, samples: np.ndarray, *, epoch: int | None) -> Host:
        """Gather, crop and draw for these sample indices, in main memory."""
        ids = samples.tolist()
        rows = np.array([self._visit(i, epoch) for i in ids], dtype=np.int64)
        labels = {} if self.targets is None else {"targets": self.targets[rows]}
        if self.views > 1:
            epoch = _FIXED_EPOCH if epoch is None else epoch
            offsets = len(self) * np.arange(self.views)
            ids = np.add.outer(offsets, samples).ravel().tolist()
            rows = np.tile(rows, self.views)
        ecg, ecg_draw = self._collect_ecg(ids, rows, epoch)
        cmr, cmr_draw = self._collect_cmr(ids, rows, epoch)
        host = Host(ecg | cmr | labels | self._collect_noise(ids, epoch), ecg_draw, cmr_draw)
        return host.pack(pin=True) if self.pin else host

    def _visit(self, sample: int, epoch: int | None) -> int:
        visits = self.rows[sample]
        if epoch is None or len(visits) == 1:
            return int(visits[0])
        return int(seeds.generator(self.seed, "visit", epoch, sample).choice(visits))

    def _collect_ecg(
        self, ids: list[int], rows: np.ndarray, epoch: int | None
    ) -> tuple[dict[str, np.ndarray], draws.EcgDraw | None]:
        signal = self.recordings.signal
        if signal is None:
            return {}, None
        size = self.sizes["ecg"].shape[1]
        draw, start_B = None, np.zeros(len(rows), np.int64)
        if epoch is not None and self.ecg is not None:
            spare = signal.shape[2] - size
            draw = draws.draw_ecg(ids, settings=self.ecg, seed=self.seed, epoch=epoch, spare=spare)
            start_B = draw.start_B
        crops = []
        for row, start in zip(self.recordings.at("ecg", rows), start_B, strict=True):
            crops.append(signal[row, :, start : start + size])
        arrays = {"ecg": np.stack(crops)}
        starts = crop_starts(signal.shape[2], size=size, count=self.crops)
        if epoch is None and len(starts) > 1:
            more = []
            for row in self.recordings.at("ecg", rows):
                more.append([signal[row, :, start : start + size] for start in starts[1:]])
            arrays[MORE_CROPS] = np.array(more)
            if self.beats:
                of_crops = [self._beats(rows, np.full(len(rows), start)) for start in starts[1:]]
                arrays[MORE_BEATS] = np.stack([beats for beats, _ in of_crops], axis=1)
                arrays[MORE_VALID] = np.stack([valid for _, valid in of_crops], axis=1)
        if self.recordings.scale_mv is not None:
            arrays[_SCALE] = self.recordings.scale_mv[rows]
        if self.beats:
            arrays["beats"], arrays["valid"] = self._beats(rows, start_B)
        return arrays, draw

    def _collect_cmr(
        self, ids: list[int], rows: np.ndarray, epoch: int | None
    ) -> tuple[dict[str, np.ndarray], draws.CmrDraw | None]:
        frames = self.recordings.frames
        if frames is None:
            return {}, None
        count, keep = frames.shape[1], self.sizes["cmr"].shape[0]
        draw, index_BT = None, np.tile(draws.frame_index(count, keep), (len(rows), 1))
        if epoch is not None and self.cmr is not None:
            draw = draws.draw_cmr(
                ids, settings=self.cmr, seed=self.seed, epoch=epoch, frames=count, keep=keep
            )
            index_BT = draw.frame_BT
        if isinstance(self.sizes["cmr"], ResNet):
            # end-diastole, half way to end-systole, end-systole
            index_BT = self._systole(rows)[:, None] * np.arange(3) // 2
        places = self.recordings.at("cmr", rows)
        arrays = {"cmr": np.asarray(frames[places[:, None], index_BT])}
        if self.systole:
            arrays["systole"] = self._systole(rows).astype(np.int64) * self._phases // count
        return arrays, draw

    def _systole(self, rows: np.ndarray) -> np.ndarray:
        assert self.recordings.systole is not None
        return np.asarray(self.recordings.systole[self.recordings.at("cmr", rows)])

    @property
    def _phases(self) -> int:
        """Number of phases of the cycle that the cine's tokens distinguish."""
        size = self.sizes["cmr"]
        assert isinstance(size, Encoder)
        return size.shape[0] // size.patch[0]

    def _collect_noise(self, ids: list[int], epoch: int | None) -> dict[str, np.ndarray]:
        if not self.masked:
            return {}
        key = "evaluation" if epoch is None else epoch
        generators = [seeds.generator(self.seed, "mask", key, i) for i in ids]
        return {"noise": np.stack([rng.random(self.masked, np.float32) for rng in generators])}

    def _beats(self, rows: np.ndarray, start_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.recordings.r_peaks is not None
        size = self.sizes["ecg"]
        assert isinstance(size, Encoder)
        matrices, counts = beat_matrices(
            self.recordings.r_peaks[self.recordings.at("ecg", rows)],
            start=start_B,
            num_samples=size.shape[1],
            patch=size.patch[1],
            phases=self._phases,
        )
        return matrices, counts > 0

    def finish(self, host: Host, *, device: torch.device) -> dict[str, Tensor]:
        """Return the augmented batch on the device. Call it once per `host`, whose memory it can
        reuse.
        """
        batch, host = host.to(device)
        if _SCALE in batch:
            mean_BL1, sd_BL1 = batch.pop(_SCALE)[..., None].unbind(1)
            batch["ecg"].sub_(mean_BL1).div_(sd_BL1)
            if MORE_CROPS in batch:
                batch[MORE_CROPS].sub_(mean_BL1[:, None]).div_(sd_BL1[:, None])
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


def _take(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Remove the tensors whose names have a prefix, and return them without it."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def crop_starts(samples: int, *, size: int, count: int) -> NDArray[np.int64]:
    """Return the starts of evenly spaced crops of a record, from 0 on; equal ones only once."""
    return np.unique(np.linspace(0, samples - size, count).round().astype(np.int64))
