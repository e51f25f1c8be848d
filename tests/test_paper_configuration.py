"""The paper's configuration, with all that it inherits, against a table: no value of the
demonstration slips through.
"""

from pathlib import Path

import pytest

from ptacl import config

ROOT = Path(__file__).parents[1]

# The autoencoder of the ECG follows the published pre-training that the paper builds on;
# contrastive training follows MMCL.
ECG = {
    "light": {"surrogate_magnitude": 0.075, "jitter": 0.2, "rescaling": 0.5, "probability": 0.5},
    "strong": {"surrogate_magnitude": 0.1, "jitter": 0.25, "rescaling": 0.5, "probability": 0.95},
}
CMR = {
    "strong": {
        "time_jitter": 0.5,
        "crop_scale": (0.6, 1.0),
        "crop_ratio": (0.75, 1.33),
        "rotation_degrees": 45,
        "flip_probability": 0.5,
        "brightness": 0.5,
        "contrast": 0.5,
        "blur_sigma": (0.1, 2.0),
        "noise": 0.05,
        "probability": 0.95,
    },
}
TABLE = """
model            | epochs | batch | rate | warm-up | keep | frozen  | ecg    | cmr
ecg_mae          | 400    | 256   | 6e-4 | 40      | last | 0       | light  | -
cmr_mae          | 400    | 256   | 6e-4 | 40      | last | 0       | -      | strong
global           | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl            | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
global_retrieval | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl_retrieval  | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ecg_simclr       | 400    | 256   | 3e-4 | 40      | last | 0       | strong | -
cmr_simclr       | 400    | 256   | 3e-4 | 40      | last | 0       | -      | strong
ecg_supervised   | 100    | 256   | 1e-4 | 10      | best | 0       | light  | -
cmr_supervised   | 100    | 256   | 1e-4 | 10      | best | 0       | -      | strong
ptacl_raw        | 200    | 256   | 1e-4 | 20      | best | 0       | strong | strong
ptacl_cosine     | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl_edes       | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl_centred    | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
phasewise        | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl_phasewise  | 200    | 256   | 1e-4 | 20      | best | 2       | strong | strong
ptacl_fn         | 50     | 256   | 3e-5 | 5       | best | 0       | light  | -
eccl             | 200    | 256   | 1e-4 | 20      | best | cmr:all | strong | strong
eccl_fn          | 50     | 256   | 3e-5 | 5       | best | 0       | light  | -
mmcl             | 300    | 256   | 1e-4 | 30      | best | 0       | strong | strong
mmcl_fn          | 50     | 256   | 3e-5 | 5       | best | 0       | light  | -
cmae             | 200    | 256   | 1e-4 | 20      | last | 0       | strong | strong
"""


def expected() -> dict[str, dict[str, str]]:
    head, *lines = (
        [cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()
    )
    return {line[0]: dict(zip(head[1:], line[1:], strict=True)) for line in lines}


@pytest.fixture(scope="module")
def paper() -> config.Config:
    names = ("paper.yaml", "rows.yaml", "paper-rows.yaml")
    return config.stack(ROOT / "config.yaml", *(ROOT / "workflow/config" / name for name in names))


def frozen(entry: config.Trained) -> str:
    layers = entry.frozen_layers
    if isinstance(layers, dict):
        return ",".join(f"{modality}:{count}" for modality, count in layers.items())
    return str(layers)


def test_every_training_is_in_the_table(paper: config.Config) -> None:
    trained = {name for name, entry in paper.models.items() if isinstance(entry, config.Trained)}
    assert trained == expected().keys()


@pytest.mark.parametrize("name", expected())
def test_a_training_has_the_values_of_the_table(paper: config.Config, name: str) -> None:
    row, entry = expected()[name], paper.models[name]
    assert isinstance(entry, config.Trained)
    training = entry.training
    found = [training.epochs, training.batch_size, training.learning_rate, training.warmup_epochs]
    assert found == [float(row[key]) for key in ("epochs", "batch", "rate", "warm-up")]
    assert training.select == row["keep"]
    assert frozen(entry) == row["frozen"]
    # All arms see the same number of steps: none stops early.
    assert training.patience == 0
    assert training.precision == "bfloat16"
    assert training.checkpoint_seconds == 600
    assert [training.weight_decay, training.betas, training.clip_norm] == [0.05, (0.9, 0.95), 1.0]
    for modality, kinds in (("ecg", ECG), ("cmr", CMR)):
        augmentation = getattr(entry.augmentation, modality)
        if row[modality] == "-":
            assert augmentation is None
            continue
        values = augmentation.model_dump()
        assert values.pop("random_crop", True)
        assert values == kinds[row[modality]]


def test_sizes_and_split_are_those_of_the_paper(paper: config.Config) -> None:
    cohort, encoders = paper.cohort, paper.encoders
    assert [cohort.test_fraction, cohort.validation_fraction] == [0.1765, 0.05]
    assert round(33_942 * cohort.test_fraction) == 5_991
    assert [encoders.ecg.shape, encoders.ecg.patch] == [[12, 2500], [1, 50]]
    assert [encoders.cmr.shape, encoders.cmr.patch] == [[26, 84, 84], [2, 12, 12]]
    assert [encoders.ecg.depth, encoders.cmr.depth] == [6, 4]
    for encoder in (encoders.ecg, encoders.cmr):
        assert [encoder.width, encoder.heads] == [512, 8]
    for name, ratio in (("ecg_mae", 0.75), ("cmr_mae", 0.9)):
        assert paper.models[name].mask_ratio == ratio
        assert paper.models[name].decoder == config.Decoder(width=256, depth=1, heads=4)
    assert paper.models["cmae"].decoder == config.Decoder(width=256, depth=1, heads=4)
    assert paper.models["cmae"].latent_width == 256


@pytest.mark.parametrize(
    ("name", "temperature", "local"),
    [
        ("global", 0.1, None),
        ("ptacl", 0.1, ("infonce", 1.0, 0.1, "all")),
        ("ptacl_raw", 0.1, ("infonce", 1.0, 0.1, "all")),
        ("ptacl_cosine", 0.1, ("cosine", 1.0, 0.1, "all")),
        ("ptacl_edes", 0.1, ("infonce", 1.0, 0.0, "ed_es")),
        ("ptacl_centred", 0.1, ("infonce", 0.1, 0.1, "all")),
        ("ptacl_phasewise", 0.1, ("infonce", 0.1, 0.1, "all")),
        ("phasewise", 0.1, None),
        ("global_retrieval", 0.07, None),
        ("ptacl_retrieval", 0.07, ("infonce", 0.07, 0.0, "all")),
        ("eccl", 0.1, None),
        ("mmcl", 0.1, None),
    ],
)
def test_losses_have_these_settings(
    paper: config.Config, name: str, temperature: float, local: tuple[object, ...] | None
) -> None:
    entry = paper.models[name]
    assert isinstance(entry, config.Contrastive)
    assert entry.temperature == temperature
    assert entry.projection_width == 128
    # MMCL projects by two layers, 512 to 512 to 128, and weighs ECG to CMR by 0.25.
    assert entry.projection_hidden == (512 if name == "mmcl" else None)
    assert entry.direction_weight == (0.25 if name == "mmcl" else 0.5)
    if local is None:
        assert entry.local is None
    else:
        assert (
            entry.local.loss,
            entry.local.temperature,
            entry.local.sigma,
            entry.local.phases,
        ) == local
        assert entry.local.beta == 1.0


def test_the_resnet_of_mmcl_is_whole(paper: config.Config) -> None:
    assert paper.inputs_of("mmcl").encoders["cmr"] == config.ResNet(
        shape=[3, 84, 84], base_width=64
    )
