"""Augmentations of cines."""

import numpy as np
import pytest
import torch
from augmented import QUIET_CMR, apply_cmr, draw_cmr

from ptacl.learning import augment, draws


def test_cmr_zero_strength_is_identity(cmr_augmentation, frames):
    quiet = cmr_augmentation.model_copy(update=QUIET_CMR)
    assert torch.equal(apply_cmr(quiet, frames, range(6)), frames)
    never = cmr_augmentation.model_copy(update={"probability": 0.0, "flip_probability": 0.0})
    assert torch.equal(apply_cmr(never, frames, range(6)), frames)


@pytest.mark.parametrize(
    "change",
    [
        {"crop_scale": (0.5, 0.6)},
        {"crop_ratio": (1.2, 1.3)},
        {"rotation_degrees": 30.0},
        {"flip_probability": 1.0},
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"blur_sigma": (1.0, 1.0)},
        {"noise": 0.1},
    ],
)
def test_each_cmr_strength_alone_changes_the_cine(cmr_augmentation, frames, change):
    out = apply_cmr(cmr_augmentation.model_copy(update=QUIET_CMR | change), frames, range(6))
    assert not torch.isclose(out, frames).all((1, 2, 3)).any()
    assert out.min() >= 0 and out.max() <= 1


def test_static_cine_stays_static(cmr_augmentation):
    image = torch.rand(8, 1, 20, 20).expand(8, 5, 20, 20)
    out = apply_cmr(cmr_augmentation.model_copy(update={"probability": 1.0}), image, range(8))
    assert (out - image).abs().amax((1, 2, 3)).min() > 0.05
    assert torch.allclose(out, out[:, :1].expand_as(out), atol=1e-6)


def test_cine_of_one_moving_frame_moves_in_that_frame_alone(cmr_augmentation):
    still = torch.full((6, 4, 20, 20), 0.4)
    moving = still.clone()
    moving[:, 2] = torch.rand(6, 20, 20)
    out = apply_cmr(cmr_augmentation.model_copy(update={"probability": 1.0}), moving, range(6))
    assert torch.allclose(out[:, 0], out[:, 1], atol=1e-6) and torch.allclose(
        out[:, 0], out[:, 3], atol=1e-6
    )
    assert not torch.allclose(out[:, 0], out[:, 2], atol=1e-2)


def test_frames_cover_the_cycle_from_end_diastole():
    index = draws.frame_index(50, 26)
    assert index[0] == 0 and index[-1] == 49 and set(np.diff(index)) <= {1, 2, 3}
    assert np.array_equal(draws.frame_index(10, 10), np.arange(10))
    with pytest.raises(ValueError, match="51 frames"):
        draws.frame_index(50, 51)


def test_time_jitter_stays_within_the_stride(cmr_augmentation):
    settings = cmr_augmentation.model_copy(update={"time_jitter": 1.0})
    index = draw_cmr(settings, range(300)).frame_BT
    stride, middle = 50 / 26, (np.arange(26) + 0.5) * 50 / 26
    assert not index[:, 0].any() and (np.diff(index) >= 0).all()
    assert (np.abs(index - middle)[:, 1:] <= stride / 2 + 0.5).all()
    assert np.allclose(
        index[:, 1:-1].mean(0), middle[1:-1], atol=0.15
    )  # to both sides alike: six standard errors
    assert (index != draws.frame_index(50, 26)).mean() > 0.3


def test_resample_turns_and_flips_exactly(frames):
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]]).repeat(6, 1, 1)
    assert torch.allclose(
        augment.resample(frames, quarter), torch.rot90(frames, 1, (2, 3)), atol=1e-5
    )
    flip = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]).repeat(6, 1, 1)
    assert torch.allclose(augment.resample(frames, flip), frames.flip(3), atol=1e-5)


def test_flip_alone_mirrors_the_cine(cmr_augmentation, frames):
    settings = cmr_augmentation.model_copy(update=QUIET_CMR | {"flip_probability": 1.0})
    assert torch.allclose(apply_cmr(settings, frames, range(6)), frames.flip(3), atol=1e-5)


def test_crop_keeps_the_drawn_area_inside_the_image(cmr_augmentation):
    settings = cmr_augmentation.model_copy(
        update=QUIET_CMR | {"crop_scale": (0.2, 0.5), "crop_ratio": (0.8, 1.25)},
    )
    theta = draw_cmr(settings, range(200)).theta_B23
    width, height = theta[:, 0, 0], theta[:, 1, 1]
    assert (width * height).min() == pytest.approx(0.2, abs=0.02) and (
        width * height
    ).max() == pytest.approx(0.5, abs=0.02)
    assert (width / height).min() >= 0.8 - 1e-5 and (width / height).max() <= 1.25 + 1e-5
    assert (np.abs(theta[:, :, 2]) + np.stack([width, height], 1)).max() <= 1 + 1e-5


def test_rotation_angle_is_bounded_and_a_rotation(cmr_augmentation):
    settings = cmr_augmentation.model_copy(update=QUIET_CMR | {"rotation_degrees": 30.0})
    theta = draw_cmr(settings, range(300)).theta_B23[:, :, :2]
    assert np.allclose(theta @ theta.transpose(0, 2, 1), np.eye(2), atol=1e-6) and np.allclose(
        np.linalg.det(theta), 1
    )
    degrees = np.degrees(np.arctan2(theta[:, 1, 0], theta[:, 0, 0]))
    assert 28 < degrees.max() <= 30 and -30 <= degrees.min() < -28


def test_blur_is_a_gaussian_of_its_own_width_each():
    point = torch.zeros(3, 1, 41, 41)
    point[:, :, 20, 20] = 1
    out = augment.blur(point, torch.tensor([0.0, 1.0, 2.0]))[:, 0]
    offset = torch.arange(41.0) - 20
    assert torch.equal(out[0], point[0, 0])
    for image, sigma in zip(out[1:], (1.0, 2.0), strict=True):
        assert image.sum().item() == pytest.approx(1, abs=1e-4)
        for axis in (0, 1):
            assert (image.sum(axis) * offset**2).sum().sqrt().item() == pytest.approx(
                sigma, rel=0.01
            )
    flat = torch.full((1, 2, 9, 9), 0.7)
    assert torch.allclose(augment.blur(flat, torch.tensor([1.5])), flat)


def test_colour_scales_about_the_mean_of_the_sequence(cmr_augmentation, frames):
    settings = cmr_augmentation.model_copy(update=QUIET_CMR | {"contrast": 0.5, "brightness": 0.2})
    draw = draw_cmr(settings, range(6))
    middle = 0.4 + 0.1 * frames
    out = augment.corrupt_cmr(augment.move_cmr(middle.clone(), draw), draw, settings=settings)
    for i in range(6):
        bright = middle[i] * draw.brightness_B[i]
        assert torch.allclose(
            out[i], bright.mean() + (bright - bright.mean()) * draw.contrast_B[i], atol=1e-5
        )


def test_noise_has_the_set_deviation(cmr_augmentation):
    settings = cmr_augmentation.model_copy(update=QUIET_CMR | {"noise": 0.05})
    flat = torch.full((4, 2, 64, 64), 0.5)
    out = apply_cmr(settings, flat, range(4))
    assert (out - flat).std((1, 2, 3)).numpy() == pytest.approx(0.05, rel=0.05)
    assert not torch.allclose(out[0], out[1], atol=0.01)


def test_noise_is_a_window_of_a_pool_of_the_right_distribution():
    place = torch.from_numpy(np.random.default_rng(0).integers(2**32, size=50))
    normal = augment._noise(place, (4, 1000), normal=True)
    uniform = augment._noise(place, (1000,), normal=False)
    assert normal.shape == (50, 4, 1000) and uniform.shape == (50, 1000)
    assert [normal.mean(), normal.std(), (normal**4).mean()] == pytest.approx([0, 1, 3], abs=0.05)
    assert [uniform.min(), uniform.mean(), uniform.max()] == pytest.approx([0, 0.5, 1], abs=0.01)
    assert len({float(row[0]) for row in uniform}) == 50
    longest = augment._noise(torch.tensor([2**32 - 1]), (12, 5000), normal=True)
    assert torch.isfinite(longest).all()


def test_cines_of_a_batch_alone_or_together(cmr_augmentation):
    """On a GPU all go through at once, on a CPU one by one."""
    frames = torch.randint(0, 256, (6, 4, 20, 20), dtype=torch.uint8)
    draw = draw_cmr(cmr_augmentation, range(6))
    assert (
        0 < draw.moved_B.sum() < 6 and 0 < draw.coloured_B.sum() < 6 and 0 < draw.noisy_B.sum() < 6
    )
    out, clean = augment.cmr(frames, draw, settings=cmr_augmentation, clean=True)
    moved = augment.move_cmr(frames.float() / 255, draw)
    assert torch.allclose(clean, moved, atol=1e-6)
    assert torch.allclose(
        out, augment.corrupt_cmr(moved, draw, settings=cmr_augmentation), atol=1e-6
    )
    plain, none = augment.cmr(frames, None, settings=None)
    assert none is None and torch.equal(plain, frames.float() / 255)
