"""Find the bulk files of a cohort by name.

Files can be in flat bulk folders, in the `Bulk/.../NN/` tree of the Research Analysis Platform
(RAP), or in converted NIfTI folders. A name tells the participant, field, instance and array, so
no file is opened. Folders are searched two levels deep, which is enough for `Bulk/Heart MRI` ->
`Short axis` -> `90` on the RAP, whose folders have spaces in their names.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptacl import raw

LOG = logging.getLogger(__name__)

_LEVELS = 2
_KINDS = 3  # of names that an error lists
_ECG = re.compile(
    r"(\d{7})_20205_(\d+)_(\d+)\.(?:xml|dcm|dicom|scp|edf|hea|mwf|mfer|csv|npy)", re.IGNORECASE
)
_ZIP = re.compile(r"(\d{7})_20209_(\d+)_(\d+)\.zip", re.IGNORECASE)
_NIFTI_FOLDER = re.compile(r"(\d{7})(?:_20209_(\d+)_(\d+)|_(\d+))?")
_CINE, _SEGMENTATION = "sa.nii.gz", "seg_sa.nii.gz"


@dataclass(frozen=True, slots=True)
class BulkFile:
    """One file (or one NIfTI pair) of one imaging visit.

    `size` is in bytes, 0 if the file does not exist. `array` is the last number of the name.
    `folder` is the position of the folder in the configuration, from 0. `segmentation_size` is the
    size of the segmentation, if there is one.
    """

    participant: str
    instance: int
    path: str
    size: int
    segmentation: str | None
    array: int
    folder: int
    segmentation_size: int = 0

    @property
    def visit(self) -> str:
        """Key of the visit, from participant and instance."""
        return f"{self.participant}_{self.instance}"

    @property
    def preference(self) -> tuple[int, int, int, str]:
        """Sort key: the smallest is preferred.

        The order is by array, then folder, then kind (NIfTI with a segmentation, other NIfTI, zip;
        XML before other ECG formats), then path.
        """
        kind = 0 if self.segmentation else 1 if self.path.lower().endswith((_CINE, ".xml")) else 2
        return self.array, self.folder, kind, self.path


# Parses a folder entry of one layout, given the position of its folder in the configuration.
# None means that the entry does not belong to this layout.
Parse = Callable[["os.DirEntry[str]", int], BulkFile | None]


def find_ecgs(folders: Sequence[Path | str]) -> list[BulkFile]:
    """Find ECG files `EID_20205_I_A.xml`, in an order that does not depend on the file system.

    Files of other formats that are named in the same way are found too. All files of a visit are
    returned; :func:`first_of_each_visit` chooses one. ValueError names a folder that is missing,
    or the expected names, and those that were found, if no folder holds such a file.
    """

    def ecg(entry: "os.DirEntry[str]", rank: int) -> BulkFile | None:
        return _named(entry, rank, _ECG)

    return _find(
        folders,
        ecg,
        lambda entry, rank: None,
        setting="cohort.ecg_folders",
        names="EID_20205_2_0.xml",
    )


def find_cines(folders: Sequence[Path | str], *, default_instance: int) -> list[BulkFile]:
    """Find short-axis cines.

    These are files `EID_20209_I_A.zip`, or folders `EID`, `EID_I` or `EID_20209_I_A` with
    sa.nii.gz and optionally seg_sa.nii.gz. `default_instance` is the visit of a folder `EID`.
    Order and errors are as in :func:`find_ecgs`.
    """

    def cine(entry: "os.DirEntry[str]", rank: int) -> BulkFile | None:
        return _named(entry, rank, _ZIP)

    def nifti(entry: "os.DirEntry[str]", rank: int) -> BulkFile | None:
        return _nifti(entry, rank, default_instance)

    names = f"EID_20209_2_0.zip or EID_20209_2_0/{_CINE}"
    return _find(folders, cine, nifti, setting="cohort.cmr_folders", names=names)


def first_of_each_visit(files: Iterable[BulkFile]) -> tuple[dict[str, BulkFile], list[BulkFile]]:
    """Return the preferred file of each visit, and the files that are not used."""
    chosen: dict[str, BulkFile] = {}
    extra = []
    for file in sorted(files, key=_order):
        if chosen.setdefault(file.visit, file) is not file:
            extra.append(file)
    return chosen, extra


def _order(file: BulkFile) -> tuple[str, int, tuple[int, int, int, str]]:
    return file.participant, file.instance, file.preference


def _find(
    folders: Sequence[Path | str],
    file: Parse,
    subfolder: Parse,
    *,
    setting: str,
    names: str,
) -> list[BulkFile]:
    found: dict[str, BulkFile] = {}
    others: Counter[str] = Counter()
    for rank, folder in enumerate(folders):
        if not raw.is_folder(folder):
            raise ValueError(
                f"{setting}: {folder} is not a folder: correct the path, or mount the "
                "volume it is on"
            )
        for match in _walk(os.path.normpath(folder), file, subfolder, rank=rank, levels=_LEVELS):
            if isinstance(match, BulkFile):
                found.setdefault(
                    match.path, match
                )  # folders can be nested: the first one that reaches a file counts
            else:
                others[match] += 1
    if not found:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in others.most_common(_KINDS))
        swapped = any(f"_{field}_" in kind for kind in others for field in ("20205", "20209"))
        raise ValueError(
            f"{setting}: no {names} in {', '.join(map(str, folders))}, {_LEVELS} levels deep; "
            f"found {kinds or 'no files'}"
            + (": are cohort.ecg_folders and cohort.cmr_folders exchanged?" if swapped else "")
        )
    LOG.info("%s: %d found, %d other files ignored", setting, len(found), others.total())
    return sorted(found.values(), key=_order)


def _walk(
    folder: str, file: Parse, subfolder: Parse, *, rank: int, levels: int
) -> Iterator[BulkFile | str]:
    """Yield the record of every file, or what kind of name a file has that is not a record.

    A subfolder that is itself a record is not searched. OSError is raised if a folder is gone.
    """
    for entry in raw.entries(folder):
        if not raw.is_folder(entry):
            yield file(entry, rank) or _kind(entry.name)
        elif match := subfolder(entry, rank):
            yield match
        elif levels:
            yield from _walk(entry.path, file, subfolder, rank=rank, levels=levels - 1)


def _kind(name: str) -> str:
    """Describe a name without an id: `EID_20209_2_0.zip`, or `*.csv`."""
    if re.match(r"\d{7}_\d+_", name):
        return re.sub(r"^\d{7}", "EID", name)
    return f"*{os.path.splitext(name)[1].lower()}"


def _named(entry: "os.DirEntry[str]", rank: int, pattern: re.Pattern[str]) -> BulkFile | None:
    if not (match := pattern.fullmatch(entry.name)):
        return None
    participant, instance, array = match.groups()
    size = raw.size(entry.path) or 0
    return BulkFile(participant, int(instance), entry.path, size, None, int(array), rank)


def _nifti(entry: "os.DirEntry[str]", rank: int, default_instance: int) -> BulkFile | None:
    if not (match := _NIFTI_FOLDER.fullmatch(entry.name)):
        return None
    cine, segmentation = _inside(entry.path, _CINE), _inside(entry.path, _SEGMENTATION)
    if cine is None:
        return None
    participant, instance, array, short = match.groups()
    return BulkFile(
        participant=participant,
        instance=int(instance or short or default_instance),
        path=cine[0],
        size=cine[1],
        segmentation=segmentation[0] if segmentation else None,
        array=int(array or 0),
        folder=rank,
        segmentation_size=segmentation[1] if segmentation else 0,
    )


def _inside(folder: str, name: str) -> tuple[str, int] | None:
    """Return the path and size of a file in a folder, whatever the case of its name.

    The exact name is tried first, because listing a small folder takes six times as long.
    """
    path = f"{folder}{os.sep}{name}"
    if (size := raw.size(path)) is None:
        others = (entry.path for entry in _entries(folder) if entry.name.lower() == name)
        path = next(others, "")
        size = raw.size(path) if path else None
    return None if size is None else (path, size)


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    """List a folder, empty if it was deleted since it was found."""
    try:
        return raw.entries(folder)
    except OSError:
        return []
