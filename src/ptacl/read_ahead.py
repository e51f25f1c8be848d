"""Read the files of the next records while one is examined, so that a slow mount is waited for once
and not once per file.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ptacl import raw

RECORDS = 4  # read ahead, each by a thread of its own; a cine of UK Biobank has 40 MB

Member = Mapping[str, str]


@dataclass(frozen=True)
class Ready:
    """A row of a shard's list, with the sizes and the contents of its files by path."""

    member: Member
    sizes: dict[str, int]
    contents: "dict[str, Future[bytes]]"


def each(members: Iterable[Member], *, names: Sequence[str]) -> Iterator[Ready]:
    """Yield the members in their order; the files in the columns `names` are read ahead.

    An error of a read is raised when the file is used.
    """
    pool = ThreadPoolExecutor(RECORDS)
    waiting: deque[Ready] = deque()
    try:
        for member in members:
            paths = [member[name] for name in names if member.get(name)]
            sizes = _sizes(member, names)
            contents = {path: pool.submit(_read, path, sizes) for path in paths}
            waiting.append(Ready(member, sizes, contents))
            if len(waiting) > RECORDS:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _read(path: str, sizes: Mapping[str, int]) -> bytes:
    with raw.listed(sizes):
        return raw.read(path, largest=raw.LARGEST_BYTES)


def _sizes(member: Member, names: Sequence[str]) -> dict[str, int]:
    """Return the sizes of the files of a member by path, as the manifest recorded them."""
    sizes = {}
    for name in names:
        if member.get(name) and member.get(f"{name}_bytes"):
            sizes[member[name]] = int(member[f"{name}_bytes"])
    return sizes
