import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from phantom import LV, MYOCARDIUM, PIXEL_MM, RV, heart

from ptacl.cmr.crop import crop, first_pixel, label_centre, middle_slice, motion_centre

ALL = (0.0, 100.0)
SPACING = (PIXEL_MM, PIXEL_MM)
IMAGE, LABELS = heart()


def slices_of(image: np.ndarray) -> list[np.ndarray]:
    return [image[:, z] for z in range(image.shape[1])]


@given(row=st.floats(-30, 60), column=st.floats(-30, 60), size=st.sampled_from([4, 7, 12]))
@limits(max_examples=150, deadline=None)
def test_a_crop_is_the_window_of_a_padded_image(row: float, column: float, size: int) -> None:
    frames = np.random.default_rng(0).integers(1, 1000, (2, 25, 31))
    out, _ = crop(frames, centre=(row, column), size=size, clip_percentiles=ALL, hot_ratio=3)
    padded = np.pad(frames, ((0, 0), (100, 100), (100, 100)))
    top, left = first_pixel(row, size=size) + 100, first_pixel(column, size=size) + 100
    window = padded[:, top : top + size, left : left + size].astype(float)
    inside = window[window > 0]
    if len(np.unique(inside)) < 2:
        assert out is None
        return
    wanted = np.where(window > 0, (window - inside.min()) / (inside.max() - inside.min()) * 255, 0)
    assert out is not None
    assert out.dtype == np.uint8
    assert np.abs(out - wanted).max() <= 0.5001


@pytest.mark.parametrize("size", [5, 6])
def test_the_window_lies_around_its_centre(size: int) -> None:
    for centre in np.linspace(10, 12, 21):
        middle = first_pixel(centre, size=size) + (size - 1) / 2
        assert abs(middle - centre) <= 0.5


def test_one_range_for_the_sequence_keeps_what_changes_between_frames() -> None:
    frames = np.ones((3, 8, 8)) * np.array([10, 20, 30])[:, None, None]
    frames[:, 0, 0] = 0
    out, _ = crop(frames, centre=(3.5, 3.5), size=8, clip_percentiles=ALL, hot_ratio=3)
    assert out is not None
    assert [int(f[4, 4]) for f in out] == [85, 170, 255]


def test_intensities_outside_the_crop_do_not_set_its_range() -> None:
    frames = IMAGE[:, 3].copy()
    inside, _ = crop(frames, centre=(22, 30), size=20, clip_percentiles=ALL, hot_ratio=3)
    frames[:, :5] = 32000
    frames[:, -2:] = -32000
    assert np.array_equal(
        inside, crop(frames, centre=(22, 30), size=20, clip_percentiles=ALL, hot_ratio=3)[0]
    )


def test_percentiles_cut_off_outliers() -> None:
    frames = IMAGE[:, 3].copy()
    frames[0, 22, 30] = 30000
    whole, clipped = (
        crop(frames, centre=(22, 30), size=20, clip_percentiles=p, hot_ratio=1e9)[0]
        for p in (ALL, (0.0, 99.0))
    )
    assert whole is not None
    assert clipped is not None
    assert np.quantile(whole, 0.99) < 10
    assert (
        clipped[0, 22 - first_pixel(22, size=20), 30 - first_pixel(30, size=20)]
        == 255
        == np.quantile(clipped, 0.99)
    )


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_no_contrast_gives_no_crop(value: float) -> None:
    assert crop(
        np.full((4, 30, 30), value), centre=(15, 15), size=10, clip_percentiles=ALL, hot_ratio=3
    ) == (None, 0)


def test_motion_finds_the_heart_between_its_ventricles() -> None:
    centre = motion_centre(slices_of(IMAGE), spacing_mm=SPACING)
    left, right = (label_centre(LABELS[:, 3], values=[value]) for value in (LV, RV))
    assert centre is not None
    assert left is not None
    assert right is not None
    assert centre[0] == pytest.approx(left[0], abs=1)
    assert right[1] < centre[1] < left[1]


@pytest.mark.parametrize("shift", [(-8, 5), (12, -6), (20, 10)])
def test_motion_moves_with_the_heart(shift: tuple[int, int]) -> None:
    here, there = (
        motion_centre(slices_of(heart(shape=(90, 90), centre=c)[0]), spacing_mm=SPACING)
        for c in ((40, 45), (40 + shift[0], 45 + shift[1]))
    )
    assert here is not None
    assert there is not None
    assert np.subtract(there, here) == pytest.approx(shift, abs=1.5)


@pytest.mark.parametrize(
    "transform",
    [lambda x: x * 7, lambda x: x[::-1], lambda x: np.roll(x, 3, axis=0), lambda x: x[:, ::-1]],
)
def test_motion_does_not_depend_on_scale_or_on_where_the_beat_begins(transform: object) -> None:
    assert callable(transform)
    changed = motion_centre(slices_of(transform(IMAGE.astype(np.float32))), spacing_mm=SPACING)
    assert changed == pytest.approx(motion_centre(slices_of(IMAGE), spacing_mm=SPACING), abs=1)


def test_motion_turns_with_the_image() -> None:
    centre = motion_centre(slices_of(IMAGE), spacing_mm=SPACING)
    turned = motion_centre(slices_of(IMAGE.swapaxes(2, 3)), spacing_mm=SPACING)
    assert centre is not None
    assert turned == pytest.approx(centre[::-1], abs=1)


def test_bright_tissue_that_moves_a_little_does_not_draw_the_centre() -> None:
    image = IMAGE.copy()
    image[:, :, 35:, :6] = 3000 + 250 * np.sin(2 * np.pi * np.arange(8) / 8)[:, None, None, None]
    centre = motion_centre(slices_of(image), spacing_mm=SPACING)
    assert centre == pytest.approx(motion_centre(slices_of(IMAGE), spacing_mm=SPACING), abs=4)


@pytest.mark.parametrize("columns", sorted(set(itertools.permutations([20, 20, 32, 32]))))
def test_each_slice_counts_the_same_however_strong_its_motion_and_wherever_it_is(
    columns: tuple[int, ...],
) -> None:
    """Two of four slices move at one place, two at another: the centre is halfway."""
    phase = np.sin(2 * np.pi * np.arange(8) / 8)[:, None, None]
    slices = []
    for column, strength in zip(columns, [50, 10, 30, 20], strict=True):
        frames = np.full((8, 48, 53), 100, np.float32)
        frames[:, 22:27, column - 2 : column + 3] += strength * phase
        slices.append(frames)
    assert motion_centre(slices, spacing_mm=SPACING) == (24, 26)


def test_a_pixel_that_is_no_number_does_not_hide_motion() -> None:
    image = IMAGE.astype(np.float32)
    image[:, :, 0, 0] = np.nan
    centre = motion_centre(slices_of(image), spacing_mm=SPACING)
    assert centre == pytest.approx(motion_centre(slices_of(IMAGE), spacing_mm=SPACING), abs=1)


def test_nothing_that_moves_has_no_centre() -> None:
    assert motion_centre(slices_of(np.repeat(IMAGE[:1], 1, axis=0)), spacing_mm=SPACING) is None
    assert motion_centre(slices_of(np.zeros((8, 3, 20, 20), np.int16)), spacing_mm=SPACING) is None


def held(*slices: int, count: int = 9, pixels: int = 30) -> np.ndarray:
    labels = np.zeros((2, count, 10, 10), np.uint8)
    for z in slices:
        labels[0, z].flat[:pixels] = LV
    labels[1] = LV  # only end-diastole decides
    return labels


@pytest.mark.parametrize("count", range(1, 14))
def test_the_middle_of_all_slices_is_that_of_the_stack(count: int) -> None:
    assert middle_slice(held(*range(count), count=count), lv=LV) == count // 2


def test_the_middle_slice_is_that_of_the_ventricle() -> None:
    assert middle_slice(held(4, 5, 6), lv=LV) == 5
    assert middle_slice(held(4, 6), lv=LV) == 5
    assert middle_slice(held(2, 3, 4, 5), lv=LV) == 4
    assert middle_slice(held(), lv=LV) is None
    assert middle_slice(held(4, 5, 6), lv=RV) is None


def test_specks_are_no_ventricle() -> None:
    labels = held(4, 5, 6)
    labels[0, 0].flat[:5] = LV
    assert middle_slice(labels, lv=LV) == 5
    assert label_centre(held(3, pixels=5)[:1, 3], values=[LV]) is None


def test_the_centre_of_labels_is_their_centroid_over_time() -> None:
    labels = np.zeros((2, 30, 40), np.uint8)
    labels[0, 10:14, 20:30] = LV
    labels[1, 10:14, 24:34] = RV
    labels[1, 25:, :] = 9
    assert label_centre(labels, values=[LV, MYOCARDIUM, RV]) == (11.5, 26.5)


@pytest.mark.parametrize("voxels", [1, 3])
def test_a_hot_voxel_does_not_darken_the_sequence(voxels: int) -> None:
    frames = heart()[0].astype(np.float32)[:, 3]
    usual, none = crop(frames, centre=(22, 30), size=20, clip_percentiles=ALL, hot_ratio=3)
    frames[:voxels, 22, 30] = 30_000
    out, hot = crop(frames, centre=(22, 30), size=20, clip_percentiles=ALL, hot_ratio=3)
    assert usual is not None and out is not None
    assert none == 0 and voxels <= hot <= 4
    assert out.mean() == pytest.approx(usual.mean(), rel=0.1)
    unguarded, _ = crop(frames, centre=(22, 30), size=20, clip_percentiles=ALL, hot_ratio=1e9)
    assert unguarded is not None and unguarded.mean() < 0.1 * usual.mean()
