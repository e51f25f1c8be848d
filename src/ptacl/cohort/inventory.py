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

LOG = logging.getLogger(__name__)

Unlisted = list[str]  # folders that cannot be listed; a search appends to this list

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

    `size` is in bytes, and includes the segmentation of a cine. `array` is the last number of the
    name. `folder` is the position of the folder in the configuration, from 0.
    """

    participant: str
    instance: int
    path: str
    size: int
    segmentation: str | None
    array: int
    folder: int

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


def find_ecgs(folders: Sequence[Path | str], *, unlisted: Unlisted | None = None) -> list[BulkFile]:
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
        unlisted=unlisted,
    )


def find_cines(
    folders: Sequence[Path | str], *, default_instance: int, unlisted: Unlisted | None = None
) -> list[BulkFile]:
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
    return _find(folders, cine, nifti, setting="cohort.cmr_folders", names=names, unlisted=unlisted)


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
    unlisted: Unlisted | None,
) -> list[BulkFile]:
    unlisted = [] if unlisted is None else unlisted
    found: dict[str, BulkFile] = {}
    others: Counter[str] = Counter()
    for rank, folder in enumerate(folders):
        if not os.path.isdir(folder):
            raise ValueError(
                f"{setting}: {folder} is not a folder: correct the path, or mount the "
                "volume it is on"
            )
        for match in _walk(
            os.path.normpath(folder), file, subfolder, rank=rank, levels=_LEVELS, unlisted=unlisted
        ):
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
    folder: str, file: Parse, subfolder: Parse, *, rank: int, levels: int, unlisted: Unlisted
) -> Iterator[BulkFile | str]:
    """Yield the record of every file, or what kind of name a file has that is not a record.

    A subfolder that is itself a record is not searched.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        LOG.warning(
            "a folder cannot be listed (%s): its files count as missing; exclusions.csv "
            "names the folder",
            type(error).__name__,
        )
        unlisted.append(folder)
        return
    for entry in entries:
        if not _is_folder(entry):
            yield file(entry, rank) or _kind(entry.name)
        elif match := subfolder(entry, rank):
            yield match
        elif levels:
            yield from _walk(
                entry.path, file, subfolder, rank=rank, levels=levels - 1, unlisted=unlisted
            )


def _kind(name: str) -> str:
    """Describe a name without an id: `EID_20209_2_0.zip`, or `*.csv`."""
    if re.match(r"\d{7}_\d+_", name):
        return re.sub(r"^\d{7}", "EID", name)
    return f"*{os.path.splitext(name)[1].lower()}"


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or a link to one; a broken or circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _named(entry: "os.DirEntry[str]", rank: int, pattern: re.Pattern[str]) -> BulkFile | None:
    if not (match := pattern.fullmatch(entry.name)):
        return None
    participant, instance, array = match.groups()
    size = _size(entry.path)
    return BulkFile(
        participant, int(instance), entry.path, 0 if size is None else size, None, int(array), rank
    )


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
        size=cine[1] + (segmentation[1] if segmentation else 0),
        segmentation=segmentation[0] if segmentation else None,
        array=int(array or 0),
        folder=rank,
    )


def _inside(folder: str, name: str) -> tuple[str, int] | None:
    """Return the path and size of a file in a folder, whatever the case of its name.

    The exact name is tried first, because listing a small folder takes six times as long.
    """
    path = f"{folder}{os.sep}{name}"
    if (size := _size(path)) is None:
        path = next(
            (f"{folder}{os.sep}{other}" for other in _list(folder) if other.lower() == name), ""
        )
        size = _size(path) if path else None
    return None if size is None else (path, size)


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _size(path: str) -> int | None:
    """Size in bytes, or None if the file does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None
