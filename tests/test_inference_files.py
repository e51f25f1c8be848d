"""A model folder made by hand predicts and retrieves from files and arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import phantom
import pytest
import recordings
import torch
from model_by_hand import SHARED, WIDTH, gallery, signals, write_model

from ptacl import config, embedding
from ptacl.cmr.examine import examine
from ptacl.ecg.read import LEADS
from ptacl.inference import Model
from ptacl.learning import draws

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model.load(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def ecgs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three ECG files, of which the second cannot be used."""
    folder = tmp_path_factory.mktemp("ecgs")
    paths = [folder / f"{9000001 + i}_20205_2_0.xml" for i in range(3)]
    for path, bpm in zip(paths, (60, 70, 80), strict=True):
        text = recordings.cardiosoft(
            recordings.counts(recordings.synthetic_mv(recordings.beat_times(bpm)))
        )
        path.write_text(text, encoding="latin-1")
    paths[1].write_text("<html/>")
    return paths


def test_a_file_has_one_row_under_its_name(model: Model, ecgs: list[Path]) -> None:
    table = model.embed(ecgs)
    assert table.index.name == "input"
    assert table.index.tolist() == [str(path) for path in ecgs]
    assert list(table.columns) == ["reason", "e0", "e1", "e2", "e3"]
    assert table["reason"].str.startswith("unreadable file").tolist() == [False, True, False]
    assert table.iloc[1, 1:].isna().all()
    alone = model.embed(str(ecgs[2]))
    np.testing.assert_array_equal(alone.iloc[0, 1:], table.iloc[2, 1:])


def test_files_in_several_portions_come_out_as_in_one(
    model: Model, ecgs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = ecgs * 2
    together = model.embed(many)
    for size in (1, 2, 3, 4):
        monkeypatch.setattr(embedding, "_AT_ONCE", size)
        pd.testing.assert_frame_equal(model.embed(many), together)


def test_files_of_which_none_can_be_used_have_rows_without_values(
    model: Model, ecgs: list[Path]
) -> None:
    table = model.embed([ecgs[1]])
    assert table.shape == (1, 1 + WIDTH)
    assert table.iloc[0, 1:].isna().all()
    found = model.retrieve([ecgs[1]], gallery(model, np.ones((2, SHARED))))
    assert found["reason"].str.startswith("unreadable file").tolist() == [True]


def test_the_rate_names_and_unit_of_an_array_count(model: Model) -> None:
    """A record of 1,000 Hz, or in microvolts with its leads in another order, is the same ECG."""
    made = recordings.synthetic_mv(recordings.beat_times(60))
    order = np.random.default_rng(0).permutation(12)
    plain = model.embed(made).iloc[0, 1:].astype(float)
    named = model.embed(made[order] * 1000, leads=[LEADS[i] for i in order], unit="uV")
    np.testing.assert_allclose(named.iloc[0, 1:].astype(float), plain, atol=1e-4)
    twice = np.repeat(made, 2, axis=1)
    fast = model.embed(twice, rate_hz=1000).iloc[0, 1:].astype(float)
    np.testing.assert_allclose(fast, plain, atol=0.05)
    slow = model.embed(twice).iloc[0, 1:].astype(float)
    assert not np.allclose(slow, plain, atol=0.05)
    with pytest.raises(ValueError, match=r"signals of shape \(3, 5000\): .* with 12 leads"):
        model.embed(made[:3])


@pytest.fixture(scope="module")
def cines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same cine without a segmentation, and next to one."""
    folder = tmp_path_factory.mktemp("cines")
    image, labels = phantom.heart(frames=50, shape=(96, 104), centre=(40, 60))
    found = {}
    for name in ("plain", "segmented"):
        found[name] = phantom.write_nifti(folder / name / "sa.nii.gz", image)
    found["labels"] = phantom.write_nifti(folder / "segmented" / "seg_sa.nii.gz", labels)
    return found


def test_a_cine_is_embedded_as_it_is_prepared(model: Model, cines: dict[str, Path]) -> None:
    paths = [cines["plain"], cines["segmented"]]
    table = model.embed(paths, modality="cmr")
    assert (table["reason"] == "").all()
    expected = []
    for path, labels in zip(paths, ("", str(cines["labels"])), strict=True):
        settings = config.load(ROOT / "config.yaml").cmr
        labels = Path(labels) if labels else None
        examined = examine(path, segmentation=labels, settings=settings)
        frames = (
            torch.from_numpy(examined.arrays["frames"][draws.frame_index(50, 26)]).float() / 255
        )
        with torch.inference_mode():
            expected.append(model.parts.encoders["cmr"](frames[None]).mean(dim=1)[0].numpy())
    np.testing.assert_allclose(
        table.iloc[:, 1:].to_numpy(np.float32), np.stack(expected), atol=1e-5
    )
    assert not np.allclose(*expected, atol=1e-4)  # the segmentation moves the crop
    named = model.embed(cines["plain"], modality="cmr", segmentation=cines["labels"])
    np.testing.assert_allclose(named.iloc[0, 1:].to_numpy(np.float32), expected[1], atol=1e-5)


def test_a_cine_looks_for_ecgs(model: Model, cines: dict[str, Path]) -> None:
    _, arrays, _ = model._run([cines["plain"]], "cmr")
    query = arrays["cmr_projected"][0].astype(np.float64)
    people = replace(
        gallery(model, np.ones((2, SHARED))), embedding={"ecg": np.stack([-query, query])}
    )
    found = model.retrieve(cines["plain"], people, modality="cmr", num=2)
    assert found["visit"].tolist() == ["9000002_2", "9000001_2"]
    with pytest.raises(ValueError, match="no shared space of ECG and CMR: use a contrastive model"):
        model.retrieve(signals(1), people)
