"""Read short-axis cines from DICOM: the zip of UK Biobank field 20209, other zips, and folders.

A zip of UK Biobank holds one series per slice (CINE_segmented_SAX_b1 is the base), and also files
that do not belong to the cine: inline contours, long axes, a manifest. Each file is identified by
its content: its series description, position and trigger time. Its name, the manifest and its dates
are not used. A damaged file costs one frame, which is counted, and does not exclude the
participant.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

import pydicom

from ptacl import raw
from ptacl.cmr.cine import Cine, no_faults
from ptacl.cmr.dicom import candidates, images, stack
from ptacl.cmr.dicom.candidates import Plane
from ptacl.cmr.dicom.images import Open, Undecodable
from ptacl.cmr.dicom.stack import Frame
from ptacl.exclusions import Excluded, Reason

# A zip of UK Biobank has some 600 files of 90 KB in 40 MB. Anything far larger is refused before it
# is inflated.
_MOST_FILES, _MOST_PIXELS = 20_000, 2**27
# Limit on the compression of larger files; an image hardly shrinks by more than a factor of 10.
_RATIO, _RATIO_FROM_BYTES = 200, 2**20

Files = Sequence[tuple[str, Open]]
Read = TypeVar("Read")


def read_zip(path: Path, *, patterns: Sequence[str] = ()) -> Cine:
    """Read a cine from a zip; arguments and errors are those of :func:`read_folder`.

    The zip is first read into memory, because random access over a network mount is slow.
    """
    content = raw.read(path, largest=raw.LARGEST_BYTES)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise Excluded(Reason.UNREADABLE, f"zip: {type(error).__name__}") from None
    with archive:
        members = sorted(
            (m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename
        )
        if len(members) > _MOST_FILES:
            raise Excluded(Reason.UNREADABLE, f"zip: {len(members):,} files")
        files = [(m.filename, partial(_open, archive, m)) for m in members]
        return _read(files, format="dicom-zip", patterns=patterns)


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file of a zip, unless it is encrypted or would inflate beyond the size of an image."""
    if member.flag_bits & 1:
        raise Undecodable("encrypted")
    if member.file_size > max(_RATIO_FROM_BYTES, _RATIO * member.compress_size):
        raise Undecodable("inflates beyond the size of an image")
    return archive.open(member)


def read_folder(path: Path, *, patterns: Sequence[str] = ()) -> Cine:
    """Read a cine from a folder of DICOM files, which can have subfolders, such as one per series.

    The series names of UK Biobank are recognised first, then the properties of the images
    (:mod:`ptacl.cmr.dicom.candidates`). With patterns, only series with such names count. Raises
    Excluded(UNREADABLE, NO_SHORT_AXIS), and the exclusions of :func:`ptacl.cmr.dicom.stack.build`.
    """
    try:
        files = [(f.name, partial(raw.open_file, f)) for f in _files_below(path)]
    except OSError as error:
        raise raw.excluded(error) from None
    if len(files) > _MOST_FILES:
        raise Excluded(Reason.UNREADABLE, f"folder: {len(files):,} files")
    return _read(files, format="dicom-folder", patterns=patterns)


def _files_below(path: Path) -> list[Path]:
    """List the files of a folder and its subfolders; raises OSError if one is gone."""
    found = []
    for entry in raw.entries(path):
        if raw.is_folder(entry):
            found += _files_below(Path(entry.path))
        elif raw.is_file(entry.path):
            found.append(Path(entry.path))
    return sorted(found)


def _read(files: Files, *, format: str, patterns: Sequence[str]) -> Cine:
    counts = no_faults()
    causes: Counter[str] = Counter()
    # Ids and dates of real files break the standard, and they are not used.
    with pydicom.config.disable_value_validation():
        frames: list[Frame] = []
        if not patterns:
            frames, counts["decoys"] = _named_as_in_uk_biobank(files, causes)
        if not frames:
            others: Counter[str] = Counter()
            frames, decoys, refusal = _by_properties(files, others, patterns)
            if frames or not causes:  # else, damage is why nothing was found by name
                counts["decoys"], causes = decoys, others
    counts["unreadable"] = causes.total()
    if not frames:
        reason = Reason.NO_SHORT_AXIS if counts["decoys"] else Reason.UNREADABLE
        parts = [refusal] if counts["decoys"] else []
        if causes:
            listed = ", ".join(f"{cause}: {n}" for cause, n in causes.most_common(3))
            parts.append(f"{counts['unreadable']} files that cannot be decoded ({listed})")
        raise Excluded(reason, "; ".join(parts) or "no DICOM file")
    return stack.build(frames, counts=counts, causes=dict(causes), format=format)


def _named_as_in_uk_biobank(files: Files, causes: Counter[str]) -> tuple[list[Frame], int]:
    """Return the short-axis images by series name, and the number of other images.

    Only the front of other files is read.
    """
    frames: list[Frame] = []
    pixels = others = 0
    for name, opener in files:
        found = _attempt(partial(images.named, opener), causes, counted=_is_dicom(name))
        if found is not None:
            frames += found
            others += not found
            pixels = _checked_pixels(pixels + sum(frame.pixels.size for frame in found))
    return frames, others


def _by_properties(
    files: Files, causes: Counter[str], patterns: Sequence[str]
) -> tuple[list[Frame], int, str]:
    """Return the images of the short-axis cine, the number of others, and why there is none."""
    planes: list[Plane] = []
    others = 0
    for name, opener in files:
        found = _attempt(partial(images.planes, opener), causes, counted=_is_dicom(name))
        if found is not None:
            planes += found
            others += not found
    known = candidates.grouped(planes)
    chosen = candidates.choose(known, patterns=patterns)
    if chosen is None:
        return [], len(planes) + others, candidates.refusal(known)
    frames, pixels = [], 0
    for plane in chosen.planes:
        frame = _attempt(plane.with_pixels, causes, counted=True)
        if frame is not None:
            frames.append(frame)
            pixels = _checked_pixels(pixels + frame.pixels.size)
    return frames, len(planes) - len(chosen.planes) + others, ""


def _checked_pixels(pixels: int) -> int:
    if pixels > _MOST_PIXELS:
        raise Excluded(Reason.UNREADABLE, f"more than {_MOST_PIXELS:,} short-axis pixels")
    return pixels


def _attempt(read: Callable[[], Read], causes: Counter[str], *, counted: bool) -> Read | None:
    """Return what a reader finds, or None if it fails; count the cause if the file is DICOM."""
    try:
        return read()
    except Exception as error:  # zip, zlib and pydicom raise anything on damaged bytes
        if counted:
            cause = str(error) if isinstance(error, Undecodable) else type(error).__name__
            causes[cause] += 1
        return None


def _is_dicom(name: str) -> bool:
    return name.lower().endswith(".dcm")
