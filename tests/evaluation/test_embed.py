import json
import math
import sys

import numpy as np
import pytest
import torch

from ptacl import config, store
from ptacl.ecg.beats import beat_matrices
from ptacl.evaluation import embed
from ptacl.learning.phases import ecg_phases
from ptacl.models import heads, weights
from ptacl.models.vit import VisionTransformer

ENCODERS = config.Encoders.model_validate(
    {
        "zscore": "lead",
        "ecg": {"shape": [12, 200], "patch": [1, 25], "width": 16, "depth": 1, "heads": 2},
        "cmr": {"shape": [6, 12, 12], "patch": [2, 6, 6], "width": 16, "depth": 1, "heads": 2},
    }
)
DESCRIPTION = {"zscore": {"over": "lead"}}
SPLITS = ["train"] * 4 + ["validation"] * 2 + ["test"] * 3
VISITS = [f"{9000001 + i}_2" for i in range(9)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Nine visits in one store a modality; the participants table is in reverse. The last visit has
    no R-peak.
    """
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    signal_mv = rng.normal(size=(9, 12, 400)).astype(np.float32)
    frames = rng.integers(0, 256, (9, 10, 12, 12)).astype(np.uint8)
    peaks = np.full((9, 64), -1, np.int32)
    peaks[:8, :6] = 30 + 60 * np.arange(6)
    kinds = {
        "ecg": {
            "signal_mv": store.Array(("lead", "sample"), (12, 400), "float32", "mV"),
            "r_peaks": store.Array(("peak",), (64,), "int32", "sample"),
        },
        "cmr": {
            "frames": store.Array(("frame", "row", "column"), (10, 12, 12), "uint8", "1/255"),
            "systole": store.Array((), (), "int32", "frame"),
        },
    }
    for modality, arrays in kinds.items():
        with store.Writer(folder / modality / "0", arrays=arrays, attributes={}) as writer:
            for i in range(9):
                values = {
                    "signal_mv": signal_mv[i],
                    "r_peaks": peaks[i],
                    "frames": frames[i],
                    "systole": np.array(4, "i4"),
                }
                writer.append(VISITS[i], **{name: values[name] for name in arrays})
        (folder / modality / "0.json").write_text(json.dumps({"stored": writer.digest}))
    rows = [f"{visit},{visit[:7]},{split}" for visit, split in zip(VISITS, SPLITS, strict=True)]
    (folder / "participants.csv").write_text(
        "\n".join(["visit,participant,split", *rows[::-1]]) + "\n"
    )
    return folder, signal_mv, frames


@pytest.fixture
def run(inputs, tmp_path, monkeypatch):
    def call(model, batch_size=4, crops=1, phases=False):
        folder, out = inputs[0], tmp_path / "out" / "model.npz"
        common = [
            "--settings",
            config.dump(batch_size=batch_size, crops=crops, phases=phases),
            "--model",
            model,
            "--participants",
            folder / "participants.csv",
            "--ecg-shards",
            folder / "ecg" / "0.json",
            "--cmr-shards",
            folder / "cmr" / "0.json",
            "--out",
            out,
        ]
        monkeypatch.setattr(sys, "argv", ["embed", *map(str, common)])
        embed.main()
        with np.load(out, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored}, out.read_bytes()

    return call


@pytest.fixture
def experiment(tmp_path):
    """A model folder as contrastive training leaves it, untrained."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        modules = {"ecg": VisionTransformer(ENCODERS.ecg), "cmr": VisionTransformer(ENCODERS.cmr)}
        modules |= {
            "ecg_projector": heads.projector(16, 8),
            "cmr_projector": heads.projector(16, 8),
        }
    weights.save(tmp_path / "model", modules, description=DESCRIPTION)
    return tmp_path / "model", {name: module.eval() for name, module in modules.items()}


@torch.no_grad()
def expected_tokens(modules, inputs):
    _, signal, frames = inputs
    signal = (signal - signal.mean(2, keepdims=True)) / signal.std(2, keepdims=True)
    chosen = [0, *(math.ceil((i + 0.5) * 10 / 6 - 0.5) for i in range(1, 6))]
    ecg = modules["ecg"](torch.from_numpy(signal[:, :, :200]))
    return ecg, modules["cmr"](torch.from_numpy(frames[:, chosen]).float() / 255)


def test_model_of_one_modality_gives_that_alone(run, experiment, tmp_path):
    _, modules = experiment
    weights.save(
        tmp_path / "mae",
        {"cmr": modules["cmr"], "cmr_decoder": torch.nn.Linear(2, 2)},
        description=DESCRIPTION,
    )
    arrays, _ = run(tmp_path / "mae")
    assert set(arrays) == {"model", "visits", "split", "crops", "cmr"}
    assert str(arrays["model"]) == weights.digest(tmp_path / "mae")


def test_experiment_gives_projections_and_local_embeddings(run, experiment, inputs):
    folder, modules = experiment
    arrays, _ = run(folder)
    ecg, cmr = expected_tokens(modules, inputs)
    assert np.allclose(arrays["ecg"], ecg.mean(1), atol=1e-5) and np.allclose(
        arrays["cmr"], cmr.mean(1), atol=1e-5
    )
    with torch.no_grad():
        assert np.allclose(
            arrays["ecg_projected"], modules["ecg_projector"](ecg.mean(1)), atol=1e-5
        )
        assert np.allclose(
            arrays["cmr_projected"], modules["cmr_projector"](cmr.mean(1)), atol=1e-5
        )
    assert arrays["test_visits"].tolist() == VISITS[6:] and arrays["local_valid"].tolist() == [
        True,
        True,
        False,
    ]
    assert arrays["ecg_local"].shape == arrays["cmr_local"].shape == (3, 3, 16)
    assert arrays["ecg_local"].dtype == arrays["cmr_local"].dtype == np.float16
    assert np.allclose(arrays["cmr_local"], cmr[6:].view(3, 3, 4, 16).mean(2), atol=2e-3)
    assert (
        not arrays["ecg_local"][2].any() and np.abs(arrays["ecg_local"][:2]).sum((1, 2)).min() > 0
    )
    # Beats are 60 samples, tokens 25: the second of three steps lies in the middle, between the
    # R-peaks at 30 and 90.
    by_time = ecg[6].view(12, 8, 16).mean(0)
    centre = torch.tensor([(30 + 60 * b + 0.5 * 60 - 12) / 25 for b in range(2)])
    left, share = centre.long(), (centre % 1)[:, None]
    middle = (by_time[left] * (1 - share) + by_time[left + 1] * share).mean(0)
    assert np.allclose(arrays["ecg_local"][0, 1], middle, atol=2e-3)


@torch.no_grad()
def test_the_still_image_is_the_mean_of_the_test_cines(run, experiment, inputs):
    folder, modules = experiment
    arrays, _ = run(folder)
    _, _, frames = inputs
    chosen = [0, *(math.ceil((i + 0.5) * 10 / 6 - 0.5) for i in range(1, 6))]
    image = frames[6:, chosen].mean(axis=(0, 1)) / 255
    still = torch.from_numpy(image).float().expand(1, 6, *image.shape)
    steps = modules["cmr"](still).view(3, 4, 16).mean(1)
    assert arrays["cmr_local_still"].shape == (3, 16)
    assert np.allclose(arrays["cmr_local_still"], steps, atol=2e-3)


def test_batch_size_changes_nothing(run, experiment):
    one, two = (run(experiment[0], batch_size=size)[0] for size in (1, 7))
    assert set(one) == set(two)
    for name, value in one.items():
        if value.dtype.kind == "f":
            assert np.allclose(
                value, two[name], atol=1e-3 if value.dtype == np.float16 else 1e-5
            ), name
        else:
            assert np.array_equal(value, two[name])


def test_a_supervised_model_gives_its_predictions_too(run, experiment, inputs, tmp_path):
    _, modules = experiment
    head = heads.PredictionHead(
        config.Head(width=16, pool="attention", heads=2, phenotypes=["LVEDV", "LVEF"])
    ).eval()
    head.mean.copy_(torch.tensor([150.0, 60.0]))
    head.std.copy_(torch.tensor([30.0, 6.0]))
    weights.save(
        tmp_path / "fn", {"ecg": modules["ecg"], "ecg_head": head}, description=DESCRIPTION
    )
    arrays, _ = run(tmp_path / "fn")
    ecg = {"ecg", "ecg_whole", "ecg_predicted", "ecg_phenotypes"}
    assert set(arrays) == {"model", "visits", "split", "crops"} | ecg
    tokens, _ = expected_tokens(modules, inputs)
    expected = head(tokens).detach() * torch.tensor([30.0, 6.0]) + torch.tensor([150.0, 60.0])
    assert np.allclose(arrays["ecg_predicted"], expected, rtol=1e-5)
    assert arrays["ecg_phenotypes"].tolist() == ["LVEDV", "LVEF"]


@torch.no_grad()
def test_a_whole_ecg_is_the_mean_over_crops_that_cover_it(run, experiment, inputs):
    folder, modules = experiment
    _, signal, _ = inputs
    first, _ = run(folder, crops=1)
    arrays, _ = run(folder, crops=3)
    assert int(arrays["crops"]) == 3
    assert np.array_equal(arrays["ecg"], first["ecg"])
    assert np.array_equal(first["ecg_whole"], first["ecg"])
    spare = signal.shape[2] - 200
    assert spare >= 2
    scaled = (signal - signal.mean(2, keepdims=True)) / signal.std(2, keepdims=True)
    of_crop = []
    for start in (0, round(spare / 2), spare):
        crop = torch.from_numpy(scaled[:, :, start : start + 200])
        of_crop.append(modules["ecg"](crop).mean(1))
    expected = torch.stack(of_crop).mean(0)
    assert np.allclose(arrays["ecg_whole"], expected, atol=1e-5)
    assert not np.allclose(arrays["ecg_whole"], arrays["ecg"], atol=1e-3)
    projected = modules["ecg_projector"](expected)
    assert np.allclose(arrays["ecg_whole_projected"], projected, atol=1e-5)


@torch.no_grad()
def test_phases_of_a_whole_ecg_are_the_mean_over_crops_with_a_beat(run, experiment, inputs):
    """The last record has no R-peak, so its phases are zero."""
    folder, modules = experiment
    _, signal, _ = inputs
    first, _ = run(folder, crops=1, phases=True)
    assert np.array_equal(first["ecg_phases"][6:].reshape(3, 3, 16), first["ecg_local"])
    arrays, _ = run(folder, crops=3, phases=True)
    spare = signal.shape[2] - 200
    peaks = np.full((9, 64), -1)
    peaks[:8, :6] = 30 + 60 * np.arange(6)
    scaled = (signal - signal.mean(2, keepdims=True)) / signal.std(2, keepdims=True)
    total, count = np.zeros((9, 3, 16)), np.zeros(9)
    for start in (0, round(spare / 2), spare):
        tokens = modules["ecg"](torch.from_numpy(scaled[:, :, start : start + 200]))
        beats, counts = beat_matrices(
            peaks, start=np.full(9, start), num_samples=200, patch=25, phases=3
        )
        total += ecg_phases(tokens, torch.from_numpy(beats)).numpy() * (counts > 0)[:, None, None]
        count += counts > 0
    expected = total / np.maximum(count, 1)[:, None, None]
    assert count[:8].min() > 1
    assert np.allclose(arrays["ecg_phases"].reshape(9, 3, 16), expected, atol=2e-3)
    assert not arrays["ecg_phases"][8].any()
    assert "ecg_phases" not in run(folder)[0]


def test_embedding_is_the_same_bytes_twice(run, experiment):
    assert run(experiment[0])[1] == run(experiment[0])[1]
