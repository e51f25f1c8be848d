"""A made-up cohort small enough to train on in seconds: 12 leads x 400 samples, 10 frames of 12 x
12.
"""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptacl import participants, store
from ptacl.config import (
    Augmentation,
    Autoencoder,
    CmrAugmentation,
    Contrastive,
    CrossAutoencoder,
    EcgAugmentation,
    Inputs,
    SimCLR,
    Supervised,
    Training,
)
from ptacl.ecg.zscore import Zscore
from ptacl.learning.recordings import Recordings, load, split_participants

ECG = EcgAugmentation(
    random_crop=True, surrogate_magnitude=0.1, jitter=0.2, rescaling=0.3, probability=0.7
)
CMR = CmrAugmentation(
    time_jitter=0.5,
    crop_scale=(0.6, 1.0),
    crop_ratio=(0.75, 1.33),
    rotation_degrees=45,
    flip_probability=0.5,
    brightness=0.5,
    contrast=0.5,
    blur_sigma=(0.1, 2.0),
    noise=0.1,
    probability=0.7,
)
TRAINING = Training(
    epochs=3,
    batch_size=4,
    accumulate=1,
    learning_rate=1e-3,
    warmup_epochs=0.5,
    weight_decay=0.05,
    betas=(0.9, 0.95),
    clip_norm=1.0,
    precision="float32",
    compile=False,
    select="last",
    patience=0,
    checkpoint_seconds=0,
)
DECODER = {"width": 16, "depth": 1, "heads": 2}


@dataclass(frozen=True)
class Cohort:
    """The folders of the cohort, and the values in its stores."""

    folder: Path
    visits: list[str]
    splits: list[str]
    signal_mv: np.ndarray
    r_peaks: np.ndarray
    frames: np.ndarray

    @property
    def participants(self) -> Path:
        return self.folder / "participants.csv"

    def shards(self, modality: str) -> list[Path]:
        return [self.folder / modality / f"{k}.json" for k in range(2)]

    def load(self, *modalities: str, split: str = "train") -> tuple[Recordings, np.ndarray]:
        """Recordings of training and validation, and the rows of each participant of one split."""
        table = participants.read(self.participants, splits=["train", "validation"])
        shards = {m: self.shards(m) if m in modalities else [] for m in ("ecg", "cmr")}
        recordings = load(table["visit"].tolist(), **shards).standardised(Zscore("sample"))
        return recordings, split_participants(table, split)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """20 visits in two shards, in no order: 13 for training, 4 for validation, 3 for testing. One
    has no R-peak.
    """
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    visits = [f"{9000001 + i}_2" for i in range(20)]
    splits = ["train"] * 13 + ["validation"] * 4 + ["test"] * 3
    phase = rng.random((20, 12, 1)) * 6
    time = np.arange(400) / 400
    signal_mv = (
        np.sin(phase + 2 * np.pi * 8 * time) + 0.3 * rng.normal(size=(20, 12, 400))
    ).astype(np.float32)
    r_peaks = np.full((20, 64), -1, np.int32)
    for i in range(1, 20):
        r_peaks[i, :7] = 20 + i + 55 * np.arange(7)
    frames = rng.integers(0, 256, (20, 10, 12, 12)).astype(np.uint8)
    arrays = {
        "ecg": {
            "signal_mv": store.Array(("lead", "sample"), (12, 400), "float32", "mV"),
            "r_peaks": store.Array(("peak",), (64,), "int32", "sample"),
        },
        "cmr": {
            "frames": store.Array(("frame", "row", "column"), (10, 12, 12), "uint8", "1/255"),
            "systole": store.Array((), (), "int32", "frame"),
        },
    }
    for modality, kinds in arrays.items():
        for k in range(2):
            with store.Writer(folder / modality / str(k), arrays=kinds, attributes={}) as writer:
                for i in rng.permutation(np.arange(k, 20, 2)):
                    values: dict[str, Any] = {
                        "signal_mv": signal_mv[i],
                        "r_peaks": r_peaks[i],
                        "frames": frames[i],
                        "systole": np.array(3 + i % 3, "i4"),
                    }
                    writer.append(visits[i], **{name: values[name] for name in kinds})
            (folder / modality / f"{k}.json").write_text(json.dumps({"stored": writer.digest}))
    order = rng.permutation(20)
    lvedv = [f"{150 + 10 * phase[i, 0, 0]:.3f}" if i % 7 else "" for i in range(20)]
    rows = [f"{visits[i]},{visits[i][:7]},2,{splits[i]},{lvedv[i]},{60 + i}" for i in order]
    (folder / "participants.csv").write_text(
        "\n".join(["visit,participant,instance,split,LVEDV,LVEF", *rows]) + "\n"
    )
    return Cohort(folder, visits, splits, signal_mv, r_peaks, frames)


ENCODERS = {
    "ecg": {"shape": [12, 200], "patch": [1, 25], "width": 16, "depth": 2, "heads": 2},
    "cmr": {"shape": [6, 12, 12], "patch": [2, 6, 6], "width": 16, "depth": 2, "heads": 2},
}


@pytest.fixture(scope="session")
def inputs() -> Callable[..., Inputs]:
    """Sizes of the encoders of some modalities, with changes by modality."""

    def of(*modalities: str, **changes: Any) -> Inputs:
        encoders = {m: ENCODERS[m] | changes.get(m, {}) for m in modalities or ENCODERS}
        return Inputs.model_validate({"zscore": "sample", "encoders": encoders})

    return of


@pytest.fixture(scope="session")
def sizes(inputs: Callable[..., Inputs]) -> dict[str, Any]:
    """Settings of both encoders."""
    return dict(inputs().encoders)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests were started to ignore it: under nohup, or in
    the background.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def training() -> Training:
    return TRAINING


@pytest.fixture(scope="session")
def ecg_augmentation() -> EcgAugmentation:
    """Everything on, and strong."""
    return ECG


@pytest.fixture(scope="session")
def cmr_augmentation() -> CmrAugmentation:
    """Everything on, and strong."""
    return CMR


def entry(kind: Any, name: str, modalities: list[str], **values: Any) -> Any:
    augmentation = {m: {"ecg": ECG, "cmr": CMR}[m] for m in modalities}
    common = {
        "kind": name,
        "title": name,
        "modalities": modalities,
        "augmentation": Augmentation(**augmentation),
    }
    return kind.model_validate(common | {"training": TRAINING} | values)


@pytest.fixture(scope="session")
def ecg_mae() -> Autoencoder:
    return entry(Autoencoder, "mae", ["ecg"], mask_ratio=0.75, decoder=DECODER)


@pytest.fixture(scope="session")
def cmr_mae() -> Autoencoder:
    return entry(Autoencoder, "mae", ["cmr"], mask_ratio=0.5, decoder=DECODER)


@pytest.fixture(scope="session")
def simclr() -> SimCLR:
    return entry(SimCLR, "simclr", ["ecg"], projection_width=8, temperature=0.1)


@pytest.fixture(scope="session")
def supervised() -> Supervised:
    return entry(Supervised, "supervised", ["ecg"], pool="attention")


@pytest.fixture(scope="session")
def cmae() -> CrossAutoencoder:
    values = {"decoder": DECODER, "latent_width": 8, "temperature": 0.1, "contrastive_weight": 0.1}
    return entry(CrossAutoencoder, "cmae", ["ecg", "cmr"], **values)


@pytest.fixture(scope="session")
def ptacl() -> Contrastive:
    """PTACL from random weights."""
    local = {"loss": "infonce", "beta": 1.0, "temperature": 0.5, "sigma": 0.1}
    shared = {"projection_width": 8, "direction_weight": 0.5, "temperature": 0.1}
    return entry(Contrastive, "contrastive", ["ecg", "cmr"], local=local, **shared)


def changed(entry: Any, **changes: Any) -> Any:
    """An entry with other settings; those of its local loss and training as `local_x` and
    `training_x`.
    """
    values = entry.model_dump()
    for key, value in changes.items():
        part, _, name = key.partition("_")
        if part in ("local", "training") and name:
            values[part][name] = value
        else:
            values[key] = value
    return type(entry).model_validate(values)


@pytest.fixture(scope="session")
def phasewise(ptacl: Contrastive) -> Contrastive:
    """With centred phases and the contrast between people at each phase."""
    return changed(ptacl, local_centre=True, phasewise={"beta": 1.0, "temperature": 0.1})


@pytest.fixture(scope="session")
def change() -> Callable[..., Any]:
    return changed


@pytest.fixture(scope="session")
def entries(
    ecg_mae: Any,
    cmr_mae: Any,
    ptacl: Any,
    phasewise: Any,
    simclr: Any,
    supervised: Any,
    cmae: Any,
) -> dict[str, Any]:
    """One entry of every objective and of its variants."""
    found = {
        "ecg": ecg_mae,
        "cmr": cmr_mae,
        "ptacl": ptacl,
        "simclr": simclr,
        "supervised": supervised,
    }
    return found | {
        "cosine": changed(ptacl, local_loss="cosine"),
        "edes": changed(ptacl, local_phases="ed_es"),
        "phasewise": phasewise,
        "cmae": cmae,
    }


@pytest.fixture
def frames():
    return torch.rand(6, 4, 20, 20, generator=torch.Generator().manual_seed(0))
