"""Make files faulty on purpose, with one kind of defect for each way in which real files fail."""

import re
from enum import StrEnum

import numpy as np

from ptacl.cohort.simulation.cine import SimulatedCine


class Defect(StrEnum):
    """Defect of a participant, always at the first imaging visit."""

    ECG_TRUNCATED = "ECG file ends early"
    ECG_MISSING_LEAD = "ECG without lead V6"
    ECG_NO_STRIP = "ECG without the rhythm strip"
    ECG_SWAPPED = "ECG with leads I and II exchanged"
    ECG_FLAT_LEAD = "ECG with a flat lead"
    ECG_SHORT = "ECG of half the length"
    ECG_RATE = "ECG at 250 Hz"
    CINE_ZIP_TRUNCATED = "cine zip ends early"
    CINE_NO_SHORT_AXIS = "cine zip without short axis"
    CINE_NIFTI_TRUNCATED = "cine NIfTI ends early"
    CINE_FEW_SLICES = "cine of four slices"
    CINE_FEW_FRAMES = "cine of 25 frames"
    CINE_NOT_FINITE = "cine with values that are not finite"
    CINE_CONSTANT = "cine without contrast"
    SEGMENTATION_SHAPE = "segmentation of another shape"
    NO_ECG = "cine without ECG"
    NO_CINE = "ECG without cine"
    ECG_TWICE = "ECG in both folders"
    PHENOTYPES_MISSING = "no row in the phenotype tables"
    PHENOTYPES_IMPLAUSIBLE = "implausible phenotypes"
    WITHDRAWN = "withdrawn"


ZIP = {Defect.CINE_ZIP_TRUNCATED, Defect.CINE_NO_SHORT_AXIS}
NIFTI = {
    Defect.CINE_NIFTI_TRUNCATED,
    Defect.CINE_FEW_SLICES,
    Defect.CINE_FEW_FRAMES,
    Defect.CINE_NOT_FINITE,
    Defect.CINE_CONSTANT,
    Defect.SEGMENTATION_SHAPE,
}

_EVERY = 3
_WAVEFORM = re.compile(r'<WaveformData lead="(\w+)">([^<]*)</WaveformData>')


def of(number: int, *, defects: int) -> Defect | None:
    """Return the defect of the `number`-th participant (from 0), or None.

    Every third participant has a defect, until each kind has occurred `defects` times. The
    position of a defect does not depend on the size of the cohort, so adding a participant does
    not change the files of the others.
    """
    turn, rest = divmod(number, _EVERY)
    kinds = list(Defect)
    if rest != _EVERY - 1 or turn >= defects * len(kinds):
        return None
    return kinds[turn % len(kinds)]


def spoil_xml(text: str, defect: Defect | None) -> str:
    """Return the CardioSoft document with its defect."""
    start = text.index("<StripData>")
    head, strip = text[:start], text[start:]
    if defect is Defect.ECG_TRUNCATED:
        return text[: len(text) * 2 // 3]
    if defect is Defect.ECG_MISSING_LEAD:
        return head + _WAVEFORM.sub(lambda m: "" if m[1] == "V6" else m[0], strip)
    if defect is Defect.ECG_NO_STRIP:
        return head + strip.partition("</StripData>")[2]
    if defect is Defect.ECG_SWAPPED:
        return head + strip.replace('lead="I"', 'lead="?"').replace(
            'lead="II"', 'lead="I"'
        ).replace('lead="?"', 'lead="II"')
    if defect is Defect.ECG_FLAT_LEAD:
        return head + _WAVEFORM.sub(
            lambda m: _waveform(m, ["12"] * len(_values(m))) if m[1] == "V3" else m[0], strip
        )
    if defect is Defect.ECG_SHORT:
        halved = _WAVEFORM.sub(lambda m: _waveform(m, _values(m)[: len(_values(m)) // 2]), strip)
        return head + halved.replace(">5000<", ">2500<")
    if defect is Defect.ECG_RATE:
        return head + strip.replace('<SampleRate units="Hz">500', '<SampleRate units="Hz">250')
    return text


def spoil_cine(cine: SimulatedCine, defect: Defect | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the image and labels (T, Z, Y, X) with their defect."""
    image, labels = cine.image, cine.labels
    if defect is Defect.CINE_FEW_SLICES:
        return image[:, 3:7], labels[:, 3:7]
    if defect is Defect.CINE_FEW_FRAMES:
        return image[::2], labels[::2]
    if defect is Defect.CINE_NOT_FINITE:
        spoiled = image.astype(np.float32)
        spoiled[len(image) // 2] = np.nan
        return spoiled, labels
    if defect is Defect.CINE_CONSTANT:
        return np.full_like(image, 100), np.zeros_like(labels)
    if defect is Defect.SEGMENTATION_SHAPE:
        return image, labels[:, 1:]
    return image, labels


def _values(match: re.Match[str]) -> list[str]:
    return match[2].split(",")


def _waveform(match: re.Match[str], values: list[str]) -> str:
    return f'<WaveformData lead="{match[1]}">{",".join(values)}</WaveformData>'
