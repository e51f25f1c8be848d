"""What files hold, for Snakemake: digests that decide whether a job runs again, in place of their times."""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path


def of_files(paths: Sequence[str]) -> str:
    """Hexadecimal digest of the bytes of some files, in order."""
    return _joined(_bytes(path, *_stamp(path)) for path in paths)


def of_stores(manifests: Sequence[str]) -> str:
    """Hexadecimal digest of the visits and arrays of some stores, by their manifests; facts about quality do not count."""
    return _joined(_store(path, *_stamp(path)) for path in manifests)


def _joined(parts: "Sequence[str] | object") -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]  # type: ignore[arg-type]


def _stamp(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size


@functools.cache
def _bytes(path: str, *stamp: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@functools.cache
def _store(path: str, *stamp: int) -> str:
    manifest = json.loads(Path(path).read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps([manifest["visits"], manifest["stored"]]).encode()).hexdigest()
