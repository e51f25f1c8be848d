import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from phantom import heart, series, write_nifti, write_zip

from ptacl.cmr.read import find_labels, format_of, read, read_labels
from ptacl.exclusions import Excluded, Reason

IMAGE, LABELS = heart(frames=3, slices=2)


def test_every_form_gives_the_same_cine(tmp_path: Path) -> None:
    nifti = write_nifti(tmp_path / "a" / "sa.nii.gz", IMAGE)
    packed = write_zip(tmp_path / "b" / "9000001_20209_2_0.zip", series(IMAGE))
    folder = tmp_path / "c"
    shutil.unpack_archive(packed, folder)
    cines = [read(path) for path in (nifti, nifti.parent, packed, folder)]
    assert [c.format for c in cines] == ["nifti", "nifti", "dicom-zip", "dicom-folder"]
    for cine in cines:
        assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
        assert cine.spacing_mm == pytest.approx(cines[0].spacing_mm)
        assert np.abs(np.diff(cine.positions_mm)) == pytest.approx(cine.spacing_mm[2])


def test_content_and_not_the_name_tells_the_form(tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "sa.nii.gz", series(IMAGE))
    assert format_of(packed) == "dicom-zip"
    assert read(packed).num_slices == 2


def test_nothing_to_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "absent.zip", Reason.MISSING_FILE),
        (tmp_path, Reason.UNREADABLE),
    ):
        with pytest.raises(Excluded) as error:
            read(path)
        assert error.value.reason is reason


def test_a_segmentation_must_have_the_shape_of_its_cine(tmp_path: Path) -> None:
    cine = read(write_nifti(tmp_path / "sa.nii.gz", IMAGE))
    assert np.array_equal(
        read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", LABELS), cine=cine), LABELS
    )
    for wrong in (LABELS[1:], LABELS[:, 1:], LABELS[..., 1:], LABELS.swapaxes(2, 3)):
        with pytest.raises(Excluded) as error:
            read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", wrong), cine=cine)
        assert error.value.reason is Reason.SEGMENTATION_MISMATCH
    with pytest.raises(Excluded, match="segmentation"):
        read_labels(tmp_path / "absent.nii.gz", cine=cine)


def test_the_segmentation_beside_a_cine(tmp_path: Path) -> None:
    for name in (
        "sa.nii.gz",
        "seg_sa.nii.gz",
        "la.nii.gz",
        "9000001.zip",
        "9000002.zip",
        "seg_9000002.nii.gz",
    ):
        (tmp_path / name).touch()
    assert find_labels(tmp_path / "sa.nii.gz") == tmp_path / "seg_sa.nii.gz"
    assert find_labels(tmp_path / "la.nii.gz") is None
    assert find_labels(tmp_path) == tmp_path / "seg_sa.nii.gz"
    assert find_labels(tmp_path / "9000002.zip") == tmp_path / "seg_9000002.nii.gz"
    assert (
        find_labels(tmp_path / "9000001.zip") is None
    )  # two zips: seg_sa.nii.gz may belong to the other one
    (tmp_path / "9000002.zip").unlink()
    assert find_labels(tmp_path / "9000001.zip") == tmp_path / "seg_sa.nii.gz"


def test_a_pipe_is_unreadable_and_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "9000001_20209_2_0.zip"
    os.mkfifo(path)
    with pytest.raises(Excluded) as error:
        read(path)
    assert (error.value.reason, error.value.detail) == (Reason.UNREADABLE, "not a regular file")


def test_a_refused_segmentation_tells_both_shapes(tmp_path: Path) -> None:
    cine = read(write_nifti(tmp_path / "sa.nii.gz", IMAGE))
    with pytest.raises(Excluded) as error:
        read_labels(write_nifti(tmp_path / "seg_sa.nii.gz", LABELS[1:]), cine=cine)
    assert error.value.detail == "2x2x48x56 for a cine of 3x2x48x56"
    with pytest.raises(Excluded) as error:
        read_labels(tmp_path / "absent.nii.gz", cine=cine)
    assert error.value.reason is Reason.MISSING_FILE
    assert error.value.detail == "segmentation"


def test_the_segmentation_of_a_cine_has_its_name_whatever_the_case_of_the_suffix(
    tmp_path: Path,
) -> None:
    for name in ("a.NII", "seg_a.NII", "b.nii", "seg_b.nii", "seg_c.nii.gz", "c.ZIP"):
        (tmp_path / name).touch()
    assert find_labels(tmp_path / "a.NII") == tmp_path / "seg_a.NII"
    assert find_labels(tmp_path / "b.nii") == tmp_path / "seg_b.nii"
    assert find_labels(tmp_path / "c.ZIP") == tmp_path / "seg_c.nii.gz"
    (tmp_path / "seg_sa.nii.gz").touch()
    (tmp_path / "seg_c.nii.gz").unlink()
    assert find_labels(tmp_path / "c.ZIP") == tmp_path / "seg_sa.nii.gz"
    (tmp_path / "d.zip").touch()  # it may be the segmentation of this one
    assert find_labels(tmp_path / "c.ZIP") is None
