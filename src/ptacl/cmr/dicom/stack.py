"""Build a cine from single DICOM frames.

Slices are ordered by their position along the normal, frames by their trigger time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from ptacl.cmr.cine import Cine
from ptacl.exclusions import Excluded, Reason

_SAME_SLICE_MM = 1.0
_SAME_DIRECTION = 0.999  # cosine: 2.6 degrees
_SAME_SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one slice.

    person : PatientID, which is compared and not kept. series : number in the series description
    (b1: 1), None if it has none. uid : of the series. acquired : order of acquisition. position_mm
    : (3,) of the first pixel. axes : (2, 3) unit vectors along a row and along a column. spacing_mm
    : of rows, of columns. slice_mm : distance between slices in the header. expected : frames per
    slice in the header, or 0. pixels : (R, C).
    """

    person: str
    series: int | None
    uid: str
    acquired: tuple[int, str]
    instance: int
    trigger_ms: float | None
    position_mm: np.ndarray
    axes: np.ndarray
    spacing_mm: tuple[float, float]
    slice_mm: float | None
    expected: int
    pixels: np.ndarray

    @cached_property
    def depth_mm(self) -> float:
        """Position along the normal; SliceLocation is a different value."""
        (a, b, c), (d, e, f) = self.axes.tolist()
        x, y, z = self.position_mm.tolist()
        return float((b * f - c * e) * x + (c * d - a * f) * y + (a * e - b * d) * z)


def build(
    frames: Sequence[Frame], *, counts: dict[str, int], causes: dict[str, int], format: str
) -> Cine:
    """Build a cine from the frames of one short-axis stack, in any order.

    If some series are numbered, those without a number count as decoys. Of several series of one
    slice, the most complete is kept; of equally complete ones, the last acquired. The others, and
    files that repeat a phase, count as duplicates.

    causes : numbers of files without an image, by cause.

    Raises Excluded(UNEVEN_SLICES) if the frames do not form a stack, SEVERAL_PEOPLE, and
    CONFLICTING_IMAGES if a series has two different images of a phase, because it is impossible to
    know which one is right.
    """
    people = len({f.person for f in frames})
    if people > 1:
        raise Excluded(Reason.SEVERAL_PEOPLE, f"{people} patient ids in the short axis")
    usable = [f for f in frames if f.series is not None] or list(frames)
    chosen: list[Frame] = []
    for number, group in _grouped(usable, key=lambda f: f.series).items():
        chosen += group if number is None else _last_complete(group)
    groups = [_last_complete(group) for group in _by_depth(chosen)]
    slices = _from_first([_phases(group) for group in groups])
    _check_phases(groups)
    _check_geometry(slices)
    usual = Counter(map(len, slices)).most_common(1)[0][0]
    expected = max(usual, *(s[0].expected for s in slices))
    counts = counts | {
        "decoys": counts["decoys"] + len(frames) - len(usable),
        "duplicates": len(usable) - sum(map(len, slices)),
        "gaps": sum(max(expected - len(s), 0) for s in slices),
    }
    return Cine(
        slices=tuple(map(_pixels, slices)),
        spacing_mm=(*slices[0][0].spacing_mm, _slice_mm(slices)),
        positions_mm=tuple(s[0].depth_mm for s in slices),
        frame_ms=_frame_ms(slices),
        format=format,
        counts=counts,
        causes=causes,
        directions=_directions(slices),
    )


def _directions(slices: Sequence[Sequence[Frame]]) -> Sequence[np.ndarray]:
    """Return the directions of columns, rows and slices in the body.

    A single slice has the direction of its normal.
    """
    column, row = slices[0][0].axes
    first, last = slices[0][0].position_mm, slices[-1][0].position_mm
    return column, row, np.cross(column, row) if len(slices) == 1 else last - first


def _pixels(frames: Sequence[Frame]) -> np.ndarray:
    return np.stack([frame.pixels for frame in frames])


def _grouped(frames: Iterable[Frame], *, key: Callable[[Frame], Any]) -> dict[Any, list[Frame]]:
    groups = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return groups


def _last_complete(frames: Sequence[Frame]) -> list[Frame]:
    """Return the series with most phases; of several such, the last acquired."""

    def completeness(group: list[Frame]) -> tuple[int, Any, str]:
        return len(_phases(group)), max(f.acquired for f in group), group[0].uid

    return max(_grouped(frames, key=lambda f: f.uid).values(), key=completeness)


def _phases(frames: Sequence[Frame]) -> list[Frame]:
    """Order frames by their trigger times, one frame per time.

    Instance numbers are used instead if the times do not distinguish frames.
    """
    timed = _timed(frames)
    ordered = sorted(
        frames, key=lambda f: (f.trigger_ms or 0.0, f.instance) if timed else (0.0, f.instance)
    )
    return list({f.trigger_ms if timed else f.instance: f for f in ordered}.values())


def _timed(frames: Sequence[Frame]) -> bool:
    triggers = {f.trigger_ms for f in frames}
    return None not in triggers and (len(triggers) > 1 or len({f.instance for f in frames}) == 1)


def _check_phases(slices: Iterable[Sequence[Frame]]) -> None:
    for frames in slices:
        timed = _timed(frames)
        keys = [f.trigger_ms if timed else f.instance for f in frames]
        first: dict[Any, Frame] = {}
        for key, frame in zip(keys, frames, strict=True):
            same = first.setdefault(key, frame)
            if frame is not same and not np.array_equal(frame.pixels, same.pixels):
                raise Excluded(Reason.CONFLICTING_IMAGES)


def _by_depth(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames by slice, and order the slices by depth."""
    slices: list[list[Frame]] = []
    for frame in sorted(frames, key=lambda f: f.depth_mm):
        if slices and frame.depth_mm - slices[-1][-1].depth_mm < _SAME_SLICE_MM:
            slices[-1].append(frame)
        else:
            slices.append([frame])
    return slices


def _from_first(slices: list[list[Frame]]) -> list[list[Frame]]:
    """Order slices from the end at which numbering began, the base in UK Biobank's zips.

    The result is the order of depth, upwards or downwards.
    """

    def first_number(frames: list[Frame]) -> int:
        return min(f.instance if f.series is None else f.series for f in frames)

    number = np.array([first_number(frames) for frames in slices], float)
    depth = np.arange(len(slices)) - (len(slices) - 1) / 2
    return slices[::-1] if (number - number.mean()) @ depth < 0 else slices


def _check_geometry(slices: Sequence[Sequence[Frame]]) -> None:
    first = slices[0][0]
    frames = list(chain.from_iterable(slices))
    for frame in frames:
        if frame.pixels.shape != first.pixels.shape:
            raise Excluded(
                Reason.UNEVEN_SLICES,
                f"images of {first.pixels.shape} and {frame.pixels.shape} pixels",
            )
    spacings = np.array([f.spacing_mm for f in frames])
    if not (same := np.isclose(spacings, spacings[0], rtol=_SAME_SPACING).all(axis=1)).all():
        raise Excluded(
            Reason.UNEVEN_SLICES,
            f"pixels of {first.spacing_mm} and {frames[int(np.argmin(same))].spacing_mm} mm",
        )
    cosine = (np.array([f.axes for f in frames]) * first.axes).sum(axis=2).min()
    if not cosine >= _SAME_DIRECTION:
        raise Excluded(
            Reason.UNEVEN_SLICES, f"slices turned by {np.degrees(np.arccos(cosine)):.0f} degrees"
        )


def _slice_mm(slices: Sequence[Sequence[Frame]]) -> float:
    """Return the distance between slices from their positions.

    A single slice only has the distance in its header, or 0.
    """
    if len(slices) == 1:
        return slices[0][0].slice_mm or 0.0
    return float(abs(np.median(np.diff([s[0].depth_mm for s in slices]))))


def _frame_ms(slices: Sequence[Sequence[Frame]]) -> float | None:
    """Return the mean interval between frames, median over slices.

    The mean is used because single intervals are rounded to milliseconds.
    """
    intervals = []
    for s in slices:
        first, last = s[0].trigger_ms, s[-1].trigger_ms
        if first is not None and last is not None and last > first:
            intervals.append((last - first) / (len(s) - 1))
    return float(np.median(intervals)) if intervals else None
