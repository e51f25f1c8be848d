"""Reasons why records cannot be used, for the whole pipeline, and the exception to raise."""

import re
from enum import StrEnum
from pathlib import Path

_LONG_NUMBER = re.compile(r"\d{5,}")
_LONGEST_TEXT = 200


class Reason(StrEnum):
    """Reasons in the exclusions table, which the flow diagram counts."""

    WITHDRAWN = "withdrawn"
    NO_ECG = "no ECG of this visit"
    NO_CMR = "no cine of this visit"
    DUPLICATE_FILE = "several files for one visit"
    MISSING_FILE = "file that does not exist"
    UNREADABLE = "unreadable file"
    CHECKSUM = "failed checksum"
    GAP = "gap in the recording"
    MISSING_LEAD = "missing or repeated lead"
    WRONG_LENGTH = "wrong number of samples"
    WRONG_RATE = "wrong sampling rate"
    WRONG_UNIT = "unknown resolution or unit"
    EINTHOVEN = "limb leads disagree (Einthoven)"
    FLAT_LEAD = "flat lead"
    DEAD_LEAD = "lead dead for a part of the record"
    REPEATED_LEAD = "two leads with one signal"
    VOLTAGE = "voltage beyond physiology"
    SATURATED = "saturated lead"
    NOISY_LEAD = "noise in a lead"
    FLAGGED = "flag that the settings exclude"
    NOT_FINITE = "values that are not finite"
    NO_R_PEAKS = "too few R-peaks"
    IMPLAUSIBLE_RATE = "implausible heart rate"
    OTHER_BEATS = "R-peaks that disagree with the device's"
    NO_SHORT_AXIS = "no short-axis cine in the file"
    WRONG_FRAMES = "wrong number of frames"
    TOO_FEW_SLICES = "too few slices"
    UNEVEN_SLICES = "slices overlap or differ in geometry"
    TOO_SMALL = "image smaller than the crop"
    CONSTANT_IMAGE = "image without contrast"
    STILL = "frames that do not move"
    SEVERAL_PEOPLE = "several people in one file"
    CONFLICTING_IMAGES = "different images of one phase"
    SEGMENTATION_MISMATCH = "segmentation that does not fit the cine"


class Excluded(ValueError):
    """Raised for a record that cannot be used.

    It has a reason for the table, and a detail that must not contain a participant id.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason, self.detail = reason, detail


def from_file(text: str) -> str:
    """Return a text that a file contains for use in a detail.

    It becomes one line of at most 200 characters, without long numbers, which could be the id of a
    participant.
    """
    return _LONG_NUMBER.sub("[number]", " ".join(text.split()))[:_LONGEST_TEXT]


def explanation(error: BaseException, path: Path) -> str:
    """Return what a library says about a file for use in a detail, without the name of the file."""
    text = str(error).replace(str(path), "the file").replace(path.name, "the file")
    return from_file(text) or type(error).__name__
