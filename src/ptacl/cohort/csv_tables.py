"""Read phenotype tables in CSV, TSV and parquet format.

CSV and TSV files are UTF-8 or UTF-16, and can be gzipped. A table that is truncated or has
shifted columns is rejected as a whole, because a value in the wrong column looks like a valid
value.
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
    """Return the names of the columns.

    A file that is not a table, or that has a structural fault (:func:`check`), raises ValueError.
    """
    if path.suffix == ".parquet":
        import pyarrow.parquet  # type: ignore[import-untyped]

        try:
            return list(pyarrow.parquet.read_schema(path).names)
        except (
            ValueError
        ) as error:  # pyarrow's errors derive from ValueError and do not name the file
            raise ValueError(f"{path}: not a CSV, TSV or parquet table ({error})") from error
    return check(path)


def check(path: Path) -> list[str]:
    """Check that all rows of a text table have as many fields as its header, and return the header.

    ValueError names the file, and the line if a row has more or fewer fields. It is also raised
    if a column name occurs twice, if the bytes are not text, or if the last line has no line end:
    a file that was cut within a number would otherwise be read as complete.
    """
    end = ["\n"]
    try:
        with open_text(path) as lines:
            rows = csv.reader(_watched(lines, end), delimiter=separator(path))
            head = next(rows, [])
            for row in rows:
                if row and len(row) != len(head):
                    raise ValueError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, but the header "
                        f"has {len(head)}: put quotes around "
                        "a value that contains a separator, or export the table again"
                    )
    except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise ValueError(
            f"{path}: not a CSV, TSV or parquet table, or a damaged one ({error}): export "
            "the table again"
        ) from error
    if not head:
        raise ValueError(
            f"{path}: not a CSV, TSV or parquet table, because the file is empty: export "
            "the table again"
        )
    if twice := [name for name, count in Counter(head).items() if count > 1 and name.strip()]:
        raise ValueError(
            f"{path}: the header has the column {twice[0]!r} twice: remove the wrong one"
        )
    if not end[0].endswith(("\n", "\r")):
        raise ValueError(
            f"{path}: the last line has no line end, so the file may be truncated: "
            "copy it again, or add a line end if it is complete"
        )
    return head


def _watched(lines: Iterable[str], last: list[str]) -> Iterator[str]:
    """Yield the lines, and keep the latest one in `last`."""
    for line in lines:
        last[0] = line
        yield line


def pieces(path: Path, *, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield the requested columns in chunks of rows; the first column is the id, read as text."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        batches = pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=_ROWS, columns=columns)
        yield from (batch.to_pandas(ignore_metadata=True) for batch in batches)
        return
    with open_text(path) as text:
        types = {columns[0]: "string"}
        yield from pd.read_csv(
            text,
            sep=separator(path),
            usecols=columns,
            dtype=types,
            low_memory=False,
            chunksize=_ROWS,
        )


def separator(path: Path) -> str:
    """Return a tab if the header has one, else a comma: titles can hold commas, but no tabs."""
    with open_text(path) as lines:
        return "\t" if "\t" in lines.readline() else ","


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzipped or not, as UTF-16 if its byte order mark says so, else as UTF-8."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        stream: Any = gzip.open(raw) if packed else raw
        encoding = "utf-16" if stream.read(2) in _UTF16 else "utf-8-sig"
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as text:
            yield text


def numbers(column: "pd.Series[float]") -> "tuple[pd.Series[float], Counter[str]]":
    """Return the finite numbers of a column, with NaN for all other cells.

    Cells that are not empty but cannot be read are counted by reason.
    """
    found = pd.to_numeric(column, errors="coerce").astype(float)
    text = column[column.notna() & found.isna()].astype(str).str.strip()
    reasons = Counter(_reason(cell) for cell in text if cell)
    return found.where(np.isfinite(found)), reasons


def _reason(cell: str) -> str:
    """Return why a cell is not a number."""
    for reason, form in _REASONS.items():
        if form.fullmatch(cell):
            return reason
    return "not a number"
