import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter

from ptacl import config, participants
from ptacl.learning import assemble, train
from ptacl.models import weights


@pytest.fixture
def call(cohort, inputs, monkeypatch, tmp_path):
    def run(entry, name, *arguments, shapes=None):
        folder = tmp_path / name
        values = [
            "--model",
            name,
            "--settings",
            config.dump(entry),
            "--inputs",
            config.dump(shapes or inputs(*entry.modalities)),
            "--seed",
            "0",
            "--participants",
            cohort.participants,
            "--state",
            folder / "state",
            "--identity",
            "code-1",
            "--out",
            folder / "model",
            "--metrics",
            folder / "metrics.csv",
        ]
        for modality in entry.modalities:
            values += [f"--{modality}-shards", *cohort.shards(modality)]
        monkeypatch.setattr(sys, "argv", ["train", *map(str, [*values, *arguments])])
        train.main()
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        assert not (folder / "state").exists() and not (folder / "state.lock").exists()
        return folder / "model", rows

    return run


@pytest.fixture
def maes(call, ecg_mae, cmr_mae):
    return {"ecg": call(ecg_mae, "ecg_mae"), "cmr": call(cmr_mae, "cmr_mae")}


def test_pretraining_leaves_a_model_and_metrics(maes, sizes):
    columns = [
        "epoch",
        "step",
        "learning_rate",
        "train_loss",
        "validation_loss",
        "seconds",
        "samples_per_second",
        "chosen",
    ]
    for modality, (folder, rows) in maes.items():
        modules, description = weights.load(folder)
        assert set(modules) == {modality, f"{modality}_decoder"}
        assert (
            description["model"] == f"{modality}_mae"
            and description["seed"] == 0
            and description["code"] == "code-1"
        )
        assert (
            description["settings"]["mask_ratio"]
            and description["inputs"]["encoders"][modality]["width"] == 16
        )
        assert list(rows[0]) == columns and [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
        assert weights.encoder(folder, modality).settings == sizes[modality]


def test_curves_and_recomputed_activations_change_no_weight(call, ecg_mae, change, tmp_path):
    plain, rows = call(ecg_mae, "ecg_mae")
    watched, same = call(ecg_mae, "watched", "--tensorboard", tmp_path / "curves")
    recomputed, _ = call(change(ecg_mae, training_recompute=True), "recomputed")
    states = [
        weights.encoder(folder, "ecg").state_dict() for folder in (plain, watched, recomputed)
    ]
    assert all(
        torch.equal(states[0][name], other[name]) for other in states[1:] for name in states[0]
    )
    assert [r["train_loss"] for r in rows] == [r["train_loss"] for r in same]
    assert list((tmp_path / "curves").glob("events.*"))


def test_recompute_reaches_the_encoders(ptacl, change, inputs):
    for wanted in (False, True):
        built = assemble.build(change(ptacl, training_recompute=wanted), inputs(), seed=0)
        assert {encoder.recompute for encoder in built.encoders.values()} == {wanted}


def test_contrastive_training_starts_from_the_autoencoders(call, maes, ptacl, change):
    settings = change(ptacl, start={"ecg": "ecg_mae", "cmr": "cmr_mae"}, frozen_layers=1)
    folders = {modality: folder for modality, (folder, _) in maes.items()}
    folder, rows = call(
        settings, "ptacl", "--start", *(f"{m}={path}" for m, path in folders.items())
    )
    modules, description = weights.load(folder)
    assert set(modules) == {"ecg", "cmr", "ecg_projector", "cmr_projector"}
    assert description["model"] == "ptacl" and description["settings"]["start"]["ecg"] == "ecg_mae"
    assert {"train_global", "train_local", "train_valid", "train_top1", "validation_local"} <= set(
        rows[0]
    )
    for modality in ("ecg", "cmr"):
        start = weights.load(folders[modality])[0][modality]
        kept = {key: torch.equal(value, modules[modality][key]) for key, value in start.items()}
        assert all(
            same == key.startswith(("embedding.", "blocks.0.")) for key, same in kept.items()
        ), kept
    text = (
        json.dumps(description)
        + (folder / "README.md").read_text()
        + (folder / "config.json").read_text()
    )
    assert "9000" not in text


def test_fine_tuning_starts_from_one_encoder_of_a_contrastive_model(
    call, ptacl, supervised, change
):
    start, _ = call(ptacl, "ptacl")
    settings = change(supervised, start={"ecg": "ptacl"}, training_learning_rate=1e-6)
    folder, rows = call(
        settings, "ptacl_fn", "--start", f"ecg={start}", "--phenotypes", "LVEDV", "LVEF"
    )
    before, after = (weights.encoder(path, "ecg").state_dict() for path in (start, folder))
    assert all(torch.allclose(value, after[key], atol=1e-3) for key, value in before.items())
    head = weights.head(folder, "ecg_head")
    assert (
        head.settings.phenotypes == ["LVEDV", "LVEF"]
        and head.settings.pool == "attention"
        and len(rows) == 3
    )


def test_a_supervised_model_predicts_in_the_units_of_the_phenotypes(call, cohort, supervised):
    folder, _ = call(supervised, "ecg_supervised", "--phenotypes", "LVEDV", "LVEF")
    table = participants.read(cohort.participants, splits=["train"])
    head, encoder = weights.head(folder, "ecg_head"), weights.encoder(folder, "ecg")
    assert head.mean.tolist() == pytest.approx(table[["LVEDV", "LVEF"]].mean().tolist(), rel=1e-5)
    assert head.std.tolist() == pytest.approx(
        table[["LVEDV", "LVEF"]].std(ddof=0).tolist(), rel=1e-5
    )
    with torch.no_grad():
        found = head.predict(encoder(torch.randn(5, 12, 200))).numpy()
    assert (
        np.abs(found - table[["LVEDV", "LVEF"]].mean().to_numpy()).max() < 10 * table["LVEDV"].std()
    )


def test_labels_that_cannot_be_learned_are_named(call, supervised):
    with pytest.raises(ValueError, match="no column LVM"):
        call(supervised, "ecg_supervised", "--phenotypes", "LVEDV", "LVM")
    with pytest.raises(ValueError, match="instance cannot be learned"):
        call(supervised, "ecg_supervised", "--phenotypes", "LVEDV", "instance")


def test_an_untrained_entry_leaves_the_weights_that_training_would_start_from(
    call, ecg_mae, inputs
):
    entry = config.Untrained(kind="untrained", title="Random", modalities=["ecg"])
    folder, rows = call(entry, "ecg_random")
    fresh = assemble.build(ecg_mae, inputs("ecg"), seed=0).mae.encoder.state_dict()
    assert rows == [] and all(
        torch.equal(value, fresh[key]) for key, value in weights.load(folder)[0]["ecg"].items()
    )


def test_same_arguments_give_the_same_bytes_and_others_do_not(call, ptacl, change):
    one, two = ((call(ptacl, f"run{i}")[0] / "model.safetensors").read_bytes() for i in range(2))
    three = (call(change(ptacl, local_sigma=0.3), "run2")[0] / "model.safetensors").read_bytes()
    assert one == two != three


def test_models_to_start_from_must_be_there_and_fit(call, maes, ptacl, change, inputs):
    settings = change(ptacl, start={"ecg": "ecg_mae", "cmr": "cmr_mae"})
    with pytest.raises(ValueError, match="starts from ecg_mae: give its folder"):
        call(settings, "ptacl")
    start = ["--start", *(f"{m}={folder}" for m, (folder, _) in maes.items())]
    with pytest.raises(ValueError, match=r"another size than encoders\.cmr"):
        call(settings, "ptacl", *start, shapes=inputs(cmr={"width": 32}))


def blocks(language):
    """Code blocks of docs/add-a-method.md."""
    text = (Path(__file__).parents[2] / "docs/add-a-method.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def test_a_method_from_outside_the_package_trains(call, tmp_path, monkeypatch):
    """The recipe of the documentation, word for word, at the sizes of this cohort (whose records
    are alike in both halves).
    """
    (tmp_path / "my_method.py").write_text(blocks("python")[-1])
    monkeypatch.syspath_prepend(str(tmp_path))
    written = yaml.safe_load(blocks("yaml")[-1])["models"]["ecg_order"]
    written["training"] |= {"epochs": 5, "warmup_epochs": 1, "batch_size": 13}
    entry = TypeAdapter(config.Model).validate_python(written)
    folder, rows = call(entry, "ecg_order")
    assert set(weights.load(folder)[0]) == {"ecg"} and len(rows) == 5
    assert (
        float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
        and 0 <= float(rows[-1]["train_right"]) <= 1
    )


def test_the_z_score_of_the_cohort_is_kept_with_a_model_and_taken_over(
    call, cohort, ecg_mae, cmr_mae, ptacl, change, inputs
):
    of_cohort = inputs("ecg").model_copy(update={"zscore": "cohort"})
    folder, _ = call(ecg_mae, "ecg_mae", shapes=of_cohort)
    train_visits = [i for i, split in enumerate(cohort.splits) if split == "train"]
    together = cohort.signal_mv[train_visits].astype(np.float64)
    kept = weights.zscore(folder)
    assert kept.over == "cohort"
    assert [kept.mean_mv, kept.sd_mv] == pytest.approx([together.mean(), together.std()], rel=1e-6)
    # Drawn weights have it too, from the same recordings.
    entry = config.Untrained(kind="untrained", title="Random", modalities=["ecg"])
    random, _ = call(entry, "ecg_random", shapes=of_cohort)
    assert weights.zscore(random) == kept
    # A model that starts from another keeps the scale of its inputs.
    facts = json.loads((folder / weights.CONFIG).read_text())
    facts["description"]["zscore"]["sd_mv"] = 0.5
    (folder / weights.CONFIG).write_text(json.dumps(facts))
    cmr, _ = call(cmr_mae, "cmr_mae")
    settings = change(ptacl, start={"ecg": "ecg_mae", "cmr": "cmr_mae"})
    start = ["--start", f"ecg={folder}", f"cmr={cmr}"]
    both = inputs().model_copy(update={"zscore": "cohort"})
    later, _ = call(settings, "ptacl", *start, shapes=both)
    assert weights.zscore(later).sd_mv == 0.5
    with pytest.raises(ValueError, match=r"was trained with encoders\.zscore cohort, not sample"):
        call(settings, "other", *start)
