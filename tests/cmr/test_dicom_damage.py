"""Files and zips that are damaged or that cannot be used: they cost a frame, or the cine."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_zips import IMAGE, reason_of, refusal, spoiled, zipped
from phantom import decoys, dicom, encode, locked, series
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from ptacl.cmr.dicom.series import _open, read_folder, read_zip
from ptacl.exclusions import Excluded, Reason


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
    assert reason_of(lambda: read_zip(tmp_path / "absent.zip")) is Reason.MISSING_FILE


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


def test_a_zip_without_a_usable_file_counts_what_it_holds(tmp_path: Path) -> None:
    files: dict[str, Any] = dict(decoys(IMAGE[0, 0]))
    names = [data.SeriesDescription for data in files.values()]
    found = ", ".join(f"{name!r} (1 positions, 1 images at each)" for name in names)
    none = f"none of the series is a short-axis cine: {found}; cmr.series can name it"
    assert refusal(lambda: read_zip(zipped(tmp_path, files))) == (Reason.NO_SHORT_AXIS, none)
    files |= {
        "a.dcm": dicom(IMAGE[0, 0], PixelSpacing=None),
        "b.DCM": dicom(IMAGE[0, 0], SamplesPerPixel=3),
    }
    files |= {"c.dcm": dicom(IMAGE[0, 0], PixelSpacing=None)}
    causes = "no PixelSpacing: 2, not one plane of grey values: 1"
    reason, detail = refusal(lambda: read_zip(zipped(tmp_path, files)))
    assert reason is Reason.NO_SHORT_AXIS
    assert detail.endswith(f"; 3 files that cannot be decoded ({causes})")
    alone = {"a.dcm": files["a.dcm"]}
    detail = "1 files that cannot be decoded (no PixelSpacing: 1)"
    assert refusal(lambda: read_zip(zipped(tmp_path, alone))) == (Reason.UNREADABLE, detail)


def test_a_file_larger_than_16_mib_costs_one_frame(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in series(IMAGE).items():
        (folder / name).write_bytes(encode(data))
    with (folder / "04_02.dcm").open("ab") as file:
        file.truncate(2**24 + 1)
    assert read_folder(folder).causes == {"larger than 16 MiB": 1}


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
