"""NIfTI files that are damaged, too large or none at all."""

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import IMAGE, write_nifti

from ptacl.cmr import nifti
from ptacl.exclusions import Excluded, Reason


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
    assert error.value.detail == "larger than 512 MiB"


def test_one_byte_too_many_in_a_second_gzip_member_is_refused(tmp_path: Path) -> None:
    raw = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", IMAGE).read_bytes())
    path = tmp_path / "sa.nii.gz"
    path.write_bytes(gzip.compress(raw) + gzip.compress(b""))
    assert np.array_equal(np.stack(nifti.read(path).slices, axis=1), IMAGE)
    path.write_bytes(gzip.compress(raw) + gzip.compress(b"x"))
    with pytest.raises(Excluded, match="more voxels than the header gives"):
        nifti.read(path)
