"""A model folder made by hand, whose predictions and neighbours can be worked out on paper."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import phantom
import pytest
import recordings
import torch

from ptacl import config, embedding
from ptacl.cmr.examine import examine
from ptacl.ecg.examine import examine_array
from ptacl.ecg.read import LEADS
from ptacl.ecg.zscore import Zscore
from ptacl.evaluation import saved_probe
from ptacl.gallery import Gallery
from ptacl.inference import Model
from ptacl.learning import draws
from ptacl.models import build, heads, weights

ROOT = Path(__file__).parents[1]
WIDTH, SHARED = 4, 2
PROBE = {
    "phenotypes": [
        {
            "name": "LVEDV",
            "unit": "mL",
            "intercept": 150.0,
            "residual": [-20.0, 30.0],
            "r2": [0.5, 0.4, 0.6],
        },
        {
            "name": "LVEF",
            "unit": "%",
            "intercept": 60.0,
            "residual": [-5.0, 5.0],
            "r2": [0.3, 0.2, 0.4],
        },
    ],
    "coefficients": [[10.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
    "mean": [0.0] * WIDTH,
    "precision": np.eye(WIDTH).tolist(),
    "confidence": 0.95,
}


def signals(count: int) -> np.ndarray:
    """ECGs of people whose heart rates differ, in mV: spikes of R waves over a slow T wave, in all
    leads alike.
    """
    time_s = np.arange(5000) / 500
    made = np.empty((count, 12, 5000))
    for i in range(count):
        period_s = 0.8 + 0.05 * i
        phase_s = time_s % period_s
        beat = 1.2 * np.exp(-(((phase_s - 0.2) / 0.012) ** 2)) + 0.2 * np.exp(
            -(((phase_s - 0.45) / 0.05) ** 2)
        )
        limb_one, limb_two = 0.6 * beat, beat
        limb = [limb_one, limb_two, limb_two - limb_one]
        augmented = [-(limb_one + limb_two) / 2, limb_one - limb_two / 2, limb_two - limb_one / 2]
        noise = 0.01 * np.random.default_rng(i).normal(size=(6, 5000))
        chest = [strength * beat for strength in (0.4, 0.7, 1.0, 1.3, 1.1, 0.8)] + noise
        made[i] = np.concatenate([limb, augmented, chest])
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contrastive model with random weights and the probe above."""
    folder = tmp_path_factory.mktemp("model")
    settings = config.load(ROOT / "config.yaml")
    sizes = {
        "ecg": config.Encoder(shape=[12, 1500], patch=[1, 100], width=WIDTH, depth=1, heads=1),
        "cmr": config.Encoder(shape=[26, 84, 84], patch=[2, 42, 42], width=WIDTH, depth=1, heads=1),
    }
    torch.manual_seed(0)
    modules = {name: build.encoder(size) for name, size in sizes.items()}
    for name in sizes:
        modules[f"{name}_projector"] = heads.projector(WIDTH, SHARED)
    preparation = {
        "ecg": settings.ecg.model_dump(mode="json"),
        "cmr": settings.cmr.model_dump(mode="json"),
    }
    weights.save(
        folder,
        modules,
        description={"preparation": preparation, "zscore": asdict(Zscore("sample"))},
    )
    (folder / saved_probe.NAME).write_text(json.dumps({"ecg_whole": PROBE | {"limit": 1e9}}))
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model.load(folder)


def gallery(model: Model, embedding: np.ndarray) -> Gallery:
    """People whose CMRs have these embeddings."""
    visits = [f"{9000001 + i}_2" for i in range(len(embedding))]
    table = pd.DataFrame(
        {"participant": [v[:7] for v in visits], "LVEDV": 100.0 + np.arange(len(visits))},
        index=visits,
    )
    return Gallery(visits, {"cmr": embedding}, table.rename_axis("visit"), model.digest)


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
