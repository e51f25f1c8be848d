import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import FRAME_MS, PIXEL_MM, SLICE_MM, heart, rotation, write_nifti

from ptacl.cmr import nifti
from ptacl.exclusions import Excluded, Reason

IMAGE, LABELS = heart()


def as_written(path: Path) -> np.ndarray:
    """What nibabel itself reads, as (T, Z, R, C)."""
    return np.asanyarray(nib.load(path).dataobj).T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("handed", [1, -1])
def test_native_axes_are_kept_whatever_the_orientation(tmp_path: Path, seed: int, handed: int) -> None:
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
    affine[0, 2] = 8  # each slice is shifted in its plane: 10 mm from corner to corner, 6 mm between planes
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
    raw[112:120] = np.array([-0.5, 3], "<f4").tobytes()  # nibabel does not write a negative slope, other tools do
    path = tmp_path / "scaled.nii"
    path.write_bytes(raw)
    assert np.allclose(np.stack(nifti.read(path).slices, axis=1), as_written(path))
    assert np.corrcoef(nifti.read(path).slices[0].ravel(), IMAGE[:, 0].ravel())[0, 1] == pytest.approx(-1)


def test_a_gzip_of_several_members_is_read_whole(tmp_path: Path) -> None:
    raw = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", IMAGE).read_bytes())
    path = tmp_path / "sa.nii.gz"
    path.write_bytes(gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]))
    assert np.array_equal(np.stack(nifti.read(path).slices, axis=1), IMAGE)


@pytest.mark.parametrize(
    ("unit", "zoom", "expected"),
    [("sec", 0.1, 100), ("msec", 100, 100), ("usec", 1e5, 100), ("unknown", 0.1, 100), ("sec", 1.0, None)],
)
def test_time_between_frames_by_its_unit_and_unknown_where_no_beat_takes_so_long(
    tmp_path: Path, unit: str, zoom: float, expected: float | None
) -> None:
    image = nib.Nifti1Image(IMAGE.T, np.eye(4))
    image.header.set_zooms((1, 1, 1, zoom))
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, tmp_path / "sa.nii.gz")
    assert nifti.read(tmp_path / "sa.nii.gz").frame_ms == pytest.approx(expected)


@pytest.mark.parametrize("keep", [20, 300, 5000, -1])
def test_a_file_that_ends_early_is_unreadable(tmp_path: Path, keep: int) -> None:
    content = write_nifti(tmp_path / "sa.nii.gz", IMAGE).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[:keep])
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "cut.nii.gz")
    assert error.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b", gzip.compress(b"hello", mtime=0), bytes(400)])
def test_what_is_no_image_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sa.nii.gz").write_bytes(content)
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "sa.nii.gz")
    assert error.value.reason is Reason.UNREADABLE


def test_fewer_voxels_than_the_header_says_are_unreadable(tmp_path: Path) -> None:
    raw = gzip.decompress(write_nifti(tmp_path / "sa.nii.gz", IMAGE).read_bytes())
    (tmp_path / "sa.nii").write_bytes(raw[:-100])
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "sa.nii")
    assert error.value.reason is Reason.UNREADABLE


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
    labels = nifti.read_labels(path)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, LABELS)


@pytest.mark.parametrize("wrong", [np.nan, -1, 300])
def test_labels_that_are_none_are_refused(tmp_path: Path, wrong: float) -> None:
    labels = LABELS.astype(np.float32)
    labels[1, 2, 3, 4] = wrong
    with pytest.raises(Excluded) as error:
        nifti.read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", labels))
    assert error.value.reason is Reason.NOT_FINITE


def of_size(shape: tuple[int, ...], *, stored: int) -> bytes:
    """A compressed file whose header says `shape`, and that holds `stored` voxels of zeros."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return gzip.compress(header.binaryblock + bytes(4 + 2 * stored), compresslevel=1)


@pytest.mark.parametrize(
    ("shape", "stored", "why"),
    [
        ((2000, 2000, 30, 50), 10**8, "more than a cine has"),
        ((64, 64, 8, 20), 10**8, "more voxels than the header says"),
        ((64, 64, 8, 20), 655_361, "more voxels than the header says"),
        ((64, 64, 8, 20), 655_359, "EOFError|fewer voxels"),
    ],
    ids=["large header", "padded", "one more", "one less"],
)
def test_memory_is_bounded_by_what_a_cine_can_be(shape: tuple[int, ...], stored: int, why: str, tmp_path: Path) -> None:
    path = tmp_path / "sa.nii.gz"
    path.write_bytes(of_size(shape, stored=stored))
    tracemalloc.start()
    try:
        with pytest.raises(Excluded, match=why) as error:
            nifti.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.value.reason is Reason.UNREADABLE
    assert peak < 20 * 2**20  # 200 MB lie in the file


def test_a_file_that_fills_its_header_is_read(tmp_path: Path) -> None:
    (tmp_path / "sa.nii.gz").write_bytes(of_size((64, 64, 8, 20), stored=655_360))
    assert nifti.read(tmp_path / "sa.nii.gz").shape == (20, 8, 64, 64)
