"""Examine one cine: read it, locate the heart, check it, and crop it to the stored frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.cmr import crop, read, resample, systole, volumes
from ptacl.cmr import segmentation as segmentations
from ptacl.cmr.cine import Cine
from ptacl.exclusions import Excluded, Reason
from ptacl.preparation import Examined

_UNEVEN = 0.1  # largest deviation of a slice distance from the median, as a share of it


@dataclass(frozen=True)
class Location:
    """Slice and centre (row, col) of a crop, in pixels of the whole image.

    slice_source : segmentation or stack. source : segmentation, motion, or image if nothing moves.
    """

    slice: int
    slice_source: str
    row: float
    col: float
    source: str


@dataclass(eq=False)
class ExaminedCine(Examined):
    """A cine with everything that is known about it; also what its drawing needs.

    labels_TZRC, volume_ml, volumes : the segmentation, curves (T,) by label, and phenotypes by
    name; None or empty without a segmentation. cine, location : None if no short-axis cine could be
    read.
    """

    cine: Cine | None = None
    labels_TZRC: np.ndarray | None = None
    volume_ml: dict[str, np.ndarray] = field(default_factory=dict)
    volumes: dict[str, float] = field(default_factory=dict)
    location: Location | None = None


def examine(path: Path, *, segmentation: Path | None, settings: config.Cmr) -> ExaminedCine:
    """Examine a cine: read, measure, locate, check and crop it.

    The arrays are `frames` (T, size, size) uint8 and `systole`, the frame of end-systole; without
    contrast in the crop there are none.
    """
    examined = ExaminedCine()
    with examined.until_excluded():
        examined.facts["format"] = read.format_of(path)
        cine = read.read(path, series_names=settings.series)
        _examine(cine, examined, segmentation=segmentation, settings=settings)
    return examined


def _examine(
    cine: Cine, examined: ExaminedCine, *, segmentation: Path | None, settings: config.Cmr
) -> None:
    """Fill in what is known of a cine, and raise Excluded for the most informative fault."""
    check_spacing(cine, settings=settings)
    labels, refused = _labels(segmentation, cine=cine, settings=settings)
    if labels is not None:  # measured in the pixels of the file
        examined.volume_ml = volumes.volume_curves(
            labels, spacing_mm=cine.spacing_mm, labels=settings.labels
        )
        examined.volumes = volumes.measure(
            examined.volume_ml,
            frame_ms=cine.frame_ms,
            density_g_per_ml=settings.density_g_per_ml,
        )
    if isinstance(settings.resample_mm, float):
        original, cine = cine, resample.resampled(cine, pixel_mm=settings.resample_mm)
        examined.facts["original_spacing_mm"] = [round(mm, 4) for mm in original.spacing_mm]
        if labels is not None and cine is not original:
            labels = resample.resampled_labels(
                labels, original=original, pixel_mm=settings.resample_mm
            )
    examined.labels_TZRC = labels
    location = locate(cine, labels_TZRC=labels, settings=settings)
    frames, hot = crop.crop(
        cine.slices[location.slice],
        centre=(location.row, location.col),
        size=settings.size,
        clip_percentiles=settings.clip_percentiles,
        hot_ratio=settings.hot_ratio,
    )
    examined.cine, examined.location = cine, location
    examined.facts |= describe(cine, location, hot=hot, refused=refused)
    examined.flags = flags(cine, hot=hot, refused=refused)
    if labels is not None:
        rounded = {name: round(value, 3) for name, value in examined.volumes.items()}
        examined.facts["volumes"] = rounded
    if frames is not None:
        frame, source = systole.end_systole(frames, volume_ml=examined.volume_ml)
        low, high = _usable_frames(settings)
        stored, wanted = frames, settings.frames
        if len(frames) != wanted and low <= len(frames) <= high:
            stored = resample.interpolated(frames, frames=wanted)
            frame = round(frame * wanted / len(frames)) % wanted
            examined.facts["interpolated_from_frames"] = len(frames)
        examined.facts["systole"] = {"frame": frame, "source": source}
        examined.arrays = {"frames": stored, "systole": np.array(frame, np.int32)}
    for fault in (*check(cine, location=location, settings=settings), *check_crop(frames)):
        raise fault


def describe(cine: Cine, location: Location, *, hot: int, refused: str) -> dict[str, Any]:
    """Return the facts about a cine and the place of its crop, as JSON values.

    hot : number of pixels brighter than the range of the sequence (`cmr.hot_ratio`). refused : why
    a segmentation was not used, "" if it was used or does not exist.
    """
    repeated = _repeated(cine.slices[location.slice])
    return {
        "num_slices": cine.num_slices,
        "num_frames": cine.num_frames,
        "frame_ms": cine.frame_ms and round(cine.frame_ms, 3),
        "spacing_mm": [round(mm, 4) for mm in cine.spacing_mm],
        "turn": cine.turn.describe() if cine.turn else "unknown directions",
        "middle_slice": location.slice,
        "middle_slice_source": location.slice_source,
        "crop": {
            "row": round(location.row, 1),
            "col": round(location.col, 1),
            "source": location.source,
        },
        "counts": cine.counts | {"repeated_frames": repeated, "hot_pixels": hot},
        "unreadable": cine.causes,
        "segmentation_refused": refused,
    }


def flags(cine: Cine, *, hot: int, refused: str) -> list[str]:
    """List what a person should check in a cine that is used nevertheless."""
    doubts = {
        "segmentation refused": refused,
        "hot pixels clipped": hot,
        "files without an image": cine.causes,
        "unknown orientation": cine.turn is None,
    }
    return [doubt for doubt, found in doubts.items() if found]


def check_spacing(cine: Cine, *, settings: config.Cmr) -> None:
    """Raise Excluded(WRONG_UNIT) if pixels or slices have a size that is impossible in a body."""
    named = [
        ("rows", settings.pixel_mm),
        ("columns", settings.pixel_mm),
        ("slices", settings.slice_mm),
    ]
    for mm, (what, (low, high)) in zip(cine.spacing_mm, named, strict=True):
        if not low <= mm <= high and not (what == "slices" and cine.num_slices == 1):
            raise Excluded(Reason.WRONG_UNIT, f"{what} {mm:g} mm apart")


def _labels(
    path: Path | None, *, cine: Cine, settings: config.Cmr
) -> tuple[np.ndarray | None, str]:
    """Return the segmentation, and the reason if one was given but is refused."""
    if path is None:
        return None, ""
    try:
        labels = read.read_labels(path, cine=cine)
        segmentations.check(
            labels, slices=cine.slices, spacing_mm=cine.spacing_mm[:2], labels=settings.labels
        )
    except Excluded as error:
        return None, str(error)
    return labels, ""


def locate(cine: Cine, *, labels_TZRC: np.ndarray | None, settings: config.Cmr) -> Location:
    """Locate the middle slice and the centre of the heart in it.

    The segmentation is used if the settings ask for it and it shows them.
    """
    middle, centre = None, None
    if labels_TZRC is not None and settings.middle_slice != "stack":
        middle = crop.middle_slice(labels_TZRC, lv=settings.labels.lv)
    z = cine.num_slices // 2 if middle is None else middle
    if labels_TZRC is not None and settings.crop != "motion":
        centre = crop.label_centre(
            labels_TZRC[:, z], values=list(settings.labels.model_dump().values())
        )
    source = "segmentation"
    if centre is None:
        source = "motion"
        centre = crop.motion_centre(cine.slices, spacing_mm=cine.spacing_mm[:2])
    if centre is None:
        source = "image"
        centre = (cine.shape[2] - 1) / 2, (cine.shape[3] - 1) / 2
    slice_source = "stack" if middle is None else "segmentation"
    return Location(slice=z, slice_source=slice_source, row=centre[0], col=centre[1], source=source)


def check(cine: Cine, *, location: Location, settings: config.Cmr) -> Iterator[Excluded]:
    """Yield all reasons why a cine cannot be used, the most informative first."""
    frames = cine.slices[location.slice]
    low, high = _usable_frames(settings)
    if not low <= cine.num_frames <= high:
        wanted = f"{low} to {high}" if low < high else low
        yield Excluded(Reason.WRONG_FRAMES, f"{cine.num_frames} in most slices, not {wanted}")
    if cine.num_slices < settings.min_slices:
        yield Excluded(
            Reason.TOO_FEW_SLICES, f"{cine.num_slices} slices, fewer than {settings.min_slices}"
        )
    if len(frames) != cine.num_frames:
        yield Excluded(
            Reason.WRONG_FRAMES, f"{len(frames)} in the middle slice, not {cine.num_frames}"
        )
    if detail := _uneven(cine.positions_mm):
        yield Excluded(Reason.UNEVEN_SLICES, detail)
    if min(cine.shape[2:]) < settings.size / 2:
        yield Excluded(
            Reason.TOO_SMALL,
            f"{cine.shape[2]} x {cine.shape[3]} pixels for a crop of {settings.size}",
        )
    if any(s.dtype.kind == "f" and not np.isfinite(s).all() for s in cine.slices):
        yield Excluded(Reason.NOT_FINITE, "in the cine")
    sources = ((settings.crop, location.source), (settings.middle_slice, location.slice_source))
    if any(wanted == "segmentation" != found for wanted, found in sources):
        yield Excluded(
            Reason.SEGMENTATION_MISMATCH,
            "the settings require a segmentation, and none shows the heart",
        )


def _usable_frames(settings: config.Cmr) -> tuple[int, int]:
    """Return the least and largest number of frames that a cine can have."""
    frames, range_ = settings.frames, settings.interpolate_frames
    if not isinstance(range_, tuple):
        return frames, frames
    return min(frames, range_[0]), max(frames, range_[1])


def check_crop(sequence: np.ndarray | None) -> Iterator[Excluded]:
    """Yield all reasons why a crop (T, size, size) cannot be used; it is None if it has no
    contrast.
    """
    if sequence is None:
        yield Excluded(Reason.CONSTANT_IMAGE, "one intensity in the crop")
        return
    if dark := int(np.count_nonzero(np.ptp(sequence.reshape(len(sequence), -1), axis=1) == 0)):
        yield Excluded(
            Reason.CONSTANT_IMAGE,
            f"{dark} of {len(sequence)} frames have one intensity in the crop",
        )
    if (repeated := _repeated(sequence)) > len(sequence) / 2:
        yield Excluded(Reason.STILL, f"{repeated} of {len(sequence)} frames equal the one before")


def _uneven(positions_mm: tuple[float, ...]) -> str:
    distances = np.abs(np.diff(positions_mm))
    if not len(distances) or np.abs(distances - np.median(distances)).max() <= _UNEVEN * np.median(
        distances
    ):
        return ""
    return f"slices {distances.min():.1f} to {distances.max():.1f} mm apart"


def _repeated(frames_TRC: np.ndarray) -> int:
    """Count frames that equal the one before, which some conversions insert for missing frames."""
    return sum(bool(np.array_equal(a, b)) for a, b in pairwise(frames_TRC))
