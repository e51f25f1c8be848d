"""The names that UK Biobank's exports give to the columns of a phenotype table.

Field 24103 at visit 2 can be named in these ways:

`24103-2.0` (ukbconv csv, Table Exporter UKB-FORMAT), `f.24103.2.0` (ukbconv r), `X24103.2.0` (the
csv as an R data frame), `p24103_i2` (Table Exporter), `participant.p24103_i2` (dx
extract_dataset), and `LV ejection fraction | Instance 2` (Table Exporter FIELD-TITLE), optionally
followed by `(participant - p24103_i2)`, or as R mangles that name.
"""

import re
from collections.abc import Collection, Sequence

SEX = 31
SEX_WORDS = {"female": "0", "f": "0", "male": "1", "m": "1"}
COVARIATES = {"age": 21003, "height_cm": 50, "weight_kg": 21002}
CONVENTIONS = (
    "24100-2.0, f.24100.2.0, X24100.2.0, p24100_i2, participant.p24100_i2, LV end diastolic "
    "volume | Instance 2"
)
Column = tuple[int, int | None, int]  # field, instance and array; a field can have no instances

_ID = re.compile(r"(?:.*\W)?eid\W*|participant[ .]id", re.IGNORECASE)
_NAMES = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:f\.|X)(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:.*\W)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?\W*"),
    re.compile(
        r"(?P<title>[^|]+?)(?: \| Instance (?P<instance>\d+))?(?: \| Array (?P<array>\d+))?"
    ),
)
_TITLES = {
    "sex": SEX,
    "age when attended assessment centre": 21003,
    "standing height": 50,
    "weight": 21002,
    "lv end diastolic volume": 24100,
    "lv end systolic volume": 24101,
    "lv stroke volume": 24102,
    "lv ejection fraction": 24103,
    "lv cardiac output": 24104,
    "lv myocardial mass": 24105,
    "rv end diastolic volume": 24106,
    "rv end systolic volume": 24107,
    "rv stroke volume": 24108,
    "rv ejection fraction": 24109,
    "date of attending assessment centre": 53,
    "uk biobank assessment centre": 54,
    "date of death": 40000,
    "date lost to follow-up": 191,
}
# Fields of first occurrences by the ICD-10 code in their title, of which those here are known.
_FIRST_REPORTED = re.compile(r"date ([a-z]\d\d) first reported.*", re.IGNORECASE)
_FIRST_FIELDS = {
    "e11": 130708,
    "i10": 131286,
    "i20": 131296,
    "i21": 131298,
    "i22": 131300,
    "i25": 131306,
    "i42": 131338,
    "i48": 131350,
    "i50": 131354,
    "i63": 131366,
    "i64": 131368,
}


def id_column(header: Sequence[str]) -> str | None:
    """Return the column of participant ids, None if there is none."""
    for name in header:
        if _ID.fullmatch(name.strip()):
            return name
    return None


def parse(name: str) -> Column | None:
    """Return the field, instance and array of a column name, None for any other column."""
    for pattern in _NAMES:
        match = pattern.fullmatch(name.strip())
        if match is None:
            continue
        parts = match.groupdict()
        if "field" in parts:
            field: int | None = int(parts["field"])
        else:
            field = _of_title(parts["title"].strip())
        if field is not None:
            instance = int(parts["instance"]) if parts["instance"] else None
            return field, instance, int(parts["array"] or 0)
    return None


def _of_title(title: str) -> int | None:
    """Return the field with a title."""
    first = _FIRST_REPORTED.fullmatch(title)
    if first is not None:
        return _FIRST_FIELDS.get(first[1].lower())
    return _TITLES.get(title.lower())


def columns_of(header: Sequence[str], *, fields: Collection[int]) -> dict[Column, list[str]]:
    """Return the columns of some fields, by field, instance and array."""
    columns: dict[Column, list[str]] = {}
    for name in header:
        column = parse(name)
        if column is not None and column[0] in fields:
            columns.setdefault(column, []).append(name)
    return columns
