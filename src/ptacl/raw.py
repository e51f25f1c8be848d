"""Read raw files and list folders on storage that can fail.

A record is excluded for faults of its own only. If the storage fails (a network mount, a FUSE
mount, a disk), the read is tried again after :data:`WAITS_S`, and then :class:`Unavailable` stops
the job, so that a failing mount never makes a cohort smaller. All raw files and folders are read
here.
"""

import errno
import io
import logging
import os
import random
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

from ptacl.exclusions import Excluded, Reason

LOG = logging.getLogger(__name__)

UNAVAILABLE = 75  # exit status of a stage or command, EX_TEMPFAIL of sysexits.h
WAITS_S = (1.0, 4.0, 15.0, 60.0)  # before each further try
LARGEST_BYTES = 2**29  # more than any raw file of a record has
_SPREAD = 0.3  # waits vary by this share, so that jobs do not come back at the same time
_CHUNK_BYTES = 2**20
# The file itself is gone, or is of another kind.
_OF_THE_FILE = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
)
# Another try cannot help.
_REMEDIES = {
    errno.EPERM: "the right to read has expired or was withdrawn: log in again, or mount again",
    errno.EACCES: "no permission, or the file is archived: change the permissions, unarchive it "
    "(dx unarchive), or remove it from the cohort",
    errno.ENOTCONN: "the mount has died: mount it again",
}
_SHORT = (
    "if files were replaced by smaller ones, run snakemake --forcerun manifest; otherwise the "
    "storage gives incomplete files"
)
_AGAIN = "repair the storage, and run the same command again; finished jobs are kept"

Result = TypeVar("Result")


class Unavailable(BaseException):
    """Raised if storage cannot be read; the text names the cause and the remedy, and no path.

    It is not an Exception, because readers and their libraries take any Exception for damage of the
    file, which would exclude the record.
    """


class _ShortRead(Exception):
    """Raised if a file ends before its size."""


Contents = Mapping[str, "Future[bytes]"]
_NOTHING: Mapping[str, Any] = MappingProxyType({})
# By path, for the record that is read: sizes in bytes that the manifest recorded, and contents that
# are read ahead.
_SIZES: ContextVar[Mapping[str, int]] = ContextVar("_SIZES", default=_NOTHING)
_AHEAD: ContextVar[Contents] = ContextVar("_AHEAD", default=_NOTHING)


@contextmanager
def listed(sizes: Mapping[str, int], *, ahead: Contents = _NOTHING) -> Iterator[None]:
    """Read files whose sizes are known, by path, and whose contents may have been read ahead.

    A failing mount can report the size that it could read, so only a recorded size shows that
    something is missing.
    """
    tokens = _SIZES.set(sizes), _AHEAD.set(ahead)
    try:
        yield
    finally:
        _SIZES.reset(tokens[0])
        _AHEAD.reset(tokens[1])


def read(path: Path | str, *, largest: int) -> bytes:
    """Return the content of a regular file, which is refused if it has more than `largest` bytes.

    Raises Excluded(MISSING_FILE) if the file does not exist, Excluded(UNREADABLE) if it is too
    large or no regular file, and Unavailable if the storage fails.
    """
    if known := _AHEAD.get().get(str(path)):
        content = known.result()
        if len(content) > largest:
            raise _too_large(largest)
        return content
    try:
        return _patiently(lambda: _content(path, largest=largest), path)
    except OSError as error:
        raise excluded(error) from None


def excluded(error: OSError) -> Excluded:
    """Return the exclusion of a file or folder that does not exist, or is of another kind."""
    if error.errno == errno.ENOENT:
        return Excluded(Reason.MISSING_FILE)
    return Excluded(Reason.UNREADABLE, error.strerror or type(error).__name__)


def _content(path: Path | str, *, largest: int) -> bytes:
    descriptor = _open(path)
    try:
        size = _size(path, descriptor)
        if size > largest:
            raise _too_large(largest)
        chunks: list[bytes] = []
        missing = size
        while missing and (chunk := os.read(descriptor, missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    finally:
        os.close(descriptor)
    if missing:
        raise _ShortRead(f"{size - missing:,} of {size:,} bytes could be read")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(largest: int) -> Excluded:
    return Excluded(Reason.UNREADABLE, f"larger than {largest // 2**20} MiB")


def _open(path: Path | str) -> int:
    """Open a regular file; opening a pipe would wait forever, and a device might never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Excluded(Reason.UNREADABLE, "not a regular file")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _size(path: Path | str, descriptor: int) -> int:
    """Return the size of an open file, or the recorded size if that is larger."""
    return max(os.fstat(descriptor).st_size, _SIZES.get().get(str(path), 0))


def open_file(path: Path | str) -> BinaryIO:
    """Open a file to read parts of it, with the same tries as :func:`read` for each part.

    Raises OSError if it does not exist, and Excluded if it is no regular file.
    """
    if known := _AHEAD.get().get(str(path)):
        return io.BytesIO(known.result())
    return io.BufferedReader(_Patient(path), _CHUNK_BYTES)


class _Patient(io.RawIOBase):
    """A file that is opened again, at the same position, if a read fails."""

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self._path, self._position, self._length = path, 0, 0
        self._descriptor: int | None = None
        _patiently(self._opened, path)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = _open(self._path)
            self._length = _size(self._path, self._descriptor)
        return self._descriptor

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        count = _patiently(lambda: self._part(buffer), self._path)
        self._position += count
        return count

    def _part(self, buffer: "memoryview[int]") -> int:
        try:
            count = os.preadv(self._opened(), [buffer], self._position)
            if len(buffer) and not count and self._position < self._length:
                raise _ShortRead(f"{self._position:,} of {self._length:,} bytes could be read")
        except (OSError, _ShortRead):
            self._forget()
            raise
        return count

    def _forget(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def close(self) -> None:
        self._forget()
        super().close()


def entries(folder: Path | str) -> "list[os.DirEntry[str]]":
    """List a folder, sorted by name; raises OSError if it does not exist or is no folder."""

    def scan() -> "list[os.DirEntry[str]]":
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)

    return _patiently(scan, folder)


def status(path: Path | str) -> os.stat_result | None:
    """Return the status of a path, None if it does not exist."""
    try:
        return _patiently(lambda: os.stat(path), path)
    except OSError:
        return None


def size(path: Path | str) -> int | None:
    """Return the size of a file in bytes, None if it does not exist."""
    found = status(path)
    return None if found is None else found.st_size


def is_folder(path: "Path | str | os.DirEntry[str]") -> bool:
    """Return whether a path is a folder or a link to one; a broken or circular link is not.

    An entry of a listed folder is usually known without another call of the system.
    """
    if isinstance(path, os.DirEntry):
        try:
            return _patiently(path.is_dir, path.path)
        except OSError:
            return False
    found = status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(path: Path | str) -> bool:
    """Return whether a path is a regular file or a link to one."""
    found = status(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def _patiently(action: Callable[[], Result], path: Path | str) -> Result:
    """Run an action on a path, and again after each wait as long as the storage fails.

    Raises OSError for faults of the path itself, and Unavailable if no try succeeds.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return action()
        except _ShortRead as error:
            problem, remedy = str(error), _SHORT
        except OSError as error:
            if error.errno in _OF_THE_FILE:
                _require_place(path)
                raise
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            problem, remedy = f"{name} ({error.strerror})", _AGAIN
            if error.errno in _REMEDIES:
                raise Unavailable(f"{problem}: {_REMEDIES[error.errno]}") from None
        if wait_s is None:
            break
        LOG.warning("the storage fails: %s; next try in about %g s", problem, wait_s)
        time.sleep(wait_s * random.uniform(1 - _SPREAD, 1 + _SPREAD))
    tries = len(WAITS_S) + 1
    raise Unavailable(f"a raw file cannot be read, after {tries} tries: {problem}: {remedy}")


def _require_place(path: Path | str) -> None:
    """Require the folder of a file that the manifest recorded, or a folder above it with entries.

    A participant's own folder can be deleted with its files. But if the folder above has nothing
    either, the storage is no longer mounted, and the file is not gone.
    """
    if not _SIZES.get().get(str(path), 0):
        return
    folder = Path(path).parent
    try:
        if folder.is_dir() or any(folder.parent.iterdir()):
            return
    except OSError as error:
        if error.errno not in _OF_THE_FILE:
            raise Unavailable(f"the folder of a raw file: {error.strerror}: {_AGAIN}") from None
    raise Unavailable("the folder of a raw file does not exist: mount the storage again")
