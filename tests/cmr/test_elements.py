"""The quick reader of regular DICOM files says what pydicom says, and nothing of any other file."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ptacl.cmr.dicom import elements


def dataset(syntax: str = ExplicitVRLittleEndian, **changes: object) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.3",
    )
    data.PatientID, data.SeriesDescription, data.SeriesInstanceUID = (
        "odd",
        "CINE_segmented_SAX_b1",
        "1.2.33",
    )
    data.SeriesNumber, data.AcquisitionTime, data.InstanceNumber, data.TriggerTime = (
        3,
        "101112.5",
        7,
        "12.5",
    )
    data.ImagePositionPatient, data.ImageOrientationPatient = [1.5, -2, 3], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SpacingBetweenSlices, data.SliceThickness = [1.8269, 1.8269], 10, 8
    data.CardiacNumberOfImages, data.SamplesPerPixel, data.PhotometricInterpretation = (
        50,
        1,
        "MONOCHROME2",
    )
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.4"
    data.ReferencedImageSequence = Sequence([inner])
    data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    data.add_new(0x00291010, "OB", bytes(1000))
    (
        data.Rows,
        data.Columns,
        data.BitsAllocated,
        data.BitsStored,
        data.HighBit,
        data.PixelRepresentation,
    ) = 4, 3, 16, 16, 15, 0
    data.PixelData = np.arange(12, dtype="<u2").tobytes()
    for keyword, value in changes.items():
        setattr(data, keyword, value)
    return data


def content(data: Dataset) -> bytes:
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_values_are_those_of_pydicom(syntax: str) -> None:
    raw = content(dataset(syntax))
    quick, slow = elements.read(raw), pydicom.dcmread(io.BytesIO(raw))
    assert quick is not None and quick.file_meta["TransferSyntaxUID"] == syntax
    assert set(quick) == {
        "file_meta",
        *(keyword for keyword in elements.KEYWORDS if keyword in slow),
    }
    for keyword in set(quick) - {"file_meta"}:
        value = slow[keyword].value
        assert quick[keyword] == (
            [float(v) for v in value] if isinstance(quick[keyword], list) else value
        ), keyword
    front = elements.read(raw[:700], until=elements.TAGS["SeriesDescription"])
    assert front is not None and front.SeriesDescription == "CINE_segmented_SAX_b1"


@pytest.mark.parametrize(
    "raw",
    [
        content(dataset())[:-4],
        content(dataset(DeflatedExplicitVRLittleEndian)),
        content(dataset(TriggerTime="")),
        content(dataset(PixelSpacing=[1, 2, 3])),
        content(dataset(BitsAllocated=32)),
        content(dataset())[128:],
        b"",
        bytes(2000),
    ],
    ids=[
        "cut",
        "deflated",
        "empty value",
        "three spacings",
        "32 bits",
        "no preamble",
        "nothing",
        "zeros",
    ],
)
def test_of_a_file_that_is_not_regular_nothing_is_read(raw: bytes) -> None:
    assert elements.read(raw) is None


def nested(syntax: str, *, depth: int) -> Dataset:
    """Sequences in items in sequences, all of undefined length, one of them empty, one private."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID, inner.ImageType = "1.2.4", ["ORIGINAL", "PRIMARY"]
    for _ in range(depth):
        outer = Dataset()
        outer.is_undefined_length_sequence_item = True
        outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
        outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
        outer.Rows = 77
        inner = outer
    data = dataset(
        syntax, ReferencedImageSequence=Sequence([inner, inner]), RelatedSeriesSequence=Sequence([])
    )
    data.add_new(0x00291020, "SQ", Sequence([inner]))
    for keyword in ("ReferencedImageSequence", "RelatedSeriesSequence", 0x00291020):
        data[keyword].is_undefined_length = True
    return data


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_sequences_of_undefined_length_are_passed_over(syntax: str, depth: int) -> None:
    raw = content(nested(syntax, depth=depth))
    quick, slow = elements.read(raw), pydicom.dcmread(io.BytesIO(raw))
    assert quick is not None and raw.count(b"\xff\xff\xff\xff") >= 3
    assert (
        (quick.Rows, quick.PixelData)
        == (slow.Rows, slow.PixelData)
        == (4, np.arange(12, dtype="<u2").tobytes())
    )
    for end in range(600, len(raw) - 1, 7):
        assert elements.read(raw[:end]) is None


def test_a_file_of_sequences_without_end_is_left_to_pydicom() -> None:
    start = content(dataset())[:-44]
    opened = (
        start
        + b"\x29\0\x20\x10SQ\0\0\xff\xff\xff\xff"
        + b"\xfe\xff\0\xe0\xff\xff\xff\xff" * 100_000
    )
    assert elements.read(opened) is None


def test_encapsulated_pixels_and_other_orders_are_left_to_pydicom() -> None:
    raw = content(dataset())
    at = raw.index(b"\xe0\x7f\x10\0OW") + 8
    assert elements.read(raw[:at] + b"\xff\xff\xff\xff" + raw[at + 4 :]) is None
    big = content(dataset()).replace(ExplicitVRLittleEndian.encode(), ExplicitVRBigEndian.encode())
    assert elements.read(big) is None


def test_without_pixels_or_in_another_order_pydicom_decides() -> None:
    data = dataset()
    del data.PixelData
    assert elements.read(content(data)) is None
