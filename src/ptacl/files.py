"""Write files that are either complete or absent, and name and identify files."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = "model.safetensors"  # in the folder of a model
MAP_PREFIX = "ptacl-map-"  # only the names of maps (:mod:`ptacl.learning.maps`) begin with this


def digest(path: Path) -> str:
    """Return a hash of the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def map_folder(text: str) -> Path | None:
    """Return the folder of the maps from the settings, None if maps are off.

    It can contain variables such as $TMPDIR, because it differs between machines; an unset variable
    stays in the name. Nothing else of the configuration depends on the environment.
    """
    return Path(os.path.expandvars(text)) if text else None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces `path` at the end.

    An earlier file stays until then, and also after an error. A killed process leaves a file that
    ends in `.partial`, which the next one overwrites.
    """
    partial = path.with_name(f"{path.name}.partial")
    yield partial
    partial.replace(path)


def write(path: Path, content: bytes) -> None:
    """Write a file, completely or not at all."""
    with whole(path) as partial:
        partial.write_bytes(content)


def write_if_other(path: Path, content: bytes) -> bool:
    """Write a file only if its content differs, so that later stages do not rerun for nothing.

    Returns whether it was written.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    write(path, content)
    return True
