"""Files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end; an earlier file stays until then, and after an error.

    A process that is killed leaves a file that ends in `.partial`, which the next one overwrites.
    """
    partial = path.with_name(f"{path.name}.partial")
    yield partial
    partial.replace(path)


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content)


def write_if_other(path: Path, content: bytes) -> bool:
    """Write a file only where its content differs, so that what depends on it does not run again; whether it was written."""
    if path.is_file() and path.read_bytes() == content:
        return False
    write(path, content)
    return True
