import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantom import (
    FRAME_MS,
    PIXEL_MM,
    SLICE_MM,
    decoys,
    dicom,
    encode,
    heart,
    locked,
    rotation,
    series,
    write_zip,
)
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from ptacl.cmr.dicom.series import _open, read_folder, read_zip
from ptacl.exclusions import Excluded, Reason

IMAGE, _ = heart(slices=11, frames=4, shape=(20, 24), centre=(10, 12))
T, Z = IMAGE.shape[:2]


def stacked(path: Path) -> np.ndarray:
    return np.stack(read_zip(path).slices, axis=1)


def zipped(folder: Path, files: dict[str, Any], **kwargs: Any) -> Path:
    return write_zip(folder / "9000001_20209_2_0.zip", files, **kwargs)


def reason_of(read: Callable[[], object]) -> Reason:
    with pytest.raises(Excluded) as error:
        read()
    return error.value.reason


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


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:200],
        lambda b: b[:-50],
        lambda b: b"",
        lambda b: b"noise" * 400,
        lambda b: b[:300] + b"\xff" * 200,
    ],
)
def test_a_damaged_file_costs_one_frame(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    files: dict[str, Any] = dict(series(IMAGE))
    files["04_02.dcm"] = damage(encode(files["04_02.dcm"]))
    cine = read_zip(zipped(tmp_path, files))
    assert cine.counts == {"decoys": 0, "duplicates": 0, "gaps": 1, "unreadable": 1}
    assert np.array_equal(cine.slices[4], np.delete(IMAGE[:, 4], 2, axis=0))


def test_a_flipped_bit_in_the_archive_costs_one_frame(tmp_path: Path) -> None:
    path = zipped(tmp_path, series(IMAGE))
    content = bytearray(path.read_bytes())
    content[content.index(b"05_01.dcm") + 400] ^= 0xFF
    path.write_bytes(content)
    counts = read_zip(path).counts
    assert (counts["unreadable"], counts["gaps"]) == (1, 1)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_zip_that_ends_early_is_unreadable(tmp_path: Path, share: float) -> None:
    content = zipped(tmp_path, series(IMAGE)).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(content[: int(len(content) * share)])
    assert reason_of(lambda: read_zip(cut)) is Reason.UNREADABLE


def test_a_zip_without_the_cine(tmp_path: Path) -> None:
    assert (
        reason_of(lambda: read_zip(zipped(tmp_path, decoys(IMAGE[0, 0])))) is Reason.NO_SHORT_AXIS
    )
    assert reason_of(lambda: read_zip(zipped(tmp_path, {}))) is Reason.UNREADABLE
    assert reason_of(lambda: read_zip(tmp_path / "absent.zip")) is Reason.UNREADABLE


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


def spoiled(name: str, **tags: Any) -> dict[str, Dataset]:
    """The cine with other tags in one file; None takes a tag away."""
    files = series(IMAGE)
    for keyword, value in tags.items():
        if value is None:
            delattr(files[name], keyword)
        else:
            setattr(files[name], keyword, value)
    return files


CAUSES = {
    "pixels missing": (
        {"PixelData": IMAGE[0, 0].tobytes()[:-40]},
        "more or fewer pixels than the header gives",
    ),
    "pixels left over": (
        {"PixelData": IMAGE[0, 0].tobytes() * 2},
        "more or fewer pixels than the header gives",
    ),
    "no spacing": ({"PixelSpacing": None}, "no PixelSpacing"),
    "no position": ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
    "no pixels": ({"PixelData": None}, "no PixelData"),
    "colour": ({"SamplesPerPixel": 3}, "not one plane of grey values"),
    "several frames": ({"NumberOfFrames": 2}, "not one plane of grey values"),
    "huge": ({"Rows": 60_000, "Columns": 60_000}, "an image of 60000 x 60000 pixels"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_a_file_that_cannot_be_used_costs_one_frame_and_names_its_cause(
    case: str, tmp_path: Path
) -> None:
    tags, cause = CAUSES[case]
    cine = read_zip(zipped(tmp_path, spoiled("04_02.dcm", **tags)))
    assert cine.causes == {cause: 1} and cine.counts["unreadable"] == 1
    assert np.array_equal(cine.slices[4], np.delete(IMAGE[:, 4], 2, axis=0))


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    files = series(IMAGE[:, :2])
    for data in files.values():
        data.file_meta.TransferSyntaxUID = JPEG2000Lossless
        data.PixelData = encapsulate([b"no image"])
    with pytest.raises(Excluded, match="transfer syntax JPEG 2000"):
        read_zip(zipped(tmp_path, {name: encode(data) for name, data in files.items()}))


def test_deflated_files_are_not_inflated(tmp_path: Path) -> None:
    files = series(IMAGE[:, :2])
    for data in files.values():
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(Excluded, match="transfer syntax Deflated"):
        read_zip(zipped(tmp_path, files))


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    path = zipped(tmp_path, series(IMAGE[:, :2]))
    path.write_bytes(locked(path.read_bytes()))
    with pytest.raises(Excluded, match=r"encrypted: 8\)"):
        read_zip(path)


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


def test_what_would_inflate_beyond_an_image_is_not_inflated(tmp_path: Path) -> None:
    """Zeros deflate a thousandfold: 15 MiB a file, in a zip of a few hundred kilobytes."""
    files: dict[str, Any] = {
        name: encode(data) + bytes(15 * 2**20) for name, data in series(IMAGE[:, :2]).items()
    }
    with pytest.raises(Excluded, match="inflates beyond the size of an image: 8"):
        read_zip(zipped(tmp_path, files))


def test_more_pixels_than_a_cine_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptacl.cmr.dicom.series._MOST_PIXELS", IMAGE.size - 1)
    with pytest.raises(Excluded, match="short-axis pixels"):
        read_zip(zipped(tmp_path, series(IMAGE)))


def refusal(read: Callable[[], object]) -> tuple[Reason, str]:
    with pytest.raises(Excluded) as error:
        read()
    return error.value.reason, error.value.detail


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


def test_a_zip_or_folder_that_cannot_be_read_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = tmp_path / "absent"
    assert refusal(lambda: read_folder(absent)) == (Reason.UNREADABLE, "folder: FileNotFoundError")
    assert refusal(lambda: read_zip(absent)) == (Reason.UNREADABLE, "zip: FileNotFoundError")
    garbage = tmp_path / "garbage.zip"
    garbage.write_bytes(b"PK garbage")
    assert refusal(lambda: read_zip(garbage)) == (Reason.UNREADABLE, "zip: BadZipFile")
    with garbage.open("wb") as file:
        file.truncate(2**29 + 1)
    assert refusal(lambda: read_zip(garbage)) == (Reason.UNREADABLE, "zip: larger than 512 MiB")
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


def test_a_zip_without_a_usable_file_counts_what_it_holds(tmp_path: Path) -> None:
    files: dict[str, Any] = dict(decoys(IMAGE[0, 0]))
    detail = "4 files of other series, 0 files that cannot be decoded"
    assert refusal(lambda: read_zip(zipped(tmp_path, files))) == (Reason.NO_SHORT_AXIS, detail)
    files |= {
        "a.dcm": dicom(IMAGE[0, 0], PixelSpacing=None),
        "b.DCM": dicom(IMAGE[0, 0], SamplesPerPixel=3),
    }
    files |= {"c.dcm": dicom(IMAGE[0, 0], PixelSpacing=None)}
    causes = "no PixelSpacing: 2, not one plane of grey values: 1"
    detail = f"4 files of other series, 3 files that cannot be decoded ({causes})"
    assert refusal(lambda: read_zip(zipped(tmp_path, files))) == (Reason.NO_SHORT_AXIS, detail)
    alone = {"a.dcm": files["a.dcm"]}
    detail = "0 files of other series, 1 files that cannot be decoded (no PixelSpacing: 1)"
    assert refusal(lambda: read_zip(zipped(tmp_path, alone))) == (Reason.UNREADABLE, detail)


def test_a_file_larger_than_16_mib_costs_one_frame(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in series(IMAGE).items():
        (folder / name).write_bytes(encode(data))
    with (folder / "04_02.dcm").open("ab") as file:
        file.truncate(2**24 + 1)
    assert read_folder(folder).causes == {"larger than 16 MiB": 1}


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


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_bytes_of_a_zip_never_pass(method: int) -> None:
    """Where a bit of a file or of its header is turned, the file comes out as it was, or it is
    refused.
    """
    rng = np.random.default_rng(0)
    content = rng.integers(0, 9, 100_000, np.uint8).tobytes()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        archive.writestr("a.dcm", content)
    good = written.getvalue()
    size = zipfile.ZipFile(io.BytesIO(good)).infolist()[0].compress_size
    refused = 0
    for at in [*range(35), *rng.integers(35, size, 200)]:
        data = bytearray(good)
        data[at] ^= 1 << int(rng.integers(8))
        archive = zipfile.ZipFile(io.BytesIO(data))
        try:
            with _open(archive, archive.infolist()[0]) as file:
                assert file.read(4096) + file.read() == content
        except (zipfile.BadZipFile, zlib.error, EOFError):
            refused += 1
    assert refused >= 200
