"""Columns of diseases in the table of another cohort."""

from pathlib import Path

import numpy as np
import pytest

from ptacl.cohort import outcomes
from ptacl.config import Outcomes

SETTINGS = Outcomes.model_validate(
    {
        "diseases": [{"name": "AF"}],
        "follow_up_ends": {},
        "horizon_years": 5,
        "least_events": 20,
        "baseline": None,
    }
)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_masks_who_cannot_be_followed(tmp_path: Path, separator: str) -> None:
    """Who has the disease before, or no time after the visit; other texts count as missing."""
    number = (lambda text: text.replace(".", ",")) if separator == ";" else str
    rows = [
        ("P1", "0", "3.5", "1", [0, 3.5, 1]),
        ("P2", "1", "2.5", "1", [1, np.nan, np.nan]),
        ("P3", "False", "0", "0", [0, np.nan, np.nan]),
        ("P4", "NA", "2.5", "0", [np.nan, np.nan, np.nan]),
        ("P5", "0", "-1.5", "0", [0, np.nan, np.nan]),
        ("P6", "0", "4.5", "", [0, np.nan, np.nan]),
    ]
    lines = [separator.join(["participant", "visit", "AF before", "AF years", "AF event"])]
    for person, before, years, event, _ in rows:
        lines.append(separator.join([person, "1", before, number(years), event]))
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(lines) + "\n")
    visits = [f"{row[0]}_1" for row in rows]
    found, counts = outcomes.of_table(visits, path, SETTINGS)
    expected = np.array([row[-1] for row in rows], float)
    np.testing.assert_array_equal(found.drop(columns="visit").to_numpy(float), expected)
    assert counts["AF"]["followed"] == 1
    bad = path.read_text().replace(f"{number('3.5')}{separator}1", f"{number('3.5')}{separator}3")
    path.write_text(bad)
    with pytest.raises(ValueError, match="'AF event' is none of 0, 1, 2"):
        outcomes.of_table(visits, path, SETTINGS)
