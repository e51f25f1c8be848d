"""Diseases before and after a visit, from the dates in phenotype tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptacl import config
from ptacl.cohort import date_tables, outcomes
from ptacl.config import Disease, Outcomes

VISIT = "2018-06-15"
ENDS = {"England": "2022-10-31", "Scotland": "2021-07-31", "Wales": "2018-02-28"}
DAY = 1 / 365.25
# first date of AF, death, loss, centre -> before, years, event
CASES = {
    "never": ("", "", "", "11025", 0, "2022-10-31", 0),
    "on the day of the visit": (VISIT, "", "", "11025", 1, None, None),
    "the day after": ("2018-06-16", "", "", "11025", 0, "2018-06-16", 1),
    "long before": ("2001-01-05", "", "", "11025", 1, None, None),
    "after": ("2020-02-29", "", "", "11025", 0, "2020-02-29", 1),
    "after the end of the data": ("2023-01-01", "", "", "11025", 0, "2022-10-31", 0),
    "on the last day of the data": ("2022-10-31", "", "", "11025", 0, "2022-10-31", 1),
    "death": ("", "2019-01-01", "", "11025", 0, "2019-01-01", 2),
    "disease on the day of death": ("2019-01-01", "2019-01-01", "", "11025", 0, "2019-01-01", 1),
    "death after the end of the data": ("", "2022-11-30", "", "11025", 0, "2022-10-31", 0),
    "death before a recorded disease": (
        "2020-01-01",
        "2019-01-01",
        "",
        "11025",
        0,
        "2019-01-01",
        2,
    ),
    "lost": ("", "", "2019-05-05", "11025", 0, "2019-05-05", 0),
    "disease after the loss": ("2020-01-01", "", "2019-05-05", "11025", 0, "2019-05-05", 0),
    "death after the loss": ("", "2020-01-01", "2019-05-05", "11025", 0, "2019-05-05", 0),
    "Scotland": ("2021-12-01", "", "", "11004", 0, "2021-07-31", 0),
    "Scotland by name": ("2021-12-01", "", "", "Edinburgh", 0, "2021-07-31", 0),
    "Wales has no follow-up": ("", "", "", "11023", 0, None, None),
    "Wales, before": ("2015-01-01", "", "", "11003", 1, None, None),
    "no centre": ("", "", "", "", 0, None, None),
    "day of birth": ("1902-02-02", "", "", "11025", 1, None, None),
    "year of birth": ("1903-03-03", "", "", "11025", 1, None, None),
    "no date": ("1900-01-01", "", "", "11025", None, None, None),
    "before birth": ("1901-01-01", "", "", "11025", None, None, None),
    "placeholder 1909": ("1909-09-09", "", "", "11025", None, None, None),
    "placeholder 2037": ("2037-07-07", "", "", "11025", None, None, None),
}
PEOPLE = {name: str(9000001 + i) for i, name in enumerate(CASES)}
NAMES = {
    "ukbconv": lambda f, i: f"{f}-{i}.0",
    "r": lambda f, i: f"f.{f}.{i}.0",
    "exporter": lambda f, i: f"p{f}" + (f"_i{i}" if f in (53, 54, 40000) else ""),
    "dataset": lambda f, i: f"participant.p{f}" + (f"_i{i}" if f in (53, 54, 40000) else ""),
}
TITLES = {
    (131350, 0): "Date I48 first reported (atrial fibrillation and flutter)",
    (53, 2): "Date of attending assessment centre | Instance 2",
    (53, 3): "Date of attending assessment centre | Instance 3",
    (54, 0): "UK Biobank assessment centre | Instance 0",
    (40000, 0): "Date of death | Instance 0",
    (40000, 1): "Date of death | Instance 1",
    (191, 0): "Date lost to follow-up",
}


def settings(*diseases: dict, ends: dict[str, str] = ENDS) -> Outcomes:
    return Outcomes(
        diseases=[Disease(**disease) for disease in diseases],
        follow_up_ends=ends,
        horizon_years=5,
        least_events=20,
        baseline=None,
    )


AF = {"name": "AF", "fields": [131350]}


def table(path: Path, naming) -> Path:
    """All cases; deaths are in either instance, and visit 3 is a year later."""
    rows = []
    for number, (name, (first, death, lost, centre, *_)) in enumerate(CASES.items()):
        values = {
            (131350, 0): first,
            (53, 2): VISIT,
            (53, 3): "2019-06-15" if name == "after" else "",
            (54, 0): centre,
            (40000, number % 2): death,
            (40000, 1 - number % 2): "",
            (191, 0): lost,
        }
        rows.append({"eid": PEOPLE[name]} | {naming(*key): text for key, text in values.items()})
    frame = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tab" else ",")
    return path


def found(paths: list[Path], chosen: Outcomes, visits: list[str]) -> tuple[pd.DataFrame, dict]:
    fields = {field for disease in chosen.diseases for field in disease.fields}
    rows, counts = outcomes.of_visits(visits, date_tables.read(paths, fields=fields), chosen)
    return rows.set_index("visit"), counts


@pytest.mark.parametrize(
    ("convention", "suffix"),
    [*((name, ".csv") for name in (*NAMES, "titles")), ("r", ".tab"), ("dataset", ".parquet")],
)
def test_every_case_in_every_convention(convention: str, suffix: str, tmp_path: Path) -> None:
    naming = (lambda f, i: TITLES[f, i]) if convention == "titles" else NAMES[convention]
    path = table(tmp_path / f"table{suffix}", naming)
    visits = [f"{person}_2" for person in PEOPLE.values()]
    rows, counts = found([path], settings(AF), visits)
    for name, (*_, before, end, event) in CASES.items():
        row = rows.loc[f"{PEOPLE[name]}_2"]
        assert row["AF before"] == before or (before is None and np.isnan(row["AF before"])), name
        if end is None:
            assert np.isnan(row["AF years"]) and np.isnan(row["AF event"]), name
        else:
            days = (pd.Timestamp(end) - pd.Timestamp(VISIT)).days
            assert row["AF years"] == pytest.approx(days * DAY), name
            assert row["AF event"] == event, name
    assert counts["AF"]["before"] == sum(case[4] == 1 for case in CASES.values())
    assert counts["AF"]["date unknown"] == 4
    assert counts["AF"]["after"] == sum(case[6] == 1 for case in CASES.values())


def test_each_visit_has_its_own_time_zero(tmp_path: Path) -> None:
    path = table(tmp_path / "table.csv", NAMES["exporter"])
    person = PEOPLE["after"]
    rows, counts = found(
        [path], settings(AF), [f"{person}_2", f"{person}_3", f"{PEOPLE['never']}_3"]
    )
    assert rows["AF years"].iloc[0] - rows["AF years"].iloc[1] == pytest.approx(365 * DAY)
    # this visit has no date
    assert rows.iloc[2].isna().all() and counts["without a date"] == 1


def write(path: Path, **columns: list[str]) -> Path:
    people = [str(9000001 + i) for i in range(len(next(iter(columns.values()))))]
    pd.DataFrame({"eid": people} | columns).to_csv(path, index=False)
    return path


def test_a_composite_takes_its_earliest_date_and_knows_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    first = ["2010-01-01", "2020-01-01", "1900-01-01", "1900-01-01", "1902-02-02", ""]
    second = ["2019-01-01", "2019-01-01", "2010-01-01", "2020-01-01", "2020-01-01", ""]
    path = write(
        tmp_path / "a.csv",
        p131298=first,
        p131300=second,
        p53_i2=[VISIT] * 6,
        p54_i0=["11025"] * 6,
        p40000_i0=[""] * 6,
    )
    chosen = settings({"name": "MI", "fields": [131298, 131300]})
    rows, _ = found([path], chosen, [f"{9000001 + i}_2" for i in range(6)])
    expected = [1, 0, 1, np.nan, 1, 0]
    np.testing.assert_array_equal(rows["MI before"], expected)
    days = (pd.Timestamp("2019-01-01") - pd.Timestamp(VISIT)).days
    assert rows["MI years"].iloc[1] == pytest.approx(days * DAY)
    assert rows["MI years"].notna().tolist() == [False, True, False, False, False, True]


def test_columns_may_come_from_several_tables_and_odd_cells_are_counted(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", p131350=["2020-01-01", "soon"], p53_i2=[VISIT, VISIT])
    two = write(tmp_path / "b.csv", p54_i0=["11025", "11025"], p40000_i0=["", "NA"])
    three = write(tmp_path / "c.csv", p131350=["2010-01-01", "2021-01-01"], p24100_i2=["1", "2"])
    dates = date_tables.read([one, two, three], fields={131350})
    assert dates.unreadable == 1
    rows, _ = outcomes.of_visits(["9000001_2", "9000002_2"], dates, settings(AF))
    assert rows["AF event"].tolist() == [1, 1]  # the first table that has a date counts


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        ("p53_i2", "no date of the visits: export field 53"),
        ("p54_i0", r"no field 54 .*only_before"),
        ("p40000_i0", r"no field 40000"),
        ("p131350", r"AF: no phenotype table has field 131350"),
    ],
)
def test_a_missing_field_is_named(drop: str, message: str, tmp_path: Path) -> None:
    columns = {
        "p131350": ["2020-01-01"],
        "p53_i2": [VISIT],
        "p54_i0": ["11025"],
        "p40000_i0": ["2021-01-01"],
    }
    del columns[drop]
    path = write(tmp_path / "a.csv", **columns)
    with pytest.raises(ValueError, match=message):
        found([path], settings(AF), ["9000001_2"])


def test_a_disease_before_the_visit_alone_needs_no_follow_up(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", p131286=["2010-01-01", ""], p53_i2=[VISIT, VISIT])
    chosen = settings({"name": "Hypertension", "fields": [131286], "only_before": True}, ends={})
    rows, _ = found([path], chosen, ["9000001_2", "9000002_2"])
    assert rows.columns.tolist() == ["Hypertension before"]
    assert rows["Hypertension before"].tolist() == [1, 0]


def test_a_nation_without_an_end_is_an_error(tmp_path: Path) -> None:
    path = table(tmp_path / "table.csv", NAMES["exporter"])
    chosen = settings(AF, ends={"England": "2022-10-31", "Scotland": "2021-07-31"})
    with pytest.raises(ValueError, match="no date for Wales"):
        found([path], chosen, [f"{PEOPLE['never']}_2", f"{PEOPLE['Wales, before']}_2"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"diseases": [AF, AF], "follow_up_ends": ENDS}, "the name AF occurs twice"),
        ({"diseases": [AF], "follow_up_ends": {"England": "31.10.2022"}}, "is not a date like"),
        ({"diseases": [AF], "follow_up_ends": {"France": "2022-10-31"}}, "England"),
    ],
)
def test_wrong_settings_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Outcomes.model_validate(values)


def test_files_need_the_end_of_follow_up_and_fields() -> None:
    with pytest.raises(ValueError, match=r"follow_up_ends: give the last day"):
        settings(AF, ends={}).require("files")
    settings(AF, ends={}).require("table")
    with pytest.raises(ValueError, match="AF: name its date fields"):
        settings({"name": "AF"}).require("files")


def test_a_table_of_another_cohort_brings_its_own_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text(
        "participant,visit,AF before,AF years,AF event\nA,1,0,2.5,1\nB,1,1,,\nC,1,0,3,2\n"
    )
    rows, counts = outcomes.of_table(["C_1", "A_1", "B_1"], path, settings(AF))
    assert rows["visit"].tolist() == ["C_1", "A_1", "B_1"]
    assert rows["AF event"].tolist()[:2] == [2, 1] and np.isnan(rows["AF event"].iloc[2])
    assert counts["AF"] == {"before": 1, "followed": 2, "after": 1}
    with pytest.raises(ValueError, match="no column 'HF before'"):
        outcomes.of_table(["A_1"], path, settings({"name": "HF"}))


def test_the_stage_hides_small_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "table.csv", NAMES["exporter"])
    visits = pd.DataFrame(
        {
            "visit": [f"{person}_2" for person in PEOPLE.values()],
            "participant": list(PEOPLE.values()),
            "split": "train",
        }
    )
    visits.to_csv(tmp_path / "visits.csv", index=False)
    arguments = ["--settings", config.dump(settings(AF)), "--tables", path]
    arguments += ["--participants", tmp_path / "visits.csv", "--smallest-count", 5]
    arguments += ["--out", tmp_path / "out.csv", "--json", tmp_path / "out.json"]
    monkeypatch.setattr("sys.argv", ["outcomes", *map(str, arguments)])
    outcomes.main()
    counts = json.loads((tmp_path / "out.json").read_text())
    assert counts["AF"]["date unknown"] == "<5" and counts["AF"]["before"] == 5
    assert len(pd.read_csv(tmp_path / "out.csv")) == len(CASES)
