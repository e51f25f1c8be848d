"""Read phenotype tables in CSV, TSV and parquet format.

Text tables have commas, semicolons or tabs between the fields; with semicolons, numbers can have
decimal commas. They are UTF-8 or UTF-16, and can be gzipped. A table that is truncated or has
shifted columns is rejected as a whole, because a value in the wrong column looks like a valid
value.
"""

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from ptacl import raw

_ROWS = 20000
_GZIP, _UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
_ZIP, _OLD_OFFICE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # workbooks of Excel since 2007, and before
_QUOTED = re.compile(r'"[^"]*"')
_DECIMAL_COMMA = r"[+-]?\d+,\d+"
_REASONS = {
    "thousands separator": re.compile(r"[+-]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d*)?"),
    "decimal comma": re.compile(_DECIMAL_COMMA),
    "unit": re.compile(r"[+-]?\d+(?:\.\d*)?\s*[A-Za-zµ%/²³]+\S*"),
}
_UNKNOWN = "not a number"
_COMMON = 10  # a text in at least this many cells tells nothing about a person


def header(path: Path) -> list[str]:
    """Return the names of the columns.

    A file that is not a table, or that has a structural fault (:func:`check`), raises ValueError.
    """
    with raw.open_file(path) as file:
        start = file.read(4)
    if start in (_ZIP, _OLD_OFFICE):
        kind = "an Excel workbook" if start == _OLD_OFFICE or _workbook(path) else "a zip archive"
        raise ValueError(
            f"{path}: this is {kind}, not a CSV, TSV or parquet table: "
            + ("save its sheet as CSV" if kind == "an Excel workbook" else "unpack it")
        )
    if path.suffix == ".parquet":
        import pyarrow.parquet  # type: ignore[import-untyped]

        try:
            with raw.open_file(path) as file:
                return list(pyarrow.parquet.read_schema(file).names)
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

        with raw.open_file(path) as file:
            table = pyarrow.parquet.ParquetFile(file)
            for batch in table.iter_batches(batch_size=_ROWS, columns=columns):
                yield batch.to_pandas(ignore_metadata=True)
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


def _workbook(path: Path) -> bool:
    try:
        with raw.open_file(path) as packed, zipfile.ZipFile(packed) as file:
            return any(name.startswith("xl/") for name in file.namelist())
    except zipfile.BadZipFile:
        return False


def separator(path: Path) -> str:
    """Return what separates the fields of the header: tab, semicolon or comma.

    A header with any tab has tabs, because titles can hold commas, but no tabs. Otherwise, it is
    the more frequent one of semicolon and comma outside quotes.
    """
    with open_text(path) as lines:
        line = _QUOTED.sub("", lines.readline())
    return "\t" if "\t" in line else ";" if line.count(";") > line.count(",") else ","


def decimal_comma(path: Path) -> bool:
    """Return whether numbers of the table can have a decimal comma: if semicolons separate them."""
    return path.suffix != ".parquet" and separator(path) == ";"


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzipped or not, as UTF-16 if its byte order mark says so, else as UTF-8."""
    with raw.open_file(path) as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        stream: Any = gzip.open(file) if packed else file
        encoding = "utf-16" if stream.read(2) in _UTF16 else "utf-8-sig"
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as text:
            yield text


def numbers(
    column: "pd.Series[Any]", *, decimal_comma: bool = False
) -> "tuple[pd.Series[float], Counter[str]]":
    """Return the finite numbers of a column, with NaN for all other cells.

    Cells that are not empty but cannot be read are counted by reason. A text that is common among
    them is its own reason.
    """
    if decimal_comma and column.dtype.kind not in "iufb":
        column = column.astype("string").str.replace(
            rf"^\s*({_DECIMAL_COMMA})\s*$", lambda m: m.group(1).replace(",", "."), regex=True
        )
    found = pd.to_numeric(column, errors="coerce").astype(float)
    text = column[column.notna() & found.isna()].astype(str).str.strip()
    counts = Counter(text)
    reasons: Counter[str] = Counter()
    for cell, count in counts.items():
        if cell:
            reason = _reason(cell)
            known = reason != _UNKNOWN or count < _COMMON
            reasons[reason if known else f"the text {cell[:20]!r}"] += count
    return found.where(np.isfinite(found)), reasons


def _reason(cell: str) -> str:
    """Return why a cell is not a number."""
    for reason, form in _REASONS.items():
        if form.fullmatch(cell):
            return reason
    return _UNKNOWN
