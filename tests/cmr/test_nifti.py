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


@pytest.mark.parametrize("keep", [20, 300, 5000, -1])
def test_a_file_that_ends_early_is_unreadable(tmp_path: Path, keep: int) -> None:
    content = write_nifti(tmp_path / "sa.nii.gz", IMAGE).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[:keep])
    with pytest.raises(Excluded) as error:
        nifti.read(tmp_path / "cut.nii.gz")
    assert error.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x1f\x8b", gzip.compress(b"hello", mtime=0), bytes(400)]
)
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
        ((64, 64, 8, 20), 10**8, "more voxels than the header gives"),
        ((64, 64, 8, 20), 655_361, "more voxels than the header gives"),
        ((64, 64, 8, 20), 655_359, "EOFError|fewer voxels"),
    ],
    ids=["large header", "padded", "one more", "one less"],
)
def test_memory_is_bounded_by_what_a_cine_can_be(
    shape: tuple[int, ...], stored: int, why: str, tmp_path: Path
) -> None:
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


def test_the_detail_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sa.nii"

    def detail() -> str:
        with pytest.raises(Excluded) as error:
            nifti.read(path)
        return error.value.detail

    nib.Nifti1Image(IMAGE[0, 0].T, np.eye(4)).to_filename(path)
    assert detail() == "axes 56x48 are not column, row, slice, time"
    nib.Nifti1Image(np.zeros((2, 2, 2, 2, 3), np.int16), np.eye(4)).to_filename(path)
    assert detail() == "axes 2x2x2x2x3 are not column, row, slice, time"
    nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.complex64), np.eye(4)).to_filename(path)
    assert detail() == "NIfTI: voxels of type complex64"
    path.write_bytes(b"hello")
    assert detail() == "NIfTI: WrapStructError"
    path.write_bytes(of_size((5000, 5000, 3), stored=1))
    assert detail() == "NIfTI: the header gives 75,000,000 voxels, more than a cine has"
    nib.Nifti1Image(IMAGE.T, np.eye(4)).to_filename(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1])
    assert detail() == "NIfTI: fewer voxels than the header gives"
    path.write_bytes(raw + b"\0")
    assert detail() == "NIfTI: more voxels than the header gives"


def test_a_file_larger_than_512_mib_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sa.nii"
    with path.open("wb") as file:
        file.truncate(2**29 + 1)
    with pytest.raises(Excluded) as error:
        nifti.read(path)
    assert error.value.reason is Reason.UNREADABLE
    assert error.value.detail == "NIfTI: larger than 512 MiB"


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
    found = nifti.read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", labels))
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


def test_one_byte_too_many_in_a_second_gzip_member_is_refused(tmp_path: Path) -> None:
    raw = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", IMAGE).read_bytes())
    path = tmp_path / "sa.nii.gz"
    path.write_bytes(gzip.compress(raw) + gzip.compress(b""))
    assert np.array_equal(np.stack(nifti.read(path).slices, axis=1), IMAGE)
    path.write_bytes(gzip.compress(raw) + gzip.compress(b"x"))
    with pytest.raises(Excluded, match="more voxels than the header gives"):
        nifti.read(path)
