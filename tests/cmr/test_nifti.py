import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import FRAME_MS, IMAGE, LABELS, PIXEL_MM, SLICE_MM, rotation, write_nifti

from ptacl.cmr import nifti
from ptacl.exclusions import Excluded, Reason


def as_written(path: Path) -> np.ndarray:
    """What nibabel itself reads, as (T, Z, R, C)."""
    return np.asanyarray(nib.load(path).dataobj).T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("handed", [1, -1])
def test_native_axes_are_kept_whatever_the_orientation(
    tmp_path: Path, seed: int, handed: int
) -> None:
    path = write_nifti(tmp_path / "sa.nii.gz", IMAGE, axes=rotation(seed) * [handed, 1, 1])
    cine = nifti.read(path)
    assert cine.shape == IMAGE.shape
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.spacing_mm == pytest.approx((PIXEL_MM, PIXEL_MM, SLICE_MM), rel=1e-5)
    assert cine.frame_ms == pytest.approx(FRAME_MS)
    assert cine.positions_mm == pytest.approx(SLICE_MM * np.arange(7), rel=1e-5)


def test_rows_and_columns_keep_their_own_spacing(tmp_path: Path) -> None:
    path = tmp_path / "sa.nii.gz"
    nib.save(nib.Nifti1Image(IMAGE.T, np.diag([1.5, 2.5, 8, 1])), path)
    assert nifti.read(path).spacing_mm == pytest.approx((2.5, 1.5, 8))


def test_slice_distance_is_that_along_the_normal(tmp_path: Path) -> None:
    affine = np.diag([2.0, 2, 6, 1])
    affine[0, 2] = (
        8  # each slice is shifted in its plane: 10 mm from corner to corner, 6 mm between planes
    )
    nib.save(nib.Nifti1Image(IMAGE.T, affine), tmp_path / "sa.nii.gz")
    assert nifti.read(tmp_path / "sa.nii.gz").spacing_mm[2] == pytest.approx(6)


@pytest.mark.parametrize("dtype", ["<f4", ">i2", "<f8", "<u2", "<i4"])
def test_values_are_those_of_nibabel_for_every_type(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "sa.nii"
    nib.Nifti1Image(IMAGE.T.astype(dtype), np.eye(4)).to_filename(path)
    assert np.array_equal(np.stack(nifti.read(path).slices, axis=1), IMAGE)


def test_scaling_of_the_header_is_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(IMAGE.T, np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(tmp_path / "sa.nii.gz")
    raw = bytearray(gzip.decompress((tmp_path / "sa.nii.gz").read_bytes()))
    raw[112:120] = np.array(
        [-0.5, 3], "<f4"
    ).tobytes()  # nibabel does not write a negative slope, other tools do
    path = tmp_path / "scaled.nii"
    path.write_bytes(raw)
    assert np.allclose(np.stack(nifti.read(path).slices, axis=1), as_written(path))
    assert np.corrcoef(nifti.read(path).slices[0].ravel(), IMAGE[:, 0].ravel())[
        0, 1
    ] == pytest.approx(-1)


def test_a_gzip_of_several_members_is_read_whole(tmp_path: Path) -> None:
    raw = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", IMAGE).read_bytes())
    path = tmp_path / "sa.nii.gz"
    path.write_bytes(gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]))
    assert np.array_equal(np.stack(nifti.read(path).slices, axis=1), IMAGE)


@pytest.mark.parametrize(
    ("unit", "zoom", "expected"),
    [
        ("sec", 0.1, 100),
        ("msec", 100, 100),
        ("usec", 1e5, 100),
        ("unknown", 0.1, 100),
        ("sec", 1.0, None),
    ],
)
def test_time_between_frames_by_its_unit_and_unknown_where_no_beat_takes_so_long(
    tmp_path: Path, unit: str, zoom: float, expected: float | None
) -> None:
    image = nib.Nifti1Image(IMAGE.T, np.eye(4))
    image.header.set_zooms((1, 1, 1, zoom))
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, tmp_path / "sa.nii.gz")
    assert nifti.read(tmp_path / "sa.nii.gz").frame_ms == pytest.approx(expected)


def test_a_plane_is_no_short_axis_cine_and_one_volume_has_one_frame(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(IMAGE[0, 0].T, np.eye(4)), tmp_path / "plane.nii.gz")
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "plane.nii.gz")
    assert error.value.reason is Reason.NO_SHORT_AXIS
    nib.save(nib.Nifti1Image(IMAGE[0].T, np.eye(4)), tmp_path / "volume.nii.gz")
    cine = nifti.read(tmp_path / "volume.nii.gz")
    assert cine.shape == (1, *IMAGE.shape[1:])
    assert cine.frame_ms is None


def test_a_voxel_of_no_size_is_refused(tmp_path: Path) -> None:
    raw = bytearray(gzip.decompress(write_nifti(tmp_path / "sa.nii.gz", IMAGE).read_bytes()))
    raw[80:92] = np.array([0, 1, 1], "<f4").tobytes()
    (tmp_path / "sa.nii").write_bytes(raw)
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "sa.nii")
    assert error.value.reason is Reason.WRONG_UNIT


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_labels_are_read_from_every_type(tmp_path: Path, dtype: type) -> None:
    path = write_nifti(tmp_path / "seg_sa.nii.gz", LABELS.astype(dtype))
    labels, _ = nifti.read_labels(path)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, LABELS)


@pytest.mark.parametrize("wrong", [np.nan, -1, 300])
def test_labels_that_are_none_are_refused(tmp_path: Path, wrong: float) -> None:
    labels = LABELS.astype(np.float32)
    labels[1, 2, 3, 4] = wrong
    with pytest.raises(Excluded) as error:
        nifti.read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", labels))
    assert error.value.reason is Reason.NOT_FINITE


def spaced(
    folder: Path,
    *,
    header_mm: tuple[float, float, float],
    affine_mm: tuple[float, float, float],
) -> Path:
    """A file whose voxel size in the header need not be that of its affine."""
    path = folder / "sa.nii"
    nib.Nifti1Image(IMAGE.T, np.diag([*affine_mm, 1])).to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[80:92] = np.array(header_mm, "<f4").tobytes()
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("header_mm", "expected"),
    [((2.0, 2, 6.05), 6.0), ((2.0, 2, 9), 9.0), ((2.0, 2, 4), 4.0), ((2.0, 3, 9), 9.0)],
    ids=["within 1 %", "larger", "smaller", "other pixels"],
)
def test_where_the_affine_disagrees_with_the_voxel_size_that_of_the_header_counts(
    tmp_path: Path,
    header_mm: tuple[float, float, float],
    expected: float,
) -> None:
    """The affine says 6 mm between slices."""
    path = spaced(tmp_path, header_mm=header_mm, affine_mm=(2, 2, 6))
    assert nifti.read(path).spacing_mm[2] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("header_mm", "detail"),
    [
        ((0.0, 1, 1), "voxel size 0 mm"),
        ((1.0, 1, 0), "voxel size 0 mm"),
        ((1.0, np.nan, 1), "voxel size nan x 1.0 x 1.0 mm"),
        ((1.0, 1, np.inf), "voxel size 1.0 x 1.0 x inf mm"),
    ],
)
def test_a_voxel_size_that_is_none_is_named(
    tmp_path: Path,
    header_mm: tuple[float, float, float],
    detail: str,
) -> None:
    with pytest.raises(Excluded) as error:
        nifti.read(spaced(tmp_path, header_mm=header_mm, affine_mm=(1, 1, 1)))
    assert error.value.reason is Reason.WRONG_UNIT
    assert error.value.detail == detail


def test_axes_of_one_after_the_fourth_do_no_harm(tmp_path: Path) -> None:
    nib.Nifti1Image(IMAGE.T[..., None, None], np.eye(4)).to_filename(tmp_path / "sa.nii")
    assert np.array_equal(np.stack(nifti.read(tmp_path / "sa.nii").slices, axis=1), IMAGE)


@pytest.mark.parametrize(
    ("zoom_s", "expected"),
    [(0.25 / 8, 31.25), (0.249 / 8, None), (3 / 8, 375), (3.01 / 8, None)],
)
def test_a_beat_takes_from_a_quarter_of_a_second_to_three(
    tmp_path: Path,
    zoom_s: float,
    expected: float | None,
) -> None:
    """Eight frames make up one beat."""
    path = write_nifti(tmp_path / "sa.nii.gz", IMAGE, frame_s=zoom_s)
    assert nifti.read(path).frame_ms == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(254.6, 255), (0.4, 0), (255.0, 255)])
def test_labels_stored_as_floats_are_rounded(tmp_path: Path, value: float, expected: int) -> None:
    labels = LABELS.astype(np.float32)
    labels[1, 2, 3, 4] = value
    found, _ = nifti.read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", labels))
    assert found[1, 2, 3, 4] == expected


def test_labels_out_of_range_are_named(tmp_path: Path) -> None:
    labels = LABELS.astype(np.float32)
    labels[1, 2, 3, 4] = 256
    with pytest.raises(Excluded) as error:
        nifti.read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", labels))
    assert error.value.detail == "segmentation labels outside 0 to 255"


def test_a_slope_or_an_intercept_alone_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "sa.nii"
    nib.Nifti1Image(IMAGE.T, np.eye(4)).to_filename(path)
    raw = bytearray(path.read_bytes())
    for slope, intercept in ((2.0, 0.0), (1.0, 5.0)):
        raw[112:120] = np.array([slope, intercept], "<f4").tobytes()
        path.write_bytes(raw)
        found = np.stack(nifti.read(path).slices, axis=1)
        assert found.dtype == np.float32
        assert np.array_equal(found, IMAGE * np.float32(slope) + np.float32(intercept))


@pytest.mark.parametrize("name", ["sa.nii", "sa.nii.gz"])
def test_nifti_2_is_read_like_nifti_1(tmp_path: Path, name: str) -> None:
    first = nifti.read(write_nifti(tmp_path / "first.nii.gz", IMAGE))
    image = nib.load(tmp_path / "first.nii.gz")
    nib.save(
        nib.Nifti2Image(np.asarray(image.dataobj), image.affine, image.header), tmp_path / name
    )
    found = nifti.read(tmp_path / name)
    assert np.array_equal(np.stack(found.slices, axis=1), IMAGE)
    assert found.spacing_mm == pytest.approx(first.spacing_mm)
    assert found.frame_ms == pytest.approx(first.frame_ms)
    assert found.turned().turn == first.turned().turn
