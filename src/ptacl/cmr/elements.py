"""The few elements of a DICOM file that a cine needs, read many times as fast as by pydicom where the file is regular.

Regular is: little-endian, not compressed, every element of known length, every value in its plain form. Of any other file nothing
is read here, and pydicom decides.
"""

import struct
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

KEYWORDS = (
    *("PatientID", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "AcquisitionTime", "InstanceNumber", "TriggerTime"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
    *("CardiacNumberOfImages", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelData"),
)
TAGS: dict[str, int] = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS}

_BY_TAG = {tag: (keyword, dictionary_VR(tag)) for keyword, tag in TAGS.items()}
_SYNTAX, _SYNTAXES = 0x00020010, {ExplicitVRLittleEndian: False, ImplicitVRLittleEndian: True}
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS"),
    *(b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
_UNDEFINED, _START = 0xFFFFFFFF, 132
_SEVERAL = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


class Elements(dict[str, Any]):
    """Values by keyword, asked for as of a pydicom data set."""

    def __getattr__(self, keyword: str) -> Any:
        return self[keyword]


def read(content: bytes, *, until: int = TAGS["PixelData"]) -> Elements | None:
    """The values of the elements up to a tag, and "file_meta"; None for a file that is not regular up to there."""
    try:
        found = _values(content, until)
    except (ValueError, struct.error):
        return None
    if found is None or found.get("BitsAllocated", 16) not in (8, 16):
        return None
    return None if until == TAGS["PixelData"] and "PixelData" not in found else found  # none, or not in the order of tags


def _values(content: bytes, until: int) -> Elements | None:
    if content[128:_START] != b"DICM":
        return None
    view, at, implicit, found = memoryview(content), _START, False, Elements()
    while at < len(content):
        group, element = struct.unpack_from("<HH", content, at)
        if group << 16 | element > until:
            break
        if group != 2 and "file_meta" not in found:
            return None
        if group != 2 and implicit:
            head, (length,) = 8, struct.unpack_from("<I", content, at + 4)
        elif (vr := content[at + 4 : at + 6]) in _LONG:
            head, (length,) = 12, struct.unpack_from("<I", content, at + 8)
        elif vr in _SHORT:
            head, (length,) = 8, struct.unpack_from("<H", content, at + 6)
        else:
            return None
        start, at = at + head, at + head + length
        if length == _UNDEFINED or at > len(content):
            return None
        tag = group << 16 | element
        if tag == _SYNTAX:
            syntax = content[start:at].decode("ascii").rstrip("\0 ")
            if syntax not in _SYNTAXES:
                return None
            found["file_meta"], implicit = {"TransferSyntaxUID": syntax}, _SYNTAXES[syntax]
        elif tag in _BY_TAG:
            keyword, kind = _BY_TAG[tag]
            found[keyword] = _value(view[start:at], keyword, kind)
    return found


def _value(raw: memoryview, keyword: str, kind: str) -> Any:
    """One value in its plain form; ValueError for any other, an empty one too."""
    if keyword == "PixelData":
        return bytes(raw)
    if kind == "US":
        (number,) = struct.unpack("<H", raw)
        return number
    text = bytes(raw).decode("ascii").strip("\0 ")
    if kind not in ("DS", "IS"):
        return text
    numbers = [float(part) if kind == "DS" else int(part) for part in text.split("\\")]
    if len(numbers) != _SEVERAL.get(keyword, 1):
        raise ValueError(f"{len(numbers)} values of {keyword}")
    return numbers if keyword in _SEVERAL else numbers[0]
