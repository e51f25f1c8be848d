"""Bad phenotype tables by kind: those that must stop, naming the file, and those whose cells are
counted.
"""

import gzip
from collections.abc import Iterator

HEAD = "eid,24100-2.0,24101-2.0"
ROWS = [f"{9000001 + k},{140 + k}.5,{50 + k}" for k in range(6)]
TEXT = "\n".join([HEAD, *ROWS, ""])


def stops() -> Iterator[tuple[str, bytes]]:
    """Name and content of tables that must not be read."""
    for line in range(1, len(ROWS) + 1):
        lines = TEXT.split("\n")
        yield (
            f"a field more in line {line + 1}",
            "\n".join([*lines[:line], lines[line] + ",7", *lines[line + 1 :]]).encode(),
        )
        yield (
            f"a field less in line {line + 1}",
            "\n".join([*lines[:line], lines[line].rpartition(",")[0], *lines[line + 1 :]]).encode(),
        )
    yield "decimal commas", TEXT.replace(".5", ",5").encode()
    yield "ends within a number", TEXT.rstrip("\n")[:-1].encode()
    yield "empty", b""
    yield "an image", b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    yield "half a gzip", gzip.compress(TEXT.encode())[:-12]
    yield "a column twice", TEXT.replace("24101-2.0", "24100-2.0").encode()
    yield "no id", TEXT.replace("eid", "person").encode()
    yield "ids that are words", TEXT.replace("900000", "person").encode()
    yield "a visit twice that differs", (TEXT + "9000001,99,60\n").encode()
    yield (
        "two columns of a field that differ",
        b"eid,24100-2.0,p24100_i2,24101-2.0\n9000001,150,151,60\n",
    )


def counted() -> Iterator[tuple[str, str, str]]:
    """Name, text of a table with one bad cell, and the phenotype that must be counted."""
    for cell in ("137 mL", "1;5", "n/a?", "--", "1e", "0x10"):
        yield f"the cell {cell!r}", TEXT.replace("140.5", cell, 1), "LVEDV"
    yield "thousands", TEXT.replace("140.5", '"1,137.49"', 1), "LVEDV"
