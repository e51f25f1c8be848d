import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from phenotype_columns import CONVENTIONS, frame, visits

from ptacl import config
from ptacl.cohort import column_names, csv_tables, phenotypes
from ptacl.config import Phenotype


def read(
    settings: config.Cohort, *paths: Path, instances: list[int] | None = None
) -> phenotypes.PhenotypeTable:
    return phenotypes.read_tables(
        paths,
        phenotypes=settings.phenotypes,
        instances=instances or settings.instances,
        identity_tolerance=0.02,
    )


@pytest.fixture
def one(settings: config.Cohort, tmp_path: Path) -> Callable[..., phenotypes.PhenotypeTable]:
    """Read a table of the visits above, after changes by (field, instance, row)."""

    def table(**changes: dict[int, object]) -> phenotypes.PhenotypeTable:
        columns = visits()
        for field, values in changes.items():
            for row, value in values.items():
                columns[int(field[1:]), 2][row] = value
        frame("ukbconv", columns).to_csv(tmp_path / "t.csv", index=False)
        return read(settings, tmp_path / "t.csv")

    return table


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_gives_the_same_table(
    convention: str, kind: str, settings: config.Cohort, tmp_path: Path
) -> None:
    columns = visits()
    frame("ukbconv", columns).to_csv(tmp_path / "expected.csv", index=False)
    expected = read(settings, tmp_path / "expected.csv")
    path = tmp_path / f"table.{kind}"
    extra = {"p20209_i2": "x", "p24100_i0": 1.0, "p24100_i2_a1": 2.0, "note, with comma": "a, b"}
    table = frame(convention, columns).assign(**extra)
    table = table[
        sorted(table, key=lambda name: name[::-1])
    ]  # another order than the one written down
    if kind == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",", na_rep="NA")
    result = read(settings, path)
    pd.testing.assert_frame_equal(result.values, expected.values, check_names=False)
    assert list(result.values.index) == [
        "9000001_2",
        "9000001_3",
        "9000002_2",
        "9000002_3",
        *(f"900000{k}_2" for k in range(3, 7)),
    ]
    assert list(result.values) == [
        "sex",
        "age",
        "height_cm",
        "weight_kg",
        *(p.name for p in settings.phenotypes),
    ]
    assert result.values.loc["9000002_3", "LVEF"] == columns[24103, 3][1]
    assert result.values.loc["9000002_3", "sex"] == columns[31, None][1]
    assert not result.values.isna().to_numpy().any()
    assert set(result.implausible.values()) == {0} and set(result.inconsistent.values()) == {0}


def test_sex_as_text_and_codes_agree(settings: config.Cohort, tmp_path: Path) -> None:
    columns = visits()
    for name, sexes in {
        "codes": [0, 1, 1, 0, None, 1],
        "text": ["Female", "Male", "male", "Female ", "", "Male"],
    }.items():
        frame("Table Exporter", columns | {(31, None): sexes}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    by_code, by_text = (
        read(settings, tmp_path / f"{name}.csv").values["sex"] for name in ("codes", "text")
    )
    pd.testing.assert_series_equal(by_code, by_text)
    assert (
        by_text["9000001_2"] == 0 and by_text["9000002_3"] == 1 and np.isnan(by_text["9000005_2"])
    )


def test_tables_are_merged_and_the_first_finite_value_wins(
    settings: config.Cohort, tmp_path: Path
) -> None:
    columns = visits()
    first = {
        key: list(column) for key, column in columns.items() if key[0] in (24100, 24101, 24105)
    }
    first[24105, 2][0], first[24105, 2][1], first[24105, 2][2] = 77.0, None, float("inf")
    frame("Table Exporter", first).to_csv(tmp_path / "first.csv", index=False)
    frame("ukbconv r", columns).to_csv(tmp_path / "second.tab", index=False, sep="\t")
    mass = read(settings, tmp_path / "first.csv", tmp_path / "second.tab").values["LVM"]
    assert [mass[f"900000{k}_2"] for k in (1, 2, 3)] == [
        77.0,
        columns[24105, 2][1],
        columns[24105, 2][2],
    ]
    assert (
        read(settings, tmp_path / "second.tab", tmp_path / "first.csv").values["LVM"]["9000001_2"]
        == columns[24105, 2][0]
    )


def test_instances_asked_for_are_those_read(settings: config.Cohort, tmp_path: Path) -> None:
    frame("ukbconv", visits()).to_csv(tmp_path / "t.csv", index=False)
    assert list(read(settings, tmp_path / "t.csv", instances=[3]).values.index) == [
        "9000001_3",
        "9000002_3",
    ]


def test_implausible_values_become_missing_and_are_counted(
    one: Callable[..., phenotypes.PhenotypeTable],
) -> None:
    result = one(f24105={0: 401.0, 1: 19.0, 2: 400.0, 3: 20.0, 4: -1})
    mass = result.values["LVM"]
    assert list(mass[["9000001_2", "9000002_2", "9000005_2"]].isna()) == [True] * 3
    assert list(mass[["9000003_2", "9000004_2"]]) == [400.0, 20.0]
    assert result.implausible["LVM"] == 3 and sum(result.implausible.values()) == 3


def test_covariates_below_zero_are_codes(one: Callable[..., phenotypes.PhenotypeTable]) -> None:
    values = one(f21003={0: -1}, f50={1: -3.0}).values
    assert np.isnan(values.loc["9000001_2", "age"]) and np.isnan(
        values.loc["9000002_2", "height_cm"]
    )
    assert values["age"].isna().sum() == 1


@pytest.mark.parametrize(
    ("field", "chamber", "lost"),
    [
        (24102, "LV", ["LVSV", "LVEF", "LVCO"]),
        (24103, "LV", ["LVSV", "LVEF", "LVCO"]),
        (24108, "RV", ["RVSV", "RVEF"]),
    ],
)
def test_broken_identity_takes_the_derived_values_of_that_chamber(
    field: int, chamber: str, lost: list[str], one: Callable[..., phenotypes.PhenotypeTable]
) -> None:
    true = float(str(visits()[field, 2][1]))
    within, beyond = (
        one(**{f"f{field}": {1: true * 1.015}}),
        one(**{f"f{field}": {1: true * 1.025}}),
    )
    assert within.inconsistent == {"LV": 0, "RV": 0} and not within.values.isna().to_numpy().any()
    assert beyond.inconsistent == {"LV": 0, "RV": 0} | {chamber: 1}
    missing = beyond.values.isna()
    assert list(missing.columns[missing.loc["9000002_2"]]) == lost
    assert missing.to_numpy().sum() == len(lost)


def test_end_systole_larger_than_end_diastole_is_inconsistent(
    one: Callable[..., phenotypes.PhenotypeTable],
) -> None:
    assert one(f24101={0: 250.0}).inconsistent == {"LV": 1, "RV": 0}


def test_missing_volume_is_no_contradiction(one: Callable[..., phenotypes.PhenotypeTable]) -> None:
    result = one(f24101={0: None})
    assert result.inconsistent == {"LV": 0, "RV": 0} and result.values.loc["9000001_2", "LVEF"] > 0


def test_rows_without_an_id_are_ignored_and_counted(
    settings: config.Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = frame("ukbconv", visits())
    table["eid"] = [-1, 9000002, "", "9000004.0", 12, 9000006]
    table.to_csv(tmp_path / "t.csv", index=False)
    values = read(settings, tmp_path / "t.csv").values
    assert list(values.index) == ["9000002_2", "9000002_3", "9000004_2", "9000006_2"]
    assert "3 rows without a 7-digit id" in caplog.text


def test_more_rows_than_one_piece(
    settings: config.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = frame("dx extract_dataset", visits(50))
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    whole = read(settings, tmp_path / "t.csv").values
    monkeypatch.setattr(csv_tables, "_ROWS", 7)
    for name in ("t.csv", "t.parquet"):
        pd.testing.assert_frame_equal(
            read(settings, tmp_path / name).values, whole, check_names=False
        )


def test_old_inline_field_is_refused(settings: config.Cohort, tmp_path: Path) -> None:
    old = Phenotype(name="LVEF", field=22420, unit="%", low=5, high=90)
    with pytest.raises(ValueError, match=r"22420 .* use fields 24100 to 24109"):
        phenotypes.read_tables(
            [tmp_path / "t.csv"], phenotypes=[old], instances=[2], identity_tolerance=0.02
        )


def test_table_without_a_known_column_names_table_conventions_and_remedy(
    settings: config.Cohort, tmp_path: Path
) -> None:
    pd.DataFrame({"eid": [9000001], "LVEF": [55.0], "24103-1.0": [55.0]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(ValueError) as error:
        read(settings, tmp_path / "t.csv")
    for part in (
        "t.csv",
        "24103",
        "instance 2, 3",
        "f.24100.2.0",
        "participant.p24100_i2",
        "Export",
    ):
        assert part in str(error.value)
    assert "9000001" not in str(error.value)


def test_phenotype_in_no_table_is_named(settings: config.Cohort, tmp_path: Path) -> None:
    columns = {key: column for key, column in visits().items() if key[0] != 24105}
    frame("ukbconv", columns).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        ValueError,
        match=(
            r"no column for LVM \(field 24105\) at instance 2, 3.*remove them from "
            r"cohort\.phenotypes"
        ),
    ):
        read(settings, tmp_path / "t.csv")


@pytest.mark.parametrize("content", ["", "a,24100-2.0\n9000001,100\n", "PK\x03\x04"])
def test_table_without_ids_is_named(content: str, settings: config.Cohort, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(
        ValueError,
        match=r"t\.csv: (no id column|not a CSV|this is a zip|the last line has no line end)",
    ):
        read(settings, tmp_path / "t.csv")


def test_broken_parquet_is_named(settings: config.Cohort, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(gzip.compress(b"no table"))
    with pytest.raises(ValueError, match=r"t\.parquet: not a CSV, TSV or parquet table"):
        read(settings, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "name",
    [
        "eid",
        "24100",
        "24100-2",
        "f.24100",
        "x24100.2.0",
        "Some | Instance 2",
        "p24100_i2x",
        "pulse 24100",
    ],
)
def test_other_columns_are_not_taken(name: str) -> None:
    assert column_names.parse(name) is None
