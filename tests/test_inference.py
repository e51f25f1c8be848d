"""A model folder made by hand predicts, retrieves and flags as can be worked out on paper."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from model_by_hand import PROBE, SHARED, WIDTH, gallery, signals, write_model

from ptacl import config
from ptacl.ecg.examine import examine_array
from ptacl.ecg.read import LEADS
from ptacl.ecg.zscore import Zscore
from ptacl.gallery import Gallery
from ptacl.inference import Model
from ptacl.models import build, weights

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model.load(folder)


def test_a_prediction_is_the_intercept_plus_the_weighted_embedding(model: Model) -> None:
    made = signals(3)
    embedding = model.embed(made).filter(regex=r"^e\d$").to_numpy(np.float64)
    table = model.predict(made)
    assert table["phenotype"].tolist() == ["LVEDV", "LVEF"] * 3
    assert table["unit"].tolist() == ["mL", "%"] * 3
    volume, fraction = (table[table["phenotype"] == name] for name in ("LVEDV", "LVEF"))
    np.testing.assert_allclose(volume["value"], 150 + 10 * embedding[:, 0])
    np.testing.assert_allclose(fraction["value"], 60 + embedding[:, 1])
    np.testing.assert_allclose(volume["low"], volume["value"] - 20)
    np.testing.assert_allclose(volume["high"], volume["value"] + 30)
    np.testing.assert_allclose(fraction["high"] - fraction["low"], 10)
    assert len(set(volume["value"])) == 3


def test_an_ecg_is_embedded_with_the_crops_of_the_probe(model: Model) -> None:
    """The embedding is the mean over three crops of 1,500 of the 5,000 samples."""
    made = signals(2)
    three = replace(model, probes={"ecg_whole": PROBE | {"limit": 1e9, "crops": 3}})
    _, arrays, _ = three._run(made, "ecg")
    examined = []
    for one in made:
        examined.append(
            examine_array(
                one, names=LEADS, rate_hz=500, unit="mV", settings=model.preparation["ecg"]
            ).arrays["signal_mv"]
        )
    signal = np.stack(examined).astype(np.float32)
    signal = (signal - signal.mean((1, 2), keepdims=True)) / signal.std((1, 2), keepdims=True)
    encoder = model.parts.encoders["ecg"]
    of_crop = []
    with torch.inference_mode():
        for start in (0, 1750, 3500):
            crop = torch.from_numpy(signal[:, :, start : start + 1500])
            of_crop.append(encoder(crop).mean(dim=1).numpy())
    np.testing.assert_allclose(arrays["ecg"], of_crop[0], atol=1e-4)
    embedded = three.embed(made).filter(regex=r"^e\d$").to_numpy()
    np.testing.assert_allclose(embedded, np.mean(of_crop, axis=0), atol=1e-4)
    first = model.embed(made).filter(regex=r"^e\d$").to_numpy()
    np.testing.assert_allclose(first, of_crop[0], atol=1e-4)
    assert not np.allclose(embedded, first, atol=1e-3)


def test_the_flag_is_for_embeddings_beyond_the_limit(model: Model) -> None:
    made = signals(3)
    embedding = model.embed(made).filter(regex=r"^e\d$").to_numpy(np.float64)
    distance = (embedding**2).sum(axis=1)  # from a mean of zero with a covariance of one
    for limit, expected in (
        (distance.min() - 1e-6, [True] * 3),
        (distance.max() + 1e-6, [False] * 3),
    ):
        strict = replace(model, probes={"ecg_whole": PROBE | {"limit": limit}})
        flags = strict.predict(made).drop_duplicates("input")["out_of_distribution"]
        assert flags.tolist() == expected
    middle = replace(model, probes={"ecg_whole": PROBE | {"limit": float(np.median(distance))}})
    flags = middle.predict(made).drop_duplicates("input")["out_of_distribution"]
    assert flags.tolist() == (distance > np.median(distance)).tolist()


def test_an_input_that_cannot_be_used_has_a_reason_and_no_flag(model: Model) -> None:
    made = signals(2)
    made[1] = 0
    table = model.predict(made)
    good, bad = table[:2], table[2:]
    assert (good["reason"] == "").all()
    assert good["out_of_distribution"].tolist() == [False, False]
    assert bad["reason"].str.startswith("flat lead").all()
    assert bad[["value", "low", "high", "out_of_distribution"]].isna().all(axis=None)
    assert ",,," in table.to_csv(index=False).splitlines()[-1]


def test_neighbours_are_in_the_order_of_the_cosine(model: Model) -> None:
    """Neither the length of an embedding nor the order of the gallery matters."""
    made = signals(2)
    _, arrays, _ = model._run(made, "ecg")
    query = arrays["ecg_whole_projected"].astype(np.float64)
    for i in range(2):
        across = np.array([-query[i, 1], query[i, 0]])
        directions = np.stack(
            [-query[i], query[i] + 0.5 * across, 100 * (query[i] + 2 * across), 0.01 * query[i]]
        )
        found = model.retrieve(made[i], gallery(model, directions), num=4)
        assert found["visit"].tolist() == ["9000004_2", "9000002_2", "9000003_2", "9000001_2"]
        assert found["rank"].tolist() == [1, 2, 3, 4]
        expected = [1, 1 / np.sqrt(1.25), 1 / np.sqrt(5), -1]
        np.testing.assert_allclose(found["similarity"], expected, atol=1e-5)
        assert found["LVEDV"].tolist() == [103, 101, 102, 100]
    assert len(model.retrieve(made, gallery(model, directions), num=1)) == 2


def test_a_gallery_of_another_model_is_refused(model: Model) -> None:
    other = replace(gallery(model, np.ones((3, SHARED))), model="another")
    with pytest.raises(ValueError, match="gallery was made by another model"):
        model.retrieve(signals(1), other)


def test_a_gallery_knows_its_model(model: Model, folder: Path, tmp_path: Path) -> None:
    participants = pd.DataFrame({"visit": ["9000001_2"], "participant": "9000001", "split": "test"})
    participants.to_csv(tmp_path / "participants.csv", index=False)
    arrays = {"visits": np.array(["9000001_2"]), "cmr_projected": np.ones((1, SHARED), np.float32)}
    np.savez(tmp_path / "new.npz", **arrays, model=np.array(weights.digest(folder)))
    np.savez(tmp_path / "old.npz", **arrays)
    table = tmp_path / "participants.csv"
    loaded = Gallery.load(tmp_path / "new.npz", table=table)
    assert len(model.retrieve(signals(1), loaded)) == 1
    with pytest.raises(
        ValueError, match="does not say which model made it: run the pipeline again"
    ):
        Gallery.load(tmp_path / "old.npz", table=table)


def test_a_gpu_that_is_not_there_is_one_line(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="no CUDA GPU was found here: use device cpu"):
        Model.load(folder, device="cuda")
    with pytest.raises(ValueError, match="device gpu: use cpu or cuda"):
        Model.load(folder, device="gpu")


def test_a_model_of_another_version_says_so(folder: Path, tmp_path: Path) -> None:
    facts = json.loads((folder / weights.CONFIG).read_text())
    for name, changes in (
        ("older", {"format": "ptacl-model-1"}),
        ("newer", {"format": "ptacl-model-99"}),
    ):
        other = tmp_path / name
        other.mkdir()
        (other / weights.WEIGHTS).write_bytes((folder / weights.WEIGHTS).read_bytes())
        (other / weights.CONFIG).write_text(json.dumps(facts | changes))
        with pytest.raises(ValueError, match="was written by another version of ptacl") as error:
            Model.load(other)
        assert "\n" not in str(error.value)
    facts["description"]["preparation"]["ecg"]["of_the_future"] = 1
    (other / weights.CONFIG).write_text(json.dumps(facts))
    with pytest.raises(
        ValueError, match="settings that this version of ptacl does not know"
    ) as error:
        Model.load(other)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cine.zip", "sa.nii.gz", "sa.nii", "folder"])
def test_a_cine_needs_its_modality(model: Model, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")
    for use in (model.embed, model.predict):
        with pytest.raises(ValueError, match=f"{name} is a cine, not an ECG: add --modality cmr"):
            use([path])


def test_what_a_model_lacks_is_named(model: Model) -> None:
    with pytest.raises(ValueError, match="an array can only hold ECGs: give the files of cines"):
        model.embed(signals(1), modality="cmr")
    with pytest.raises(ValueError, match="has no CMR probe: run the pipeline to"):
        model.predict("sa.nii.gz", modality="cmr")
    one = replace(model, preparation={"cmr": model.preparation["cmr"]})
    with pytest.raises(ValueError, match="has no ECG encoder; it has cmr"):
        one.embed(signals(1))


def test_a_folder_that_is_not_whole_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is missing"):
        Model.load(tmp_path / "nowhere")
    modules = {
        "ecg": build.encoder(
            config.Encoder(shape=[12, 1500], patch=[1, 100], width=WIDTH, depth=1, heads=1)
        )
    }
    weights.save(tmp_path / "bare", modules, description={"zscore": asdict(Zscore("sample"))})
    with pytest.raises(ValueError, match="does not say how its inputs were prepared"):
        Model.load(tmp_path / "bare")


def test_a_gallery_is_of_the_visits_of_its_table(folder: Path, tmp_path: Path) -> None:
    """Somebody who has withdrawn since is in the embeddings and not in the table."""
    visits = ["9000001_2", "9000002_2", "9000003_2"]
    table = pd.DataFrame({"visit": [visits[2], visits[0]], "split": "test", "LVEF": [63.0, 61.0]})
    table["participant"] = table["visit"].str[:7]
    (tmp_path / "embeddings").mkdir()
    table.to_csv(tmp_path / "participants.csv", index=False)
    path = tmp_path / "embeddings/m-0.npz"
    made = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez(path, visits=np.array(visits), ecg_whole_projected=made, model=np.array("m"))
    found = Gallery.load(path)
    assert found.visits == [visits[0], visits[2]]
    np.testing.assert_array_equal(found.embedding["ecg"], made[[0, 2]])
    assert "cmr" not in found.embedding
    assert found.phenotypes["LVEF"].tolist() == [61, 63]
    np.savez(path, visits=np.array(visits), model=np.array("m"))
    with pytest.raises(ValueError, match="has no shared space of ECG and CMR: give the embeddings"):
        Gallery.load(path)
