"""Choose the short-axis cine among the series of a study, by what its images are.

Every scanner and archive names series in its own way. A short-axis cine has several phases at each
of several positions along one normal, and this normal is near the axis of the heart. Its name is
only a hint between several such series.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pydicom

from ptacl.cmr.dicom.stack import Frame
from ptacl.cmr.orientation import LEAST_COSINE, TO_BASE
from ptacl.exclusions import from_file

_FEWEST_POSITIONS, _FEWEST_PHASES = 3, 8
_SAME_POSITION_MM, _SAME_DIRECTION = 1.0, 0.999
_HINT = re.compile(r"sax|short|(?<![a-z])sa(?![a-z])", re.IGNORECASE)
# derived images, other contrasts, and velocities
_OTHER = re.compile(r"inline|result|lax|long|[234] ?ch|lge|psir|map|flow|veloc|tagg", re.IGNORECASE)
_NUMBER = re.compile(r"[\s_-]*b?\d*$", re.IGNORECASE)
_SHOWN = 6  # series that a refusal lists
_NO_PIXELS = np.empty((0, 0))
_NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_GROUPS = (  # of an enhanced file, with the elements that other files have at the top
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "CardiacSynchronizationSequence",
    "FrameContentSequence",
)


@dataclass(frozen=True, eq=False)
class Plane:
    """One image of a study, whose pixels are read when they are needed.

    frame : everything but the pixels. load : reads the pixels (R, C). shape : (R, C).
    """

    frame: Frame
    load: Callable[[], np.ndarray]
    description: str
    shape: tuple[int, int]

    @property
    def normal(self) -> np.ndarray:
        """Unit vector through the image."""
        return np.cross(*self.frame.axes)

    def with_pixels(self) -> Frame:
        """Read the pixels, and return the complete frame."""
        return replace(self.frame, pixels=self.load())


@dataclass(frozen=True, eq=False)
class Candidate:
    """Images that could be one stack: with one name except for a number, direction and size."""

    name: str
    planes: list[Plane]

    @property
    def positions(self) -> int:
        """Number of different positions along the normal."""
        depths = np.sort([plane.frame.position_mm @ self.planes[0].normal for plane in self.planes])
        return 1 + int(np.count_nonzero(np.diff(depths) >= _SAME_POSITION_MM))

    @property
    def phases(self) -> float:
        """Number of images at a position."""
        return len(self.planes) / self.positions

    def is_short_axis_cine(self) -> bool:
        """Return whether the images have the properties of a short-axis cine."""
        return (
            self.positions >= _FEWEST_POSITIONS
            and self.phases >= _FEWEST_PHASES
            and abs(float(self.planes[0].normal @ TO_BASE)) >= LEAST_COSINE
            and not _OTHER.search(self.name)
        )

    def describe(self) -> str:
        """Return the name, and the numbers of positions and phases."""
        name = from_file(self.name) or "no name"
        return f"{name!r} ({self.positions} positions, {self.phases:.0f} images at each)"


def grouped(planes: Iterable[Plane]) -> list[Candidate]:
    """Group the images of a study into candidates."""
    found: list[Candidate] = []
    for plane in planes:
        name = _NUMBER.sub("", plane.description)
        for candidate in found:
            first = candidate.planes[0]
            if (
                candidate.name == name
                and first.shape == plane.shape
                and np.allclose(first.frame.spacing_mm, plane.frame.spacing_mm, rtol=1e-3)
                and (first.frame.axes * plane.frame.axes).sum(axis=1).min() >= _SAME_DIRECTION
            ):
                candidate.planes.append(plane)
                break
        else:
            found.append(Candidate(name, [plane]))
    return found


def choose(candidates: Sequence[Candidate], *, patterns: Sequence[str]) -> Candidate | None:
    """Choose the short-axis cine; None if there is none.

    With patterns (`cmr.series`), only series count whose whole name matches one of them. Of several
    short-axis cines, one with a name that says so is preferred, then the one with most images, then
    the last acquired.
    """
    usable = [candidate for candidate in candidates if candidate.is_short_axis_cine()]
    if patterns:
        usable = [candidate for candidate in candidates if _matches(candidate, patterns)]

    def rank(candidate: Candidate) -> tuple[bool, int, Any]:
        acquired = max(plane.frame.acquired for plane in candidate.planes)
        return bool(_HINT.search(candidate.name)), len(candidate.planes), acquired

    return max(usable, key=rank, default=None)


def refusal(candidates: Sequence[Candidate]) -> str:
    """Return which series were found instead of a short-axis cine."""
    largest = sorted(candidates, key=lambda candidate: -len(candidate.planes))
    listed = ", ".join(candidate.describe() for candidate in largest[:_SHOWN])
    more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return f"none of the series is a short-axis cine: {listed}{more}; cmr.series can name it"


def _matches(candidate: Candidate, patterns: Sequence[str]) -> bool:
    names = {plane.description for plane in candidate.planes}
    pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
    return any(pattern.fullmatch(name) for name in names)


def planes(dataset: pydicom.Dataset, load: Callable[[int], np.ndarray]) -> list[Plane]:
    """Return the images that the header of a file describes.

    It is one image, or all frames of an enhanced file. `load` reads the pixels of a frame by its
    index. A file that lacks the geometry has none.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence")
    if frames is None:
        parts = [dataset]
    else:
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
        parts = [_merged(shared, frame) for frame in frames]
    found = []
    for index, part in enumerate(parts):
        if any(keyword not in part for keyword in _NEEDED):
            continue
        trigger = part.get("NominalCardiacTriggerDelayTime", part.get("TriggerTime"))
        slice_mm = part.get("SpacingBetweenSlices") or part.get("SliceThickness")
        number = part.get("TemporalPositionIndex") or dataset.get("InstanceNumber")
        frame = Frame(
            person=str(dataset.get("PatientID") or ""),
            series=None,
            uid=str(dataset.get("SeriesInstanceUID") or ""),
            acquired=(
                int(dataset.get("SeriesNumber") or 0),
                str(part.get("AcquisitionTime") or ""),
            ),
            instance=int(number or 0),
            trigger_ms=None if trigger is None else float(trigger),
            position_mm=np.array(part.ImagePositionPatient, float),
            axes=np.array(part.ImageOrientationPatient, float).reshape(2, 3),
            spacing_mm=(float(part.PixelSpacing[0]), float(part.PixelSpacing[1])),
            slice_mm=float(slice_mm) if slice_mm else None,
            expected=0,
            pixels=_NO_PIXELS,
        )
        description = str(dataset.get("SeriesDescription") or "").strip()
        shape = int(dataset.Rows), int(dataset.Columns)
        found.append(Plane(frame, partial(load, index), description, shape))
    return found


def _merged(*sources: pydicom.Dataset) -> pydicom.Dataset:
    """Return the elements of the groups of a frame; those of later sources replace earlier ones."""
    found = pydicom.Dataset()
    for source in sources:
        for group in _GROUPS:
            if group in source:
                found.update(source[group].value[0])
    return found
