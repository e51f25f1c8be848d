"""Images that make no stack, and zips and folders that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from dicom_zips import IMAGE, T, Z, reason_of, refusal, spoiled, zipped
from phantom import dicom, series

from ptacl.cmr.dicom.series import read_folder, read_zip
from ptacl.exclusions import Reason


def test_images_that_make_no_stack_are_refused(tmp_path: Path) -> None:
    turned = series(IMAGE)
    turned["03_01.dcm"].ImageOrientationPatient = [
        np.cos(0.1),
        np.sin(0.1),
        0,
        -np.sin(0.1),
        np.cos(0.1),
        0,
    ]
    assert reason_of(lambda: read_zip(zipped(tmp_path, turned))) is Reason.UNEVEN_SLICES
    finer = series(IMAGE)
    finer["03_01.dcm"].PixelSpacing = [1, 1]
    assert reason_of(lambda: read_zip(zipped(tmp_path, finer))) is Reason.UNEVEN_SLICES
    other = series(IMAGE) | {k: dicom(IMAGE[0, 0, :10]) for k in ("00_00.dcm",)}
    other["00_00.dcm"].ImagePositionPatient = [7, 7, 7]
    assert reason_of(lambda: read_zip(zipped(tmp_path, other))) is Reason.UNEVEN_SLICES


def test_two_people_in_one_zip_are_refused(tmp_path: Path) -> None:
    assert (
        reason_of(lambda: read_zip(zipped(tmp_path, spoiled("03_01.dcm", PatientID="9000002"))))
        is Reason.SEVERAL_PEOPLE
    )
    assert read_zip(zipped(tmp_path, series(IMAGE) | spoiled("00_00.dcm"))).num_slices == Z


def test_two_images_of_one_phase_are_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    other = dict(series(IMAGE))
    other["again.dcm"] = series(IMAGE[:, 1:2] + 1)["00_02.dcm"]
    for keyword in ("SeriesDescription", "SeriesInstanceUID", "ImagePositionPatient"):
        setattr(other["again.dcm"], keyword, other["01_02.dcm"].get(keyword))
    assert reason_of(lambda: read_zip(zipped(tmp_path, other))) is Reason.CONFLICTING_IMAGES
    other["again.dcm"].PixelData = other["01_02.dcm"].PixelData
    assert read_zip(zipped(tmp_path, other)).counts["duplicates"] == 1


def test_a_zip_or_folder_that_cannot_be_read_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = tmp_path / "absent"
    assert refusal(lambda: read_folder(absent)) == (Reason.MISSING_FILE, "")
    assert refusal(lambda: read_zip(absent)) == (Reason.MISSING_FILE, "")
    garbage = tmp_path / "garbage.zip"
    garbage.write_bytes(b"PK garbage")
    assert refusal(lambda: read_zip(garbage)) == (Reason.UNREADABLE, "zip: BadZipFile")
    with garbage.open("wb") as file:
        file.truncate(2**29 + 1)
    assert refusal(lambda: read_zip(garbage)) == (Reason.UNREADABLE, "larger than 512 MiB")
    packed = zipped(tmp_path, series(IMAGE))
    monkeypatch.setattr("ptacl.cmr.dicom.series._MOST_FILES", T * Z + 1)  # and the manifest
    assert read_zip(packed).num_slices == Z
    monkeypatch.setattr("ptacl.cmr.dicom.series._MOST_FILES", T * Z)
    assert refusal(lambda: read_zip(packed)) == (Reason.UNREADABLE, f"zip: {T * Z + 1} files")


def test_as_many_pixels_as_allowed_are_read_and_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = zipped(tmp_path, series(IMAGE))
    monkeypatch.setattr("ptacl.cmr.dicom.series._MOST_PIXELS", IMAGE.size)
    assert read_zip(packed).num_slices == Z
    monkeypatch.setattr("ptacl.cmr.dicom.series._MOST_PIXELS", IMAGE.size - 1)
    detail = f"more than {IMAGE.size - 1:,} short-axis pixels"
    assert refusal(lambda: read_zip(packed)) == (Reason.UNREADABLE, detail)


def test_images_that_make_no_stack_say_why(tmp_path: Path) -> None:
    """A turn of 0.1 rad is one of 6 degrees."""
    turned = spoiled(
        "03_01.dcm",
        ImageOrientationPatient=[np.cos(0.1), np.sin(0.1), 0, -np.sin(0.1), np.cos(0.1), 0],
    )
    detail = "slices turned by 6 degrees"
    assert refusal(lambda: read_zip(zipped(tmp_path, turned))) == (Reason.UNEVEN_SLICES, detail)
    finer = spoiled("03_01.dcm", PixelSpacing=[1, 2])
    detail = "pixels of (4.0, 4.0) and (1.0, 2.0) mm"
    assert refusal(lambda: read_zip(zipped(tmp_path, finer))) == (Reason.UNEVEN_SLICES, detail)
    other = series(IMAGE)
    other["00_01.dcm"] = dicom(IMAGE[0, 0, :10], TriggerTime=100, ImagePositionPatient=[7, 7, 7])
    detail = "images of (20, 24) and (10, 24) pixels"
    assert refusal(lambda: read_zip(zipped(tmp_path, other))) == (Reason.UNEVEN_SLICES, detail)
    strangers = spoiled("03_01.dcm", PatientID="9000002")
    assert refusal(lambda: read_zip(zipped(tmp_path, strangers))) == (
        Reason.SEVERAL_PEOPLE,
        "2 patient ids in the short axis",
    )
