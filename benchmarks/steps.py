"""Parts of a training besides the model: local embeddings of beats, random crops, augmentation."""

import itertools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gpu
import numpy as np
import torch
from common import Row, in_turns, rate, seconds
from torch import Tensor
from torch.nn import functional as F

from ptacl import config, memory, store
from ptacl.ecg.beats import beat_matrices
from ptacl.learning import maps
from ptacl.learning.augment import frame_index
from ptacl.learning.phases import ecg_phases

ROOT = Path(__file__).parents[1]
BATCH, STEPS, LEADS, TOKENS, WIDTH, PATCH = 256, 13, 12, 50, 512, 50
VISITS, SHOWN = 1024, 64


def beat_by_beat(tokens_BND: Tensor, peaks: np.ndarray) -> Tensor:
    """Cut each beat, interpolate it to the phases of the cycle, and average the beats.

    This is the straightforward way.
    """
    mean_BMD = tokens_BND.view(len(tokens_BND), LEADS, TOKENS, WIDTH).mean(1)
    of_record = []
    for b, marks in enumerate(peaks):
        beats = []
        for start, end in itertools.pairwise(marks):
            part_MD = mean_BMD[b, start // PATCH : max(end // PATCH, start // PATCH + 1)]
            beats.append(
                F.interpolate(part_MD.T[None], STEPS, mode="linear", align_corners=False)[0].T
            )
        of_record.append(torch.stack(beats).mean(0))
    return torch.stack(of_record)


def local_embeddings(rounds: int) -> Row:
    marks = np.arange(60, 2450, 400)[None] + np.random.default_rng(0).integers(0, 40, (BATCH, 1))
    padded = np.full((BATCH, 64), -1)
    padded[:, : marks.shape[1]] = marks
    beats = torch.from_numpy(
        beat_matrices(
            padded, start=np.zeros(BATCH), num_samples=TOKENS * PATCH, patch=PATCH, phases=STEPS
        )[0]
    )
    tokens = torch.randn(BATCH, LEADS * TOKENS, WIDTH, requires_grad=True)
    times = in_turns(
        lambda: ecg_phases(tokens, beats).sum().backward(),
        lambda: beat_by_beat(tokens, marks).sum().backward(),
        rounds=max(rounds // 2, 2),
    )
    return rate(
        f"ECG local embeddings, batch {BATCH}, forward and backward", BATCH, "records/s", times, 25
    )


def crops(rounds: int) -> Row:
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        kinds = {"frames": store.Array(("frame", "row", "column"), (50, 84, 84), "uint8", "1/255")}
        with store.Writer(folder / "0", arrays=kinds, attributes={}) as writer:
            for i in range(VISITS):
                writer.append(
                    f"{9000001 + i}_2", frames=rng.integers(0, 256, (50, 84, 84), np.uint8)
                )
        (folder / "0.json").write_text(f'{{"stored": "{writer.digest}"}}')
        mapped = maps.read(
            [folder / "0.json"], {"frames": None}, maps.Place(folder / "maps")
        ).arrays["frames"]
        stored, index = store.read(folder / "0"), frame_index(50, 26)
        chosen = iter(
            np.concatenate([rng.permutation(VISITS) for _ in range(2 * (rounds + 2))]).reshape(
                -1, SHOWN
            )
        )
        times = in_turns(
            lambda: mapped[next(chosen)[:, None], index],
            lambda: stored.read("frames", next(chosen).tolist())[:, index],
            rounds=rounds,
            warm=2,
        )
        return rate(
            "random cines of 26 frames, from maps against Zarr chunks", SHOWN, "cines/s", times, 6
        )


def augmentation(name: str, rounds: int) -> Row:
    """Measure the share of augmentation in a step at the paper's sizes."""
    settings = config.stack(ROOT / "config.yaml", ROOT / "workflow/config/paper.yaml")
    made, learn = gpu.halves(name, settings, batch=16, device=torch.device("cpu"))
    shares = []
    for _ in range(rounds + 1):
        before, batch = seconds(made), made()
        shares.append(before / (before + seconds(lambda batch=batch: learn(batch))))
    return Row(
        f"share of augmentation in a step of {name}, paper's sizes",
        statistics.median(shares[1:]),
        None,
        "of the step",
        None,
    )


def rows(rounds: int) -> Iterator[Row]:
    memory.keep()  # as a training does
    yield local_embeddings(rounds)
    yield crops(rounds)
    for name in ("ecg_mae", "cmr_mae"):
        yield augmentation(name, rounds)
