"""Columns of phenotypes as each export names them, with the values of a few visits."""

from collections.abc import Callable

import numpy as np
import pandas as pd

TITLES = {
    31: "Sex",
    21003: "Age when attended assessment centre",
    50: "Standing height",
    21002: "Weight",
    24100: "LV end diastolic volume",
    24101: "LV end systolic volume",
    24102: "LV stroke volume",
    24103: "LV ejection fraction",
    24104: "LV cardiac output",
    24105: "LV myocardial mass",
    24106: "RV end diastolic volume",
    24107: "RV end systolic volume",
    24108: "RV stroke volume",
    24109: "RV ejection fraction",
}
Name = Callable[[int, int | None], str]


def suffix(instance: int | None) -> str:
    return "" if instance is None else f"_i{instance}"


def title(field: int, instance: int | None) -> str:
    return TITLES[field] + ("" if instance is None else f" | Instance {instance}")


def wild(field: int, instance: int | None) -> str:
    return f"{title(field, instance)}(participant - p{field}{suffix(instance)})"


CONVENTIONS: dict[str, tuple[str, Name]] = {
    "ukbconv": ("eid", lambda f, i: f"{f}-{i or 0}.0"),
    "ukbconv r": ("f.eid", lambda f, i: f"f.{f}.{i or 0}.0"),
    "R data frame": ("eid", lambda f, i: f"X{f}.{i or 0}.0"),
    "Table Exporter": ("eid", lambda f, i: f"p{f}{suffix(i)}"),
    "dx extract_dataset": ("participant.eid", lambda f, i: f"participant.p{f}{suffix(i)}"),
    "titles": ("Participant ID", title),
    "titles with names": ("Participant ID(participant - eid)", wild),
    "titles as R mangles them": (
        "eid",
        lambda f, i: "".join(c if c.isalnum() or c == "_" else "." for c in wild(f, i)),
    ),
}


def visits(count: int = 6) -> dict[tuple[int, int | None], list[object]]:
    """Columns by field and instance; a second visit for the first two participants."""
    random = np.random.default_rng(0)
    columns: dict[tuple[int, int | None], list[object]] = {
        (31, None): list(random.integers(0, 2, count))
    }
    for instance, present in ((2, count), (3, 2)):
        edv, rv_edv = random.uniform(110, 200, count), random.uniform(110, 200, count)
        esv, rv_esv = (
            edv * random.uniform(0.3, 0.5, count),
            rv_edv * random.uniform(0.3, 0.5, count),
        )
        values = {
            21003: random.integers(45, 80, count).astype(float),
            50: random.uniform(150, 190, count),
        }
        values |= {21002: random.uniform(50, 100, count)}
        values |= {
            24100: edv,
            24101: esv,
            24102: edv - esv,
            24103: (edv - esv) / edv * 100,
            24104: (edv - esv) * 0.065,
        }
        values |= {24105: random.uniform(60, 120, count)}
        values |= {
            24106: rv_edv,
            24107: rv_esv,
            24108: rv_edv - rv_esv,
            24109: (rv_edv - rv_esv) / rv_edv * 100,
        }
        for field, column in values.items():
            columns[field, instance] = [
                round(v, 3) if k < present else None for k, v in enumerate(column)
            ]
    return columns


def frame(convention: str, columns: dict[tuple[int, int | None], list[object]]) -> pd.DataFrame:
    eid, name = CONVENTIONS[convention]
    count = len(next(iter(columns.values())))
    return pd.DataFrame(
        {eid: range(9000001, 9000001 + count)}
        | {name(*key): column for key, column in columns.items()}
    )
