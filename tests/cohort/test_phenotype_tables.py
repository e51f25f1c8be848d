"""Tables that would shift, lose or doubt in silence: each fault stops with file and line, or is
counted.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ptacl import config
from ptacl.cohort import csv_tables, phenotypes

HEAD = "eid,24100-2.0,24101-2.0"
ROWS = ["9000001,150.5,60", "9000002,140,55.25", "9000003,130,50"]
Read = Callable[..., phenotypes.PhenotypeTable]


@pytest.fixture
def read(root: Path, tmp_path: Path) -> Read:
    """Read a table of LVEDV and LVESV from its text."""
    known = [
        p for p in config.load(root / "config.yaml").cohort.phenotypes if p.field in (24100, 24101)
    ]

    def call(
        *lines: str, content: bytes | None = None, name: str = "t.csv"
    ) -> phenotypes.PhenotypeTable:
        (tmp_path / name).write_bytes(
            "".join(line + "\n" for line in lines).encode() if content is None else content
        )
        return phenotypes.read_tables(
            [tmp_path / name], phenotypes=known, instances=[2], identity_tolerance=0.02
        )

    return call


def test_a_sound_table_has_nothing_to_count(read: Read) -> None:
    found = read(HEAD, *ROWS)
    assert (
        found.values["LVEDV"].tolist() == [150.5, 140, 130]
        and found.unreadable == {}
        and found.repeated == 0
    )


@pytest.mark.parametrize("row", ["9000002,140,5,55.25", "9000002,140", '9000002,"140,55.25'])
def test_a_row_of_another_number_of_fields_stops_with_its_line(read: Read, row: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"t\.csv, line [34]: .* fields, but the header has 3: .*export the table again",
    ) as error:
        read(HEAD, ROWS[0], row, ROWS[2])
    assert "9000" not in str(error.value).replace("9000002,", "")


def test_a_file_that_ends_within_a_number_is_not_read(read: Read) -> None:
    whole = "\n".join([HEAD, *ROWS])
    with pytest.raises(
        ValueError, match=r"t\.csv: the last line has no line end, so the file may be truncated"
    ):
        read(content=whole[:-1].encode())
    assert len(read(content=(whole + "\r\n").encode()).values) == 3


@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_encodings_and_gzip_give_the_same_values(
    read: Read, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    text = "\n".join([HEAD, *ROWS]) + "\n"
    content = (
        b"\xff\xfe" + text.encode("utf-16-le")
        if encoding == "utf-16-le-bom"
        else text.encode(encoding)
    )
    pd.testing.assert_frame_equal(read(content=pack(content)).values, read(HEAD, *ROWS).values)


def test_a_cut_gzip_is_named(read: Read) -> None:
    packed = gzip.compress("\n".join([HEAD, *ROWS, ""]).encode())
    with pytest.raises(
        ValueError,
        match=r"t\.csv: not a CSV, TSV or parquet table, or a damaged one .*export the table again",
    ):
        read(content=packed[:-12])


def test_the_same_name_twice_is_refused(read: Read) -> None:
    with pytest.raises(ValueError, match=r"t\.csv: the header has the column '24100-2\.0' twice"):
        read("eid,24100-2.0,24100-2.0,24101-2.0", "9000001,150,150,60")


def test_two_columns_of_a_field_must_agree_and_are_counted(read: Read) -> None:
    head = "eid,24100-2.0,p24100_i2,24101-2.0"
    found = read(head, "9000001,150,150.0,60", "9000002,,140,55", "9000003,130,,50")
    assert found.values["LVEDV"].tolist() == [150, 140, 130] and found.repeated == 1
    with pytest.raises(
        ValueError,
        match=(
            r"t\.csv: the columns 24100-2\.0 and p24100_i2 hold the same field, but differ in "
            r"1 rows"
        ),
    ):
        read(head, "9000001,150,151,60")


def test_a_visit_in_two_rows_must_agree_and_is_counted(read: Read) -> None:
    found = read(HEAD, *ROWS, "9000001,150.5,", "9000002,140,55.25")
    assert found.repeated == 2 and found.values.loc["9000001_2"].tolist()[-2:] == [150.5, 60]
    with pytest.raises(
        ValueError, match=r"t\.csv: 1 visits have several rows that differ in LVEDV"
    ) as error:
        read(HEAD, *ROWS, "9000001,149,60")
    assert "9000" not in str(error.value)


def test_cells_that_cannot_be_read_are_counted_by_column_and_reason(read: Read) -> None:
    cells = ['"1,137.49"', '"137,5"', "137 mL", "12%", "high", "", "137", "inf", "NA"]
    found = read(HEAD, *(f"{9000001 + i},{cell},60" for i, cell in enumerate(cells)))
    assert found.unreadable == {
        "LVEDV": {"decimal comma": 1, "not a number": 1, "thousands separator": 1, "unit": 2}
    }
    assert found.values["LVEDV"].notna().sum() == 1 and found.values["LVESV"].notna().all()


def test_a_table_is_read_in_pieces(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tables, "_ROWS", 2)
    assert read(HEAD, *ROWS).values["LVEDV"].tolist() == [150.5, 140, 130]
