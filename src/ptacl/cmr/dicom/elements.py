"""Read the few DICOM elements that a cine needs, many times as fast as pydicom, from regular files.

A file is regular if it is little-endian and not compressed, and each value is in its plain form;
sequences are skipped. Nothing is read here from any other file, which is left to pydicom.
"""

import struct
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

KEYWORDS = (
    *(
        "PatientID",
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "AcquisitionTime",
        "InstanceNumber",
        "TriggerTime",
    ),
    *(
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SpacingBetweenSlices",
        "SliceThickness",
    ),
    *(
        "CardiacNumberOfImages",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "NumberOfFrames",
    ),
    *(
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "RescaleSlope",
        "RescaleIntercept",
        "PixelData",
    ),
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
_ITEMS, _ITEM_END, _SEQUENCE_END, _DEEPEST = 0xFFFE, 0xFFFEE00D, 0xFFFEE0DD, 8
_EXPLICIT, _LENGTH = struct.Struct("<HH2sH").unpack_from, struct.Struct("<I").unpack_from
_SEVERAL = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


class Elements(dict[str, Any]):
    """Values by keyword, with the access of a pydicom data set."""

    def __getattr__(self, keyword: str) -> Any:
        return self[keyword]


def read(content: bytes, *, until: int = TAGS["PixelData"]) -> Elements | None:
    """Read the values of the elements up to a tag, and "file_meta".

    Returns None if the file is not regular up to there.
    """
    try:
        found = _values(content, until)
    except (ValueError, struct.error):
        return None
    if found is None or found.get("BitsAllocated", 16) not in (8, 16):
        return None
    # Pixels that were not found are missing, or the elements are not in the order of their tags.
    return None if until == TAGS["PixelData"] and "PixelData" not in found else found


def _values(content: bytes, until: int) -> Elements | None:
    if content[128:_START] != b"DICM":
        return None
    at, end, later, found = _START, len(content), False, Elements()
    while at < end:
        implicit = later and content[at : at + 2] != b"\2\0"  # file meta is always explicit
        tag, vr, start, length = _header(content, at, implicit=implicit)
        if tag > until:
            break
        if tag >> 16 != 2 and "file_meta" not in found:
            return None
        if length == _UNDEFINED:
            if vr not in (b"SQ", b"UN", b""):
                return None
            at = _after_items(content, start, implicit=implicit or vr == b"UN", depth=0)
            continue
        at = start + length
        if at > end:
            return None
        if tag == _SYNTAX:
            syntax = content[start:at].decode("ascii").rstrip("\0 ")
            if syntax not in _SYNTAXES:
                return None
            found["file_meta"], later = {"TransferSyntaxUID": syntax}, _SYNTAXES[syntax]
        elif tag in _BY_TAG:
            keyword, kind = _BY_TAG[tag]
            found[keyword] = _value(content[start:at], keyword, kind)
    return found


def _header(content: bytes, at: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
    """Parse an element's tag, value representation, start and length.

    The value representation is empty if it is implicit. Raises ValueError for an unknown one.
    """
    group, element, vr, short = _EXPLICIT(content, at)
    tag = group << 16 | element
    if implicit or group == _ITEMS:
        return tag, b"", at + 8, _LENGTH(content, at + 4)[0]
    if vr in _SHORT:
        return tag, vr, at + 8, short
    if vr in _LONG:
        return tag, vr, at + 12, _LENGTH(content, at + 8)[0]
    raise ValueError(f"value representation {vr!r}")


def _after_items(content: bytes, at: int, *, implicit: bool, depth: int) -> int:
    """Find the end of a sequence or an item of undefined length, after its delimiter.

    Raises ValueError or struct.error if there is no delimiter, and ValueError for deep nesting.
    """
    if depth > _DEEPEST:
        raise ValueError("sequences are nested too deeply")
    while True:
        tag, vr, start, length = _header(content, at, implicit=implicit)
        if tag in (_ITEM_END, _SEQUENCE_END):
            return start
        if length == _UNDEFINED:
            at = _after_items(content, start, implicit=implicit or vr == b"UN", depth=depth + 1)
        else:
            at = start + length


def _value(raw: bytes, keyword: str, kind: str) -> Any:
    """Parse one value in its plain form; ValueError for any other form, and for an empty value."""
    if keyword == "PixelData":
        return raw
    if kind == "US":
        (number,) = struct.unpack("<H", raw)
        return number
    text = raw.decode("ascii").strip("\0 ")
    if kind not in ("DS", "IS"):
        return text
    numbers = [float(part) if kind == "DS" else int(part) for part in text.split("\\")]
    if len(numbers) != _SEVERAL.get(keyword, 1):
        raise ValueError(f"{len(numbers)} values of {keyword}")
    return numbers if keyword in _SEVERAL else numbers[0]
