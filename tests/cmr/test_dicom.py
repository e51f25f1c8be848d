from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_zips import IMAGE, T, Z, spoiled, stacked, zipped
from phantom import FRAME_MS, PIXEL_MM, SLICE_MM, decoys, dicom, encode, rotation, series
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from ptacl.cmr.dicom.series import read_folder, read_zip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("side", [1, -1])
def test_slices_follow_their_positions_and_frames_their_times(
    tmp_path: Path, seed: int, side: int
) -> None:
    files = series(IMAGE, axes=rotation(seed) * [1, 1, side]) | decoys(IMAGE[0, 0])
    shuffled = np.random.default_rng(seed).permutation(list(files)).tolist()
    cine = read_zip(zipped(tmp_path, files, names=shuffled))
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.spacing_mm == pytest.approx((PIXEL_MM, PIXEL_MM, SLICE_MM), rel=1e-4)
    assert cine.frame_ms == pytest.approx(FRAME_MS)
    assert cine.counts == {"decoys": 4, "duplicates": 0, "gaps": 0, "unreadable": 0}
    assert np.abs(np.diff(cine.positions_mm)) == pytest.approx(SLICE_MM, rel=1e-4)


def test_names_of_series_do_not_order_slices(tmp_path: Path) -> None:
    """b10 sorts before b2 as text; and numbers may be wrong: positions decide."""
    files = series(IMAGE)
    for data in files.values():
        z = int(data.SeriesDescription.rpartition("_b")[2]) - 1
        data.SeriesDescription = f"cine_SEGMENTED_SAX_b{(5, 1, 2, 3, 4, 0, 6, 7, 8, 9, 10)[z] + 1}"
    assert np.array_equal(stacked(zipped(tmp_path, files)), IMAGE)


def test_frames_follow_times_and_not_instance_numbers(tmp_path: Path) -> None:
    files = series(IMAGE)
    for data in files.values():
        data.InstanceNumber = 100 - data.InstanceNumber
    assert np.array_equal(stacked(zipped(tmp_path, files)), IMAGE)


@pytest.mark.parametrize("time", [None, 0])
def test_frames_follow_instance_numbers_where_times_do_not_tell_them_apart(
    tmp_path: Path, time: int | None
) -> None:
    files = series(IMAGE)
    for data in files.values():
        if time is None:
            del data.TriggerTime
        else:
            data.TriggerTime = time
    cine = read_zip(zipped(tmp_path, files))
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.frame_ms is None


def test_one_series_of_all_slices_is_split_by_position(tmp_path: Path) -> None:
    files = series(
        IMAGE,
        axes=rotation(3),
        SeriesDescription="CINE_segmented_SAX",
        SeriesInstanceUID="1.2.3.9",
        SeriesNumber=1,
    )
    for i, data in enumerate(files.values()):
        data.InstanceNumber = i + 1
    assert np.array_equal(stacked(zipped(tmp_path, files)), IMAGE)


def test_an_unnumbered_series_beside_numbered_ones_is_a_decoy(tmp_path: Path) -> None:
    extra = {
        f"x{i}.dcm": dicom(IMAGE[0, i], SeriesDescription="CINE_segmented_SAX") for i in range(3)
    }
    cine = read_zip(zipped(tmp_path, series(IMAGE) | extra))
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.counts["decoys"] == 3


def test_files_twice_are_counted_and_change_nothing(tmp_path: Path) -> None:
    files = series(IMAGE)
    copies = {f"copy_{name}": files[name] for name in list(files)[:7]}
    cine = read_zip(zipped(tmp_path, files | copies))
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.counts["duplicates"] == 7


def repeated(z: int, *, number: int, frames: int, description: str) -> dict[str, Dataset]:
    """Slice z acquired again as another series, with other pixels."""
    again = series(
        IMAGE[:, z : z + 1] + 1,
        SeriesInstanceUID=f"1.2.3.{number}",
        SeriesNumber=number,
        SeriesDescription=description,
    )
    for data in again.values():
        data.ImagePositionPatient = [7, 7, 7 + SLICE_MM * z]
    return {f"again_{number}_{i}.dcm": data for i, data in enumerate(list(again.values())[:frames])}


@pytest.mark.parametrize("description", ["CINE_segmented_SAX_b4", "CINE_segmented_SAX_b12"])
def test_of_two_series_of_a_slice_the_last_stays(tmp_path: Path, description: str) -> None:
    cine = read_zip(
        zipped(tmp_path, repeated(3, number=44, frames=T, description=description) | series(IMAGE))
    )
    assert np.array_equal(cine.slices[3], IMAGE[:, 3] + 1)
    assert cine.num_slices == Z
    assert cine.counts["duplicates"] == T


def test_a_repeated_series_that_was_broken_off_does_not_replace_a_complete_one(
    tmp_path: Path,
) -> None:
    files = repeated(3, number=44, frames=T - 1, description="CINE_segmented_SAX_b4")
    cine = read_zip(zipped(tmp_path, series(IMAGE) | files))
    assert np.array_equal(np.stack(cine.slices, axis=1), IMAGE)
    assert cine.counts == {"decoys": 0, "duplicates": T - 1, "gaps": 0, "unreadable": 0}


def test_a_missing_frame_is_a_gap_in_its_slice_alone(tmp_path: Path) -> None:
    files = series(IMAGE)
    del files["02_03.dcm"]
    cine = read_zip(zipped(tmp_path, files))
    assert [len(s) for s in cine.slices] == [T, T, T - 1, *[T] * (Z - 3)]
    assert np.array_equal(cine.slices[2], np.delete(IMAGE[:, 2], 3, axis=0))
    assert cine.num_frames == T
    assert cine.counts["gaps"] == 1


def test_frames_that_the_header_announces_count_as_gaps(tmp_path: Path) -> None:
    assert (
        read_zip(zipped(tmp_path, series(IMAGE, CardiacNumberOfImages=T + 2))).counts["gaps"]
        == 2 * Z
    )


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, ExplicitVRBigEndian])
def test_every_encoding_gives_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    files: dict[str, Any] = {}
    for name, data in series(IMAGE[:, :2]).items():
        if syntax == RLELossless:
            data.compress(RLELossless)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        files[name] = encode(data)
    assert np.array_equal(stacked(zipped(tmp_path, files)), IMAGE[:, :2])


@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (16, 0), (16, 1)])
def test_depth_and_sign_of_pixels(tmp_path: Path, bits: int, signed: int) -> None:
    wanted = (IMAGE[:, :2] * (1 if bits == 16 else 0.2)).astype(f"{'ui'[signed]}{bits // 8}")
    if signed:
        wanted -= 500
    files = series(
        wanted, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed
    )
    for data, pixels in zip(
        files.values(), wanted.swapaxes(0, 1).reshape(-1, *wanted.shape[2:]), strict=True
    ):
        data.PixelData = pixels.tobytes()
    assert np.array_equal(stacked(zipped(tmp_path, files)), wanted)


def test_rescaling_of_each_frame_is_applied(tmp_path: Path) -> None:
    files = series(IMAGE)
    for i, data in enumerate(files.values()):
        data.RescaleSlope, data.RescaleIntercept = 2 + i % 3, -5
        data.PixelData = (
            (np.frombuffer(data.PixelData, "<i2") * 6 // data.RescaleSlope).astype("<i2").tobytes()
        )
    assert np.allclose(stacked(zipped(tmp_path, files)), IMAGE * 6.0 - 5, atol=4)


def test_a_folder_gives_what_a_zip_gives(tmp_path: Path) -> None:
    files = series(IMAGE) | decoys(IMAGE[0, 0])
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("CINE_segmented_SAX")
    for name, data in files.items():
        (folder / name).write_bytes(encode(data))
    one, other = read_folder(folder), read_zip(zipped(tmp_path, files))
    assert np.array_equal(np.stack(one.slices), np.stack(other.slices))
    assert (one.counts, one.spacing_mm, one.format) == (
        other.counts,
        other.spacing_mm,
        "dicom-folder",
    )


@pytest.mark.parametrize("signed", [0, 1])
def test_inverted_images_are_turned(tmp_path: Path, signed: int) -> None:
    wanted = IMAGE[:, :2].astype("iu"[1 - signed] + "2")
    inverted = -1 - wanted if signed else np.uint16(4095) - wanted
    files = series(
        inverted,
        PhotometricInterpretation="MONOCHROME1",
        PixelRepresentation=signed,
        BitsStored=12,
        HighBit=11,
    )
    assert np.array_equal(stacked(zipped(tmp_path, files)), wanted)


@pytest.mark.parametrize(
    ("spacing", "thickness", "expected"),
    [(5.2, 8, 5.2), (None, 8, 8.0), (None, None, 0.0)],
)
def test_the_distance_of_a_single_slice_is_that_of_its_header(
    tmp_path: Path,
    spacing: float | None,
    thickness: float | None,
    expected: float,
) -> None:
    files = series(IMAGE[:, :1], SpacingBetweenSlices=spacing, SliceThickness=thickness)
    assert read_zip(zipped(tmp_path, files)).spacing_mm == (PIXEL_MM, PIXEL_MM, expected)


def test_frames_of_one_slice_may_differ_in_position_by_less_than_a_millimetre(
    tmp_path: Path,
) -> None:
    near = spoiled("03_01.dcm", ImagePositionPatient=[7, 7, 7 + 3 * SLICE_MM + 0.9])
    assert read_zip(zipped(tmp_path, near)).num_slices == Z
    far = spoiled("03_01.dcm", ImagePositionPatient=[7, 7, 7 + 3 * SLICE_MM + 1.1])
    assert read_zip(zipped(tmp_path, far)).num_slices == Z + 1


def test_the_time_between_frames_is_their_mean_and_over_slices_the_median(tmp_path: Path) -> None:
    """Three intervals that last 300, 330 and 390 ms together: 100, 110 and 130 ms."""
    files = series(IMAGE[:, :3])
    for name, last_ms in (("00_03.dcm", 300), ("01_03.dcm", 330), ("02_03.dcm", 390)):
        files[name].TriggerTime = last_ms
    assert read_zip(zipped(tmp_path, files)).frame_ms == pytest.approx(110)
