"""Turn a cine into the stored sequence: locate the heart, check for exclusions, crop."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.cmr import crop, read, systole, volumes
from ptacl.cmr import segmentation as segmentations
from ptacl.cmr.cine import Cine
from ptacl.exclusions import Excluded, Reason

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


@dataclass(frozen=True, eq=False)
class Examined:
    """A cine with everything that is known about it.

    labels_TZRC, volume_ml, volumes : the segmentation, curves (T,) by label, and phenotypes by
    name; None or empty without a segmentation. sequence : (T, size, size) uint8, None without
    contrast. hot : number of pixels brighter than the range of the sequence (`cmr.hot_ratio`).
    systole : frame of end-systole and its source. refused : why the segmentation was not used, ""
    if it was used or does not exist. excluded : why the cine cannot be used, None if it can.
    """

    cine: Cine
    labels_TZRC: np.ndarray | None
    volume_ml: dict[str, np.ndarray]
    volumes: dict[str, float]
    location: Location
    sequence: np.ndarray | None
    hot: int
    systole: tuple[int, str] | None
    refused: str
    excluded: Excluded | None

    @property
    def facts(self) -> dict[str, Any]:
        """The known facts as JSON values."""
        cine, place = self.cine, self.location
        facts: dict[str, Any] = {
            "format": cine.format,
            "num_slices": cine.num_slices,
            "num_frames": cine.num_frames,
            "frame_ms": cine.frame_ms and round(cine.frame_ms, 3),
            "spacing_mm": [round(mm, 4) for mm in cine.spacing_mm],
            "middle_slice": place.slice,
            "middle_slice_source": place.slice_source,
            "crop": {
                "row": round(place.row, 1),
                "col": round(place.col, 1),
                "source": place.source,
            },
            "counts": cine.counts
            | {"repeated_frames": _repeated(cine.slices[place.slice]), "hot_pixels": self.hot},
            "unreadable": cine.causes,
            "segmentation_refused": self.refused,
        }
        doubts = {
            "segmentation refused": self.refused,
            "hot pixels clipped": self.hot,
            "files without an image": cine.causes,
        }
        facts["flags"] = [doubt for doubt, found in doubts.items() if found]
        if self.systole is not None:
            facts["systole"] = {"frame": self.systole[0], "source": self.systole[1]}
        if self.labels_TZRC is not None:
            facts["volumes"] = {name: round(value, 3) for name, value in self.volumes.items()}
        return facts


def examine(path: Path, *, segmentation: Path | None, settings: config.Cmr) -> Examined:
    """Read, measure, locate, check and crop one cine.

    Raises Excluded only if no short-axis cine can be read or its spacing is impossible; other
    reasons are in the field `excluded`.
    """
    cine = read.read(path)
    check_spacing(cine, settings=settings)
    labels, refused = _labels(segmentation, cine=cine, settings=settings)
    curves = (
        {}
        if labels is None
        else volumes.volume_curves(labels, spacing_mm=cine.spacing_mm, labels=settings.labels)
    )
    location = locate(cine, labels_TZRC=labels, settings=settings)
    faults = list(check(cine, location=location, settings=settings))
    sequence, hot = crop.crop(
        cine.slices[location.slice],
        centre=(location.row, location.col),
        size=settings.size,
        clip_percentiles=settings.clip_percentiles,
        hot_ratio=settings.hot_ratio,
    )
    faults.extend(check_crop(sequence))
    return Examined(
        cine=cine,
        labels_TZRC=labels,
        volume_ml=curves,
        volumes=volumes.measure(
            curves, frame_ms=cine.frame_ms, density_g_per_ml=settings.density_g_per_ml
        ),
        location=location,
        sequence=sequence,
        hot=hot,
        systole=None if sequence is None else systole.end_systole(sequence, volume_ml=curves),
        refused=refused,
        excluded=faults[0] if faults else None,
    )


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
    if cine.num_frames != settings.frames:
        yield Excluded(
            Reason.WRONG_FRAMES, f"{cine.num_frames} in most slices, not {settings.frames}"
        )
    if cine.num_slices < settings.min_slices:
        yield Excluded(
            Reason.TOO_FEW_SLICES, f"{cine.num_slices} slices, fewer than {settings.min_slices}"
        )
    if len(frames) != settings.frames:
        yield Excluded(
            Reason.WRONG_FRAMES, f"{len(frames)} in the middle slice, not {settings.frames}"
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
