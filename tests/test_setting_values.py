"""Settings that depend on the cohort or on each other, and inheritance between kinds of models."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ptacl import config

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "name", "setting", "expected"),
    [
        ("table", "resample_mm", "auto", 1.83),
        ("simulated", "resample_mm", "auto", None),
        ("table", "resample_mm", None, None),
        ("simulated", "resample_mm", 1.5, 1.5),
        ("table", "interpolate_frames", "auto", (20, 60)),
        ("simulated", "interpolate_frames", "auto", None),
        ("table", "interpolate_frames", None, None),
        ("simulated", "interpolate_frames", [25, 30], (25, 30)),
    ],
)
def test_pixels_and_frames_are_resampled_for_other_cohorts(
    source: str, name: str, setting: object, expected: object
) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["cohort"] |= {"source": source, "table": "table.csv"} if source == "table" else {}
    values["cohort"] |= {"source": source}
    values["cmr"] |= {name: setting}
    assert getattr(config.parse(values).cmr, name) == expected


@pytest.mark.parametrize("place", [("encoders", "ecg"), ("models", "ecg_mae", "decoder")])
def test_heads_must_divide_the_width(place: tuple[str, ...]) -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    section = values
    for key in place:
        section = section[key]
    section["heads"] = 3
    with pytest.raises(ValueError, match="width 64 is not a multiple of heads 3"):
        config.parse(values)


def with_model(**entry: Any) -> config.Config:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["models"]["mine"] = entry
    return config.parse(values)


def test_an_objective_of_your_own_can_be_like_ptacl() -> None:
    """What only contrastive entries have is not inherited, whether or not null removes it."""
    for removed in ({}, {"local": None, "temperature": None, "projection_width": None}):
        entry = with_model(like="ptacl", kind="other", objective="my:Mine", **removed).models[
            "mine"
        ]
        assert isinstance(entry, config.Other)
        assert entry.start == {"ecg": "ecg_mae", "cmr": "cmr_mae"}
        assert entry.training.epochs == 12


def test_a_setting_of_another_kind_is_still_an_error() -> None:
    with pytest.raises(ValueError, match=r"models\.mine\.other\.local"):
        with_model(like="ptacl", kind="other", objective="my:Mine", local={"loss": "infonce"})


def test_a_contrastive_entry_takes_its_own_loss() -> None:
    entry = with_model(like="global", loss="my_loss:Mine", options={"scale": 2}).models["mine"]
    assert isinstance(entry, config.Contrastive)
    assert entry.own_modules == ["ptacl.learning.objectives.contrastive", "my_loss"]
    with pytest.raises(ValueError, match="loss"):
        with_model(like="global", loss="no class")
