"""Write phenotype tables in each column convention of UK Biobank, and a withdrawal list."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ptacl.cohort.simulation import diseases
from ptacl.cohort.simulation.causes import PHENOTYPES
from ptacl.cohort.simulation.diseases import CENTRES, DEATH

FIELDS = {name: 24100 + k for k, name in enumerate(PHENOTYPES)} | {
    "height_cm": 50,
    "weight_kg": 21002,
    "age": 21003,
    "visit_date": 53,
}
WITHOUT_INSTANCE = {"sex": 31, "lost": 191} | diseases.FIELDS
OF_OTHER_INSTANCES = {("centre", 0): 54, (DEATH, 0): 40000, (DEATH, 1): 40000}

# values by name and instance; fields without instances have instance 0
Row = Mapping[tuple[str, int], float | str]

_DECIMALS = {"sex": 0, "age": 0, "height_cm": 1, "weight_kg": 1, "LVCO": 3}


def write_tables(folder: Path, rows: Mapping[str, Row], *, instances: Sequence[int]) -> None:
    """Write the same values in four conventions, with one row per participant.

    The conventions are ukbconv csv, ukbconv r, Table Exporter and dx extract_dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = {(name, 0): number for name, number in WITHOUT_INSTANCE.items()} | OF_OTHER_INSTANCES
    for instance in instances:
        columns |= {(name, instance): number for name, number in FIELDS.items()}

    def write(
        file: str,
        *,
        name: Callable[[int, int], str],
        eid: str,
        separator: str,
        missing: str,
        text: bool,
    ) -> None:
        names = [name(number, instance) for (_, instance), number in columns.items()]
        lines = [separator.join([eid, *names])]
        for person, row in rows.items():
            cells = [_cell(row, column, missing=missing, text=text) for column in columns]
            lines.append(separator.join([person, *cells]))
        (folder / file).write_text("\n".join(lines) + "\n")

    def short(field: int, i: int) -> str:
        return f"p{field}" if field in WITHOUT_INSTANCE.values() else f"p{field}_i{i}"

    write(
        "ukbconv.csv",
        name=lambda f, i: f"{f}-{i}.0",
        eid="eid",
        separator=",",
        missing="",
        text=False,
    )
    write(
        "r.tab",
        name=lambda f, i: f"f.{f}.{i}.0",
        eid="f.eid",
        separator="\t",
        missing="NA",
        text=False,
    )
    write("table_exporter.csv", name=short, eid="eid", separator=",", missing="", text=True)
    write(
        "dataset.csv",
        name=lambda f, i: f"participant.{short(f, i)}",
        eid="participant.eid",
        separator=",",
        missing="",
        text=False,
    )


def write_withdrawals(folder: Path, persons: Sequence[str]) -> None:
    """Write the list as UK Biobank sends it, with one id per line and no header."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "w00000_20260101.csv").write_text("".join(f"{person}\n" for person in persons))


def _cell(row: Row, column: tuple[str, int], *, missing: str, text: bool) -> str:
    value = row.get(column)
    if value is None:
        return missing
    if column[0] == "sex" and text:
        return "Male" if value else "Female"
    if column[0] == "centre" and text:
        return CENTRES[int(value)]
    if isinstance(value, str):
        return value
    return f"{value:.{_DECIMALS.get(column[0], 2)}f}"
