"""Settings: documented, and refused when they are read if they cannot work."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from ptacl import config

ROOT = Path(__file__).parents[1]


def sections(model: type[BaseModel] = config.Section) -> set[type[BaseModel]]:
    return {found for below in model.__subclasses__() for found in (below, *sections(below))}


@pytest.mark.parametrize(
    "model", sorted(sections(), key=lambda m: m.__name__), ids=lambda m: m.__name__
)
def test_every_setting_is_described_and_none_has_a_default(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.is_required() or field.default in (None, 0, False, "", "LP", "all", [], {}), (
            name
        )


def test_unknown_and_wrong_settings_are_named_in_full() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["ecg"]["wavelet"]["levels"] = 8
    values["cohort"]["shards"] = "many"
    with pytest.raises(ValueError, match=r"(?s)cohort\.shards.*ecg\.wavelet\.levels"):
        config.parse(values)


def _entry(name: str, **changes: object) -> dict[str, Any]:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["models"][name] = values["models"][name] | changes
    return values


def test_surrogate_that_moves_r_peaks_is_refused_beside_the_local_loss() -> None:
    values = _entry("ptacl", augmentation={"ecg": {"surrogate_magnitude": 0.3}})
    with pytest.raises(ValueError, match=r"models\.ptacl.*surrogate_magnitude"):
        config.parse(values)


def test_freezing_layers_that_never_learned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"models\.ptacl.*never learnt: set frozen_layers to 0"):
        config.parse(_entry("ptacl", start=None, frozen_layers=1))
    config.parse(_entry("ptacl", start=None))


def test_micro_batches_are_refused_beside_infonce() -> None:
    with pytest.raises(ValueError, match=r"models\.ptacl.*whole batch.*set accumulate to 1"):
        config.parse(_entry("ptacl", training={"accumulate": 2}))


def test_entries_inherit_and_change_what_stands_beside() -> None:
    models = config.load(ROOT / "config.yaml").models
    arm, base = models["ptacl_retrieval"], models["global"]
    assert (arm.temperature, arm.local.temperature, arm.local.sigma) == (
        0.07,
        0.07,
        0.0,
    ) and base.local is None
    assert arm.training == base.training and arm.start == base.start
    changed = config.parse(
        _entry(
            "global", training={**_entry("global")["models"]["global"]["training"], "epochs": 99}
        )
    ).models
    assert {
        m.training.epochs for n, m in changed.items() if m.kind == "contrastive" and n != "mmcl"
    } == {99}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ptacl", {"like": "globl"}, "models.ptacl is like globl, which does not exist"),
        ("global", {"like": "ptacl"}, "inherits from it"),
        ("ptacl", {"start": {"ecg": "cmr_mae"}}, "not a model with an encoder for ECG"),
        ("ecg_mae", {"start": {"ecg": "ptacl"}}, "starts from itself"),
        ("ecg_mae", {"start": {"cmr": "cmr_mae"}}, "not among the modalities"),
        ("ecg_mae", {"modalities": ["ecg", "cmr"]}, "takes 1 modality, not"),
        (
            "ecg_mae",
            {"kind": "simclr"},
            "mask_ratio: .*; it belongs to another kind of entry: write mask_ratio: null",
        ),
        (
            "ecg-2",
            {"kind": "untrained", "title": "x", "modalities": ["ecg"]},
            "letters, digits and underscores",
        ),
    ],
)
def test_entries_that_do_not_fit_together_are_refused(
    name: str, changes: dict[str, Any], message: str
) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["models"][name] = values["models"].get(name, {}) | changes
    if "start" in changes:
        values["models"]["cmr_mae"]["start"] = None
    with pytest.raises(ValueError, match=message):
        config.parse(values)


def test_rows_name_models_that_give_what_they_show() -> None:
    for section, changes, message in (
        ("regression", {"model": "globl"}, "names .*globl"),
        ("regression", {"model": "cmr_mae"}, "does not give ECG"),
        ("regression", {"features": ["sex"]}, "a model is needed for embeddings"),
        (
            "regression",
            {"features": [], "predictions": "ecg", "model": "ptacl"},
            "does not give ECG of that kind",
        ),
        ("retrieval", {"model": "ecg_mae"}, "not a contrastive model"),
        ("alignment", {"model": "ecg_mae"}, "not a contrastive model"),
    ):
        values = yaml.safe_load((ROOT / "config.yaml").read_text())
        values[section]["rows"][-1] |= changes
        with pytest.raises(ValueError, match=message):
            config.parse(values)


def test_dump_does_not_depend_on_the_order_of_keys() -> None:
    settings = config.load(ROOT / "config.yaml")
    turned = dict(reversed(settings.model_dump().items()))
    assert config.dump(config.parse(turned)) == config.dump(settings)


CMR = {"patch": [2, 12, 12], "width": 64, "depth": 3, "heads": 2}


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("seeds",), [], "seeds"),
        (("retrieval", "ks"), [0, 1], r"retrieval\.ks\.0"),
        (("retrieval", "ks"), [], r"retrieval\.ks"),
        (
            ("regression", "reference"),
            "Globl",
            "the reference Globl is not an ECG row of regression.rows",
        ),
        (("embedding", "phases"), False, "need ecg_phases: set embedding.phases to true"),
        (("models", "ptacl", "frozen_layers"), 9, r"models\.ptacl freezes more layers than the 3"),
        (("models", "global", "training", "batch_size"), 1, "batch_size must be 2 or more"),
        (
            ("models", "ecg_mae", "training", "warmup_epochs"),
            60,
            "warmup_epochs 60 leave nothing of 60 epochs",
        ),
        (("encoders", "cmr", "shape"), [52, 84, 84], "more frames than a cine"),
        (("encoders", "ecg", "shape"), [12, 6000], "longer than a record"),
        (
            ("models", "cmr_mae", "encoders"),
            {"cmr": {**CMR, "shape": [60, 84, 84]}},
            r"models\.cmr_mae\.encoders\.cmr.*frames",
        ),
        (
            ("models", "cmr_mae", "encoders"),
            {"cmr": {**CMR, "shape": [26, 96, 96]}},
            "does not fit cmr.size, 84",
        ),
        (("ecg", "rate_hz"), 250, "5000 samples at 250 Hz are 20 s"),
        (("ecg", "faults", "max_constant_s"), -1, r"ecg\.faults\.max_constant_s"),
        (("cohort", "ecg_folders"), ["somewhere"], "source is simulated: set source to files"),
        (("cohort", "shard"), 3, r"cohort\.shard: .*did you mean shards\?"),
    ],
)
def test_settings_that_could_only_fail_later_are_refused_when_read(
    keys: tuple[str, ...], value: object, message: str
) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    place = values
    for key in keys[:-1]:
        place[key] = dict(place[key])  # aliases of YAML share their values
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(ValueError, match=message):
        config.parse(values)


def stacked(name: str) -> config.Config:
    """config.yaml under another file, as Snakemake stacks them."""
    import snakemake.utils

    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    snakemake.utils.update_config(values, yaml.safe_load((ROOT / name).read_text()))
    return config.parse(values)


def test_paper_configuration_has_the_papers_sizes() -> None:
    settings = stacked("workflow/config/paper.yaml")
    assert settings.encoders.ecg.width == settings.encoders.cmr.width == 512
    assert settings.encoders.ecg.shape == [12, 2500] and settings.encoders.ecg.patch == [1, 50]
    assert (
        settings.encoders.cmr.patch == [2, 12, 12] and settings.models["cmr_mae"].mask_ratio == 0.9
    )
    arms = ("global", "ptacl", "global_retrieval", "ptacl_retrieval")
    assert {settings.models[name].frozen_layers for name in arms} == {2}


def test_sizes_and_places_are_in_different_files() -> None:
    """So any cohort can use the paper's sizes, without the folders of UK Biobank."""
    paper, ukb = (
        yaml.safe_load((ROOT / "workflow/config" / name).read_text())
        for name in ("paper.yaml", "ukb.yaml")
    )
    assert paper["cohort"].keys() == {"shards", "validation_fraction", "test_fraction"}
    assert ukb.keys() == {"cohort"} and not ukb["cohort"].keys() & paper["cohort"].keys()
    assert stacked("workflow/config/ukb.yaml").cohort.source == "files"


@pytest.mark.parametrize(
    "name", ["config.yaml", "workflow/config/paper.yaml", "workflow/config/small.yaml"]
)
def test_arms_that_are_compared_differ_in_the_local_loss_alone(name: str) -> None:
    models = stacked(name).models
    for one, other in (("global", "ptacl"), ("global_retrieval", "ptacl_retrieval")):
        arms = [models[m].model_dump(exclude={"title", "local"}) for m in (one, other)]
        assert arms[0] == arms[1] and models[one].local is None and models[other].local is not None


def test_long_arms_of_the_benchmark_differ_in_the_epochs_and_the_epoch_kept() -> None:
    files = ("config.yaml", "workflow/config/rows.yaml", "workflow/config/benchmark-long.yaml")
    settings = config.stack(*(ROOT / name for name in files))
    used = {row.model for row in settings.regression.rows}
    long = [name for name in settings.models if name.endswith("_24")]
    assert len(long) == 5 and used >= set(long)
    for name in long:
        arms = [settings.models[m].model_dump(exclude={"title"}) for m in (name, name[:-3])]
        assert arms[0]["training"].pop("epochs") == 2 * arms[1]["training"].pop("epochs") == 24
        assert arms[0]["training"].pop("select") == "last" != arms[1]["training"].pop("select")
        assert arms[0] == arms[1]


def test_a_missing_folder_names_its_setting(tmp_path: Path) -> None:
    settings = config.load(ROOT / "config.yaml").cohort
    settings.require_paths()
    found = settings.model_copy(
        update={"ecg_folders": [str(tmp_path)], "cmr_folders": [str(tmp_path / "cines")]}
    )
    with pytest.raises(
        FileNotFoundError, match=r"^cohort\.cmr_folders: there is no .*cines; correct the path"
    ):
        found.require_paths()


def test_a_partial_file_changes_only_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        "ecg: {wavelet: {level: 7}}\nmodels: {global: {temperature: 0.2}}\n"
    )
    whole, part = (
        config.load(ROOT / "config.yaml"),
        config.stack(ROOT / "config.yaml", tmp_path / "part.yaml"),
    )
    assert part.ecg.wavelet.level == 7 and part.ecg.wavelet.family == whole.ecg.wavelet.family
    assert part.models["ptacl"].temperature == 0.2 and part.cohort == whole.cohort


def test_a_pattern_of_series_must_be_a_regular_expression() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["cmr"] |= {"series": ["sax.*", "sax("]}
    with pytest.raises(ValueError, match=r"'sax\(' is not a regular expression: missing \)"):
        config.parse(values)
