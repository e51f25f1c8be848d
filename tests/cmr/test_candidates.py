"""A short-axis cine is found by what its images are, whatever the scanner calls it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_zips import refusal, zipped
from phantom import FRAME_MS, PIXEL_MM, SLICE_MM, dicom, encode, heart, series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from ptacl import config
from ptacl.cmr import read
from ptacl.cmr.dicom.series import read_folder, read_zip
from ptacl.cmr.examine import examine
from ptacl.cmr.orientation import DOWN, RIGHT, TO_BASE
from ptacl.exclusions import Reason

IMAGE, _ = heart(slices=6, frames=10, shape=(20, 24), centre=(10, 12))
OTHER, _ = heart(slices=6, frames=10, shape=(20, 24), centre=(10, 12), seed=1)
AXES = np.stack([RIGHT, DOWN, -TO_BASE], axis=1)
LONG_AXES = np.stack([TO_BASE, DOWN, -RIGHT], axis=1)
NAMES = (
    "SSFP-CINE SAx",
    "cine_tf2d_sax",
    "CINE SAX",
    "sBTFE_BH_SA",
    "sax",
    "short axis",
    "FIESTA CINE",
    "",
)


def study(name: str, image: np.ndarray = IMAGE, **values: Any) -> dict[str, Dataset]:
    """A stack in one series with this name; file names begin with the name."""
    tags = {"axes": AXES, "SeriesInstanceUID": f"1.2.3.{len(name)}", "SeriesNumber": 5} | values
    files = series(image, SeriesDescription=name, **tags)
    return {f"{name.replace(' ', '_')}_{file}": data for file, data in files.items()}


def found(folder: Path, files: dict[str, Any], **arguments: Any) -> np.ndarray:
    return np.stack(read_zip(zipped(folder, files), **arguments).turned().slices, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_other_scanners(name: str, tmp_path: Path) -> None:
    long_axis = study("CINE 4ch", OTHER, axes=LONG_AXES)
    scout = {f"scout_{k}.dcm": dicom(IMAGE[0, k], SeriesDescription="localizer") for k in range(3)}
    cine = read_zip(zipped(tmp_path, study(name) | long_axis | scout)).turned()
    np.testing.assert_array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.counts["decoys"] == OTHER.shape[0] * OTHER.shape[1] + 3


def test_one_series_per_slice_with_numbered_names(tmp_path: Path) -> None:
    files = series(IMAGE, axes=AXES)
    for z, data in ((int(name[:2]), data) for name, data in files.items()):
        data.SeriesDescription = f"SAX {z + 1}"
    np.testing.assert_array_equal(found(tmp_path, files), IMAGE)


@pytest.mark.parametrize(
    "other",
    [
        study("LGE sax", OTHER),
        study("T1 map SA", OTHER),
        study("sax flow", OTHER),
        study("CINE_segmented_SAX_InlineVF", OTHER),
        study("cine SA stack", OTHER[:5]),
        study("cine SA two", OTHER[:, :2]),
        study("cine SA long", OTHER, axes=LONG_AXES),
        study("FIESTA", OTHER),
    ],
)
def test_other_stacks_are_not_taken_for_it(other: dict[str, Dataset], tmp_path: Path) -> None:
    np.testing.assert_array_equal(found(tmp_path, study("cine sax") | other), IMAGE)


def test_of_two_equal_stacks_the_last_acquired_counts(tmp_path: Path) -> None:
    files = study("cine sax", OTHER, SeriesNumber=7) | study("sax cine 2", SeriesNumber=9)
    np.testing.assert_array_equal(found(tmp_path, files), IMAGE)


def test_a_pattern_chooses_the_series(tmp_path: Path) -> None:
    files = study("cine sax") | study("my stack", OTHER)
    np.testing.assert_array_equal(found(tmp_path, files, patterns=["MY .*"]), OTHER)
    reason, detail = refusal(lambda: found(tmp_path, files, patterns=["none"]))
    assert reason is Reason.NO_SHORT_AXIS and "'cine sax' (6 positions, 10 images" in detail


def test_a_refusal_lists_the_series_that_were_found(tmp_path: Path) -> None:
    files = study("cine 4ch 9000001", axes=LONG_AXES) | {
        "a.dcm": dicom(IMAGE[0, 0], SeriesDescription="localizer")
    }
    reason, detail = refusal(lambda: found(tmp_path, files))
    assert reason is Reason.NO_SHORT_AXIS
    assert "'localizer' (1 positions, 1 images at each)" in detail
    assert "(6 positions, 10 images at each)" in detail and "9000001" not in detail
    assert detail.endswith("cmr.series can name it")


def test_a_folder_with_one_subfolder_per_series(tmp_path: Path) -> None:
    for name, data in (study("sax") | study("CINE 4ch", OTHER, axes=LONG_AXES)).items():
        folder = tmp_path / "study" / name.rpartition("_")[0][:4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name.removesuffix(".dcm")).write_bytes(encode(data))  # PACS give no suffix
    cine = read_folder(tmp_path).turned()
    np.testing.assert_array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.format == "dicom-folder"


def enhanced(image_TZRC: np.ndarray) -> Dataset:
    """All frames in one enhanced file, in another order."""
    data = dicom(image_TZRC[0, 0], SeriesDescription="sax enhanced")
    data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(data, keyword)
    del data.TriggerTime, data.InstanceNumber
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [f"{v:.8f}" for v in AXES[:, :2].T.reshape(-1)]
    measures.PixelSpacing, measures.SliceThickness = [PIXEL_MM, PIXEL_MM], 8
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames, pixels = [], []
    for z in reversed(range(image_TZRC.shape[1])):
        for t in range(len(image_TZRC)):
            frame, position, cardiac = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [f"{v:.6f}" for v in AXES[:, 2] * SLICE_MM * z]
            cardiac.NominalCardiacTriggerDelayTime = t * FRAME_MS
            frame.PlanePositionSequence = Sequence([position])
            frame.CardiacSynchronizationSequence = Sequence([cardiac])
            frames.append(frame)
            pixels.append(image_TZRC[t, z])
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.NumberOfFrames = len(frames)
    data.PixelData = np.stack(pixels).astype("<i2").tobytes()
    return data


def test_an_enhanced_file_holds_all_frames(tmp_path: Path) -> None:
    cine = read_zip(zipped(tmp_path, {"a.dcm": enhanced(IMAGE)})).turned()
    np.testing.assert_array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.frame_ms == pytest.approx(FRAME_MS)
    assert cine.spacing_mm == pytest.approx((PIXEL_MM, PIXEL_MM, SLICE_MM), rel=1e-4)


def test_a_cine_of_another_scanner_as_it_came(real_data: Path) -> None:
    settings = config.load(Path(__file__).parents[2] / "config.yaml").cmr
    path = real_data / "cases" / "cine_ge_ssfp_cine_sax.zip"
    found = examine(path, segmentation=None, settings=settings.model_copy(update={"frames": 20}))
    assert found.excluded is None and found.cine is not None
    assert found.cine.shape[:2] == (20, 7)
    renamed = read.read(real_data / "cases" / "cine_ge_renamed_cine_sax.zip")
    for one, other in zip(found.cine.slices, renamed.slices, strict=True):
        np.testing.assert_array_equal(one, other)
