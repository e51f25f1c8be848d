import csv
import json
import sys

import pytest
import torch

from ptacl import config
from ptacl.learning import align, pretrain
from ptacl.models import weights


@pytest.fixture
def call(cohort, monkeypatch, tmp_path):
    def run(stage, name, *arguments):
        folder = tmp_path / name
        common = [
            "--seed", "0", "--participants", cohort.participants, "--state", folder / "state", "--identity", "code-1",
            "--out", folder / "model", "--metrics", folder / "metrics.csv",
        ]  # fmt: skip
        monkeypatch.setattr(sys, "argv", [stage.__name__, *map(str, [*arguments, *common])])
        stage.main()
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        assert not (folder / "state").exists() and not (folder / "state.lock").exists()
        return folder / "model", rows

    return run


@pytest.fixture
def maes(call, cohort, encoders, ecg_pretraining, cmr_pretraining):
    found = {}
    for modality, settings in (("ecg", ecg_pretraining), ("cmr", cmr_pretraining)):
        sizes = config.dump(zscore=encoders.zscore, encoder=getattr(encoders, modality))
        found[modality] = call(
            pretrain, modality, "--modality", modality, "--encoders", sizes, "--settings", config.dump(settings),
            "--shards", *cohort.shards(modality),
        )  # fmt: skip
    return found


def contrast(call, cohort, encoders, experiment, name, *maes):
    return call(
        align, name, "--experiment", name, "--encoders", config.dump(encoders), "--settings", config.dump(experiment),
        "--ecg-shards", *cohort.shards("ecg"), "--cmr-shards", *cohort.shards("cmr"), *maes,
    )  # fmt: skip


def test_pretraining_leaves_a_model_and_metrics(maes, encoders):
    columns = ["epoch", "step", "learning_rate", "train_loss", "validation_loss", "seconds", "samples_per_second", "chosen"]
    for modality, (folder, rows) in maes.items():
        modules, description = weights.load(folder)
        assert set(modules) == {modality, "decoder"}
        assert description["modality"] == modality and description["seed"] == 0 and description["code"] == "code-1"
        assert description["settings"]["mask_ratio"] and description["encoders"]["encoder"]["width"] == 16
        assert list(rows[0]) == columns and [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
        assert weights.encoder(folder, modality).settings == getattr(encoders, modality)


def test_contrastive_training_starts_from_the_autoencoders(call, maes, cohort, encoders, experiment):
    settings = experiment.model_copy(update={"initial": "mae", "frozen_layers": 1})
    folders = {modality: folder for modality, (folder, _) in maes.items()}
    folder, rows = contrast(call, cohort, encoders, settings, "ptacl", "--ecg-mae", folders["ecg"], "--cmr-mae", folders["cmr"])
    modules, description = weights.load(folder)
    assert set(modules) == {"ecg", "cmr", "ecg_projector", "cmr_projector"}
    assert description["experiment"] == "ptacl" and description["settings"]["initial"] == "mae"
    assert {"train_global", "train_local", "train_valid", "train_top1", "validation_local"} <= set(rows[0])
    for modality in ("ecg", "cmr"):
        start = weights.load(folders[modality])[0][modality]
        kept = {key: torch.equal(value, modules[modality][key]) for key, value in start.items()}
        assert all(same == key.startswith(("embedding.", "blocks.0.")) for key, same in kept.items()), kept
    text = json.dumps(description) + (folder / "README.md").read_text() + (folder / "config.json").read_text()
    assert "9000" not in text


def test_same_arguments_give_the_same_bytes_and_others_do_not(call, cohort, encoders, experiment):
    folders = [contrast(call, cohort, encoders, experiment, f"run{i}")[0] for i in range(2)]
    one, two = ((folder / "model.safetensors").read_bytes() for folder in folders)
    other = experiment.model_copy(update={"sigma": 0.3})
    three = (contrast(call, cohort, encoders, other, "run2")[0] / "model.safetensors").read_bytes()
    assert one == two != three


def test_autoencoders_must_be_there_and_fit(call, maes, cohort, encoders, experiment):
    settings = experiment.model_copy(update={"initial": "mae"})
    with pytest.raises(ValueError, match="needs the model folder --ecg-mae"):
        contrast(call, cohort, encoders, settings, "ptacl")
    wider = encoders.model_copy(update={"cmr": encoders.cmr.model_copy(update={"width": 32})})
    with pytest.raises(ValueError, match=r"another size than encoders\.cmr"):
        contrast(call, cohort, wider, settings, "ptacl", "--ecg-mae", maes["ecg"][0], "--cmr-mae", maes["cmr"][0])
