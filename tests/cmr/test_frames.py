"""Cines with another number of frames are interpolated over the cardiac cycle, if that is set."""

from pathlib import Path

import numpy as np
import pytest
from examined_cine import examined
from phantom import heart

from ptacl import config
from ptacl.cmr.examine import examine
from ptacl.cmr.resample import interpolated


@pytest.fixture(scope="module")
def wanted(settings: config.Cmr) -> config.Cmr:
    """Settings that interpolate 10 to 20 frames to the 8 of the phantom."""
    return settings.model_copy(update={"interpolate_frames": (10, 20)})


def waves(frames: int) -> np.ndarray:
    """Pixels that follow a sine over the cycle, each with its own phase, (T, 5, 7) uint8."""
    phase = np.linspace(0, 2 * np.pi, 35, endpoint=False).reshape(5, 7)
    time = 2 * np.pi * np.arange(frames).reshape(-1, 1, 1) / frames
    return np.rint(127 + 100 * np.sin(time + phase)).astype(np.uint8)


def test_the_same_number_changes_nothing() -> None:
    assert np.array_equal(interpolated(waves(25), frames=25), waves(25))


@pytest.mark.parametrize("old", [20, 25, 30, 60])
def test_a_wave_over_the_cycle_stays_that_wave(old: int) -> None:
    """At the largest step, a sine is at most (2 pi / 20)^2 / 8 of its amplitude above a chord."""
    found = interpolated(waves(old), frames=50)
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], waves(old)[0])
    error = np.abs(found.astype(float) - waves(50)).max()
    assert error <= 100 * (2 * np.pi / old) ** 2 / 8 + 1.5


def test_the_cycle_is_closed() -> None:
    turned = interpolated(np.roll(waves(20), 4, axis=0), frames=50)
    assert np.array_equal(turned, np.roll(interpolated(waves(20), frames=50), 10, axis=0))


def test_a_heart_of_twelve_frames_becomes_that_of_eight(
    tmp_path: Path, settings: config.Cmr, wanted: config.Cmr
) -> None:
    image, _ = heart(frames=12)
    image_of_eight, _ = heart(frames=8)
    found = examined(tmp_path / "twelve", image, wanted)
    expected = examined(tmp_path / "eight", image_of_eight, settings)
    assert found.facts["interpolated_from_frames"] == 12
    assert "interpolated_from_frames" not in expected.facts
    assert found.arrays["frames"].shape == expected.arrays["frames"].shape
    systole = int(found.arrays["systole"])
    assert abs(systole - int(expected.arrays["systole"])) <= 1
    assert found.facts["systole"]["frame"] == systole
    difference = np.abs(found.arrays["frames"].astype(float) - expected.arrays["frames"])
    assert difference.mean() < 5


@pytest.mark.parametrize("frames", [9, 21])
def test_numbers_outside_the_range_are_excluded(
    frames: int, tmp_path: Path, wanted: config.Cmr
) -> None:
    image, _ = heart(frames=frames)
    found = examined(tmp_path, image, wanted.model_copy(update={"frames": 10}))
    assert str(found.excluded) == f"wrong number of frames: {frames} in most slices, not 10 to 20"


def test_without_the_setting_another_number_is_excluded(
    tmp_path: Path, settings: config.Cmr
) -> None:
    image, _ = heart(frames=12)
    found = examined(tmp_path, image, settings)
    assert str(found.excluded) == "wrong number of frames: 12 in most slices, not 8"


def test_a_real_cine_of_20_frames(real_data: Path, published: config.Config) -> None:
    path = real_data / "cases" / "cine_ge_ssfp_cine_sax.zip"
    settings = published.cmr.model_copy(update={"interpolate_frames": (20, 60)})
    found = examine(path, segmentation=None, settings=settings)
    original = examine(path, segmentation=None, settings=settings.model_copy(update={"frames": 20}))
    assert found.excluded is None and original.excluded is None
    frames, before = found.arrays["frames"], original.arrays["frames"]
    assert frames.shape == (50, 84, 84) and found.facts["interpolated_from_frames"] == 20
    assert np.array_equal(frames[::5], before[::2])
    assert abs(int(found.arrays["systole"]) - 2.5 * int(original.arrays["systole"])) <= 0.5
