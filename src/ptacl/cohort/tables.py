"""Reading of phenotype tables: CSV and TSV as exports write them (UTF-8 or UTF-16, also gzipped), and parquet.

A table that is cut or shifted is refused as a whole: values in the wrong column look like values.
"""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

_ROWS = 20000
_GZIP, _UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
_REASONS = {
    "thousands separator": re.compile(r"[+-]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d*)?"),
    "decimal comma": re.compile(r"[+-]?\d+,\d+"),
    "unit": re.compile(r"[+-]?\d+(?:\.\d*)?\s*[A-Za-zµ%/²³]+\S*"),
}


def header(path: Path) -> list[str]:
    """Names of the columns. ValueError names a file that is no table, or one with a structural fault (:func:`check`)."""
    if path.suffix == ".parquet":
        import pyarrow.parquet  # type: ignore[import-untyped]

        try:
            return list(pyarrow.parquet.read_schema(path).names)
        except ValueError as error:  # pyarrow's own derive from it, and name no file
            raise ValueError(f"{path}: not a CSV, TSV or parquet table ({error})") from error
    return check(path)


def check(path: Path) -> list[str]:
    """The header of a text table, all of whose rows have as many fields as it.

    ValueError, with file and line: a row of more or fewer fields, a name that stands twice, a last line without an end (a file
    that was cut within a number reads like a whole one), or bytes that are no text.
    """
    end = ["\n"]
    try:
        with open_text(path) as lines:
            rows = csv.reader(_watched(lines, end), delimiter=separator(path))
            head = next(rows, [])
            for row in rows:
                if row and len(row) != len(head):
                    raise ValueError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, but the header has {len(head)}: a separator within a "
                        "value needs quotes; export the table again"
                    )
    except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise ValueError(f"{path}: not a CSV, TSV or parquet table, or a damaged one ({error}): export it again") from error
    if not head:
        raise ValueError(f"{path}: not a CSV, TSV or parquet table, but an empty file")
    if twice := [name for name, count in Counter(head).items() if count > 1 and name.strip()]:
        raise ValueError(f"{path}: the header names {twice[0]!r} twice: which one holds is not known; remove one")
    if not end[0].endswith(("\n", "\r")):
        raise ValueError(
            f"{path}: the last line has no end, as in a file that was cut; copy it again, or end the line if it is whole"
        )
    return head


def _watched(lines: Iterable[str], last: list[str]) -> Iterator[str]:
    """The lines, of which the latest is kept in `last`."""
    for line in lines:
        last[0] = line
        yield line


def pieces(path: Path, *, columns: list[str]) -> Iterator[pd.DataFrame]:
    """The columns asked for, some rows at a time; the first column is the id, read as text."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        batches = pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=_ROWS, columns=columns)
        yield from (batch.to_pandas(ignore_metadata=True) for batch in batches)
        return
    with open_text(path) as text:
        types = {columns[0]: "string"}
        yield from pd.read_csv(text, sep=separator(path), usecols=columns, dtype=types, low_memory=False, chunksize=_ROWS)


def separator(path: Path) -> str:
    """A tab if the header has one: titles may contain commas, never tabs."""
    with open_text(path) as lines:
        return "\t" if "\t" in lines.readline() else ","


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file, unpacked if it is gzipped, as UTF-16 where it says so, else as UTF-8."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        stream: Any = gzip.open(raw) if packed else raw
        encoding = "utf-16" if stream.read(2) in _UTF16 else "utf-8-sig"
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as text:
            yield text


def numbers(column: "pd.Series[float]") -> "tuple[pd.Series[float], Counter[str]]":
    """Finite numbers of a column, NaN elsewhere, and how many cells that hold something could not be read, by reason."""
    found = pd.to_numeric(column, errors="coerce").astype(float)
    text = column[column.notna() & found.isna()].astype(str).str.strip()
    reasons = Counter(
        next((reason for reason, form in _REASONS.items() if form.fullmatch(cell)), "not a number") for cell in text if cell
    )
    return found.where(np.isfinite(found)), reasons
