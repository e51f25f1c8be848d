import numpy as np
import pytest

from ptacl.cmr.systole import end_systole


def beating(frames=50, systole=18, noise=0.0):
    """A bright disc that is smallest at `systole`."""
    rng, image = np.random.default_rng(0), []
    y, x = np.mgrid[-40:41, -40:41]
    for t in range(frames):
        share = t / systole if t <= systole else (frames - t) / (frames - systole)
        radius = 25 - 10 * np.sin(np.pi / 2 * share)
        image.append(
            np.clip(200.0 * (np.hypot(x, y) < radius) + noise * rng.normal(size=x.shape), 0, 255)
        )
    return np.array(image).astype(np.uint8)


def test_smallest_cavity_of_the_segmentation_decides():
    volume = 100 + 40 * np.cos(np.arange(50) / 50 * 2 * np.pi)
    assert end_systole(beating(), volume_ml={"lv": volume}) == (25, "segmentation")


def test_motion_finds_it_without_a_segmentation():
    for systole in (14, 18, 22):
        frame, source = end_systole(beating(systole=systole, noise=15), volume_ml={})
        assert abs(frame - systole) <= 1 and source == "motion"


@pytest.mark.parametrize("frame", [8, 9, 10])
def test_one_frame_brighter_than_its_neighbours_is_not_taken_for_end_systole(frame):
    """It differs from frame 0 more than end-systole does, but the frames around it do not."""
    cine = beating()
    cine[frame] += 20
    assert abs(end_systole(cine, volume_ml={})[0] - 18) <= 1


def test_it_never_lies_at_the_end_of_the_cycle():
    """An end of the cycle that is brighter than the rest, as after an artefact, is not taken."""
    cine = beating()
    cine[-5:] = 255
    assert abs(end_systole(cine, volume_ml={})[0] - 18) <= 1
    assert end_systole(np.zeros((50, 8, 8), np.uint8), volume_ml={}) == (8, "motion")
