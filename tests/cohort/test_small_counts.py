"""Small counts are hidden in the diagram, its JSON and the page."""

import re
from pathlib import Path

import pytest
from flow_stage import prepared

from ptacl.cohort import small_counts
from ptacl.report import page


def test_counts_below_the_least_are_hidden_and_others_are_not() -> None:
    counts = {"a": [0, 1, 4], "b": {"c": 5, "d": 12, "e": "text", "f": 0.5}}
    assert small_counts.hidden(counts, least=5) == {
        "a": [0, "<5", "<5"],
        "b": {"c": 5, "d": 12, "e": "text", "f": 0.5},
    }
    assert small_counts.hidden(counts, least=0) == counts


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([1000, 2], 1002), ([1000, "<5"], "1,000 or more"), (["<5", "<5"], "<5"), ([], 0)],
)
def test_a_sum_does_not_reveal_a_hidden_count(counts: list, expected: object) -> None:
    assert small_counts.total(counts) == expected


def test_the_diagram_shows_no_small_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(tmp_path, monkeypatch)
    exact, hidden = run(), run(smallest=5)
    assert exact["exclusions"]["ecg"]["flat lead"] == 2
    assert hidden["exclusions"]["ecg"]["flat lead"] == "<5"
    assert hidden["steps"][0]["visits"] == exact["steps"][0]["visits"] == 18
    drawn = (tmp_path / "results/flow.svg").read_text()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    numbers = [int(found) for text in texts for found in re.findall(r"^(?:of )?(\d+)", text)]
    assert numbers and not [number for number in numbers if 0 < number < 5]
    assert "&lt;5" in drawn


def test_notes_on_tables_with_hidden_counts() -> None:
    checks = {
        "unreadable": {"LVEF": {"unit": 20, "not a number": "<5"}},
        "implausible": {"LVM": "<5"},
    }
    assert page.table_notes(checks) == [
        "LVEF: 20 or more cells not read (unit 20, not a number <5)",
        "LVM: <5 implausible",
    ]
