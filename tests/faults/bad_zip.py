"""Bad cines as zips of DICOM files."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bad_nifti import MIDDLE, Verdict, Write, written
from phantom import IMAGE, decoys, dicom, encode, locked, series, write_zip
from pydicom.dataset import Dataset

from ptacl.exclusions import Reason


def zipped(change: Callable[[dict[str, Any]], Any]) -> Write:
    """A zip of the cine whose files are changed in place, or replaced where `change` returns
    others.
    """

    def write(folder: Path) -> Path:
        files: dict[str, Any] = dict(series(IMAGE))
        return write_zip(folder / "9000001_20209_2_0.zip", change(files) or files)

    return write


def _archive(change: Callable[[bytes], bytes]) -> Write:
    def write(folder: Path) -> Path:
        path = write_zip(folder / "9000001_20209_2_0.zip", series(IMAGE))
        path.write_bytes(change(path.read_bytes()))
        return path

    return write


def _tags(names: Callable[[str], bool], **tags: Any) -> Callable[[dict[str, Any]], None]:
    def change(files: dict[str, Dataset]) -> None:
        for name, data in files.items():
            if names(name):
                for keyword, value in tags.items():
                    if value is None:
                        delattr(data, keyword)
                    else:
                        setattr(data, keyword, value)

    return change


def _all(name: str) -> bool:
    return True


def _middle(name: str) -> bool:
    return name == f"{MIDDLE:02d}_04.dcm"


def zips() -> Iterator[tuple[str, Write, Verdict]]:
    unreadable, frames, uneven = {Reason.UNREADABLE}, {Reason.WRONG_FRAMES}, {Reason.UNEVEN_SLICES}
    for tenth in range(10):
        yield (
            f"zip ends after {10 * tenth} %",
            _archive(lambda raw, k=tenth: raw[: k * len(raw) // 10]),
            unreadable,
        )
    yield "locked", _archive(locked), unreadable
    yield "an empty zip", lambda folder: written(folder / "a.zip", _empty_zip()), unreadable
    yield "a zip of text", zipped(lambda files: {"readme.dcm": b"hello"}), unreadable
    yield "no short axis", zipped(lambda files: decoys(IMAGE[0, 0])), {Reason.NO_SHORT_AXIS}
    for keyword in (
        "PixelData",
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "Rows",
        "SeriesInstanceUID",
    ):
        yield f"no {keyword} in a file", zipped(_tags(_middle, **{keyword: None})), frames
        yield f"no {keyword} in any", zipped(_tags(_all, **{keyword: None})), unreadable
    image = IMAGE[4, MIDDLE].tobytes()
    for name, tags in {
        "pixels missing": {"PixelData": image[:-20]},
        "pixels left over": {"PixelData": image + image},
        "no pixel": {"PixelData": b""},
        "colour": {"SamplesPerPixel": 3},
        "two planes": {"NumberOfFrames": 2},
        "an image of 60,000 x 60,000": {"Rows": 60_000, "Columns": 60_000},
        "no rows": {"Rows": 0},
    }.items():
        yield f"{name} in a file", zipped(_tags(_middle, **tags)), frames | uneven
    for mm in ([0, 0], [0.001, 0.001], [80, 80]):
        yield (
            f"DICOM pixels of {mm[0]} mm",
            zipped(_tags(_all, PixelSpacing=mm)),
            {Reason.WRONG_UNIT},
        )
    yield "pixels of another size in a file", zipped(_tags(_middle, PixelSpacing=[1, 1])), uneven
    yield (
        "a slice turned",
        zipped(_tags(_middle, ImageOrientationPatient=[0.9, 0.435889894, 0, -0.435889894, 0.9, 0])),
        uneven,
    )
    yield (
        "another person in a file",
        zipped(_tags(_middle, PatientID="9000002")),
        {Reason.SEVERAL_PEOPLE},
    )
    yield (
        "two people",
        zipped(_tags(lambda name: name < "03", PatientID="9000002")),
        {Reason.SEVERAL_PEOPLE},
    )
    yield "a phase twice with other pixels", zipped(_another), {Reason.CONFLICTING_IMAGES}
    for missing in range(1, 4):

        def gone(files, n=missing):
            middle = f"{MIDDLE:02d}"
            return {k: v for k, v in files.items() if k[:2] != middle or int(k[3:5]) >= n}

        yield f"{missing} frames of the middle slice gone", zipped(gone), frames
    yield (
        "a slice gone",
        zipped(lambda files: {k: v for k, v in files.items() if k[:2] != "02"}),
        uneven,
    )
    for kept in (1, 3, 5):
        yield (
            f"{kept} slices in a zip",
            zipped(lambda files, n=kept: {k: v for k, v in files.items() if int(k[:2]) < n}),
            {Reason.TOO_FEW_SLICES},
        )
    yield (
        "all slices in one place",
        zipped(_tags(_all, ImagePositionPatient=[0, 0, 0])),
        {Reason.TOO_FEW_SLICES, Reason.CONFLICTING_IMAGES},
    )
    yield (
        "all frames black",
        zipped(_tags(_all, PixelData=bytes(len(image)))),
        {Reason.CONSTANT_IMAGE},
    )
    yield "all frames alike", zipped(_alike), {Reason.STILL, Reason.CONSTANT_IMAGE}
    yield (
        "inflates a thousandfold",
        zipped(lambda files: {k: encode(v) + bytes(5 * 2**20) for k, v in list(files.items())[:6]}),
        unreadable,
    )


def _empty_zip() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()


def _another(files: dict[str, Any]) -> None:
    data = files[f"{MIDDLE:02d}_04.dcm"]
    other = dicom(IMAGE[0, 0])
    for keyword in (
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "InstanceNumber",
        "TriggerTime",
        "ImagePositionPatient",
    ):
        setattr(other, keyword, data.get(keyword))
    files["again.dcm"] = other


def _alike(files: dict[str, Any]) -> None:
    for name, data in files.items():
        data.PixelData = files[f"{name[:2]}_00.dcm"].PixelData
