"""Common mistakes of a first hour, and what the message must say."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ptacl import config
from ptacl.cohort import manifest, sources

PEOPLE = [f"90000{number:02d}" for number in range(1, 41)]
FIELDS = {"LVEF": 24103, "LVM": 24105}
VALUES = {"24103-2.0": ["55", "62.5"], "24105-2.0": ["90", "110"]}
Change = Callable[[Path, dict[str, Any]], None]


def phenotypes(settings: config.Cohort) -> list[config.Phenotype]:
    return [p for p in settings.phenotypes if p.name in FIELDS]


def of_uk_biobank(folder: Path, settings: config.Cohort) -> dict[str, Any]:
    """Settings of a cohort of forty visits, whose files are empty."""
    for kind, name in (("ecg", "20205_2_0.xml"), ("cmr", "20209_2_0.zip")):
        (folder / kind).mkdir()
        for person in PEOPLE:
            (folder / kind / f"{person}_{name}").touch()
    rewritten(folder, {})
    return {
        "source": "files",
        "ecg_folders": [str(folder / "ecg")],
        "cmr_folders": [str(folder / "cmr")],
        "phenotype_tables": [str(folder / "table.csv")],
        "phenotypes": phenotypes(settings),
    }


def rewritten(folder: Path, columns: dict[str, list[str]], *, people: list[str] = PEOPLE) -> None:
    """Write table.csv with these columns instead of those of VALUES."""
    half = len(people) // 2
    table = {"eid": people} | {name: cells * half for name, cells in (columns or VALUES).items()}
    pd.DataFrame(table).to_csv(folder / "table.csv", index=False)


def workbook(folder: Path, settings: dict[str, Any]) -> None:
    with zipfile.ZipFile(folder / "table.csv", "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")


def old_workbook(folder: Path, settings: dict[str, Any]) -> None:
    (folder / "table.csv").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))


def no_id(folder: Path, settings: dict[str, Any]) -> None:
    table = (folder / "table.csv").read_text()
    (folder / "table.csv").write_text(table.replace("eid", "patient"))


def fraction(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, VALUES | {"24103-2.0": ["0.55", "0.62"]})


def words(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, VALUES | {"24103-2.0": ["yes", "no"]})


def only_words(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, {name: ["yes", "no"] for name in VALUES})


def repeat_visits(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, {name.replace("-2", "-3"): cells for name, cells in VALUES.items()})


def empty_cells(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, {name: ["", ""] for name in VALUES})


def another_application(folder: Path, settings: dict[str, Any]) -> None:
    rewritten(folder, VALUES, people=[person.replace("90000", "90010") for person in PEOPLE])


def exchanged(folder: Path, settings: dict[str, Any]) -> None:
    settings["ecg_folders"], settings["cmr_folders"] = (
        settings["cmr_folders"],
        settings["ecg_folders"],
    )


def another_instance(folder: Path, settings: dict[str, Any]) -> None:
    settings["instances"] = [3]


def cines_of_another_visit(folder: Path, settings: dict[str, Any]) -> None:
    for file in (folder / "cmr").iterdir():
        file.rename(file.with_name(file.name.replace("_2_0", "_3_0")))


def cines_of_others(folder: Path, settings: dict[str, Any]) -> None:
    for file in (folder / "cmr").iterdir():
        file.rename(file.with_name(file.name.replace("90000", "90010", 1)))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (workbook, ["table.csv: this is an Excel workbook", "save its sheet as CSV"]),
        (old_workbook, ["table.csv: this is an Excel workbook", "save its sheet as CSV"]),
        (no_id, ["no id column", "must have eid", "it has patient, 24103-2.0, 24105-2.0"]),
        (
            fraction,
            ["LVEF: 40 of 40 values are outside 5 to 90 %", "median of 0.585", "give them in %"],
        ),
        (
            words,
            ["LVEF: fewer than two of the", "20 cells with the text 'yes'", "give numbers"],
        ),
        (only_words, ["no cell of a phenotype is a number", "LVM: 20 cells with the text 'no'"]),
        (repeat_visits, ["phenotypes of instance 3", "the paired visits are of instance 2"]),
        (empty_cells, ["all cells of the phenotypes are empty: LVEF, LVM"]),
        (another_application, ["no row for any of the 40 paired visits", "same UK Biobank app"]),
        (
            exchanged,
            [
                "cohort.ecg_folders: no EID_20205_2_0.xml in",
                "found 40 EID_20209_2_0.zip",
                "are cohort.ecg_folders and cohort.cmr_folders exchanged?",
            ],
        ),
        (
            another_instance,
            ["ECGs: 40 of instance 2; cines: 40 of instance 2", "40 participants have both", "[3]"],
        ),
        (
            cines_of_another_visit,
            ["ECGs: 40 of instance 2; cines: 40 of instance 3", "40 participants have both"],
        ),
        (cines_of_others, ["no participant has both", "same UK Biobank application"]),
    ],
)
def test_message_names_the_cause_and_the_remedy(
    mistake: Change, said: list[str], settings: config.Cohort, tmp_path: Path
) -> None:
    changes = of_uk_biobank(tmp_path, settings)
    mistake(tmp_path, changes)
    cohort = settings.model_copy(update=changes)
    with pytest.raises(ValueError, match=r".") as caught:
        manifest.build(
            cohort, sources.locate(cohort, simulated=None, summary=None), withdrawn=set()
        )
    for words_ in said:
        assert words_ in str(caught.value)
    assert not any(person in str(caught.value) for person in PEOPLE)


@pytest.mark.parametrize("comma", [".", ","])
def test_semicolons_and_decimal_commas_are_read(
    comma: str, settings: config.Cohort, tmp_path: Path
) -> None:
    cohort = settings.model_copy(update=of_uk_biobank(tmp_path, settings))
    table = pd.read_csv(tmp_path / "table.csv")
    table.to_csv(tmp_path / "table.csv", sep=";", decimal=comma, index=False)
    built, _, summary = manifest.build(
        cohort, sources.locate(cohort, simulated=None, summary=None), withdrawn=set()
    )
    assert sorted(set(built["LVEF"])) == [55, 62.5]
    assert summary["tables"]["unreadable"] == {}


def hospital(folder: Path, settings: config.Cohort, *, sex: str, lvef: str) -> config.Cohort:
    rows = [f"p{k};1;e{k}.xml;c{k}.zip;{sex};{lvef};90" for k in range(40)]
    lines = ["participant;visit;ecg;cine;sex;LVEF;LVM", *rows]
    (folder / "cohort.csv").write_text("".join(line + "\n" for line in lines))
    return settings.model_copy(
        update={
            "source": "table",
            "table": str(folder / "cohort.csv"),
            "phenotypes": phenotypes(settings),
        }
    )


def test_a_hospital_table_with_semicolons_commas_and_words_for_sex(
    settings: config.Cohort, tmp_path: Path
) -> None:
    cohort = hospital(tmp_path, settings, sex="Female", lvef="55,5")
    built, _, _ = manifest.build(
        cohort, sources.locate(cohort, simulated=None, summary=None), withdrawn=set()
    )
    assert set(built["LVEF"]) == {55.5}
    assert set(built["sex"]) == {0}


@pytest.mark.parametrize(
    ("lvef", "said"),
    [
        ("0,55", ["LVEF: 40 of 40 values are outside 5 to 90 %", "median of 0.55"]),
        ("normal", ["LVEF: fewer than two of", "40 cells with the text 'normal'"]),
        ("", ["LVEF: fewer than two of"]),
    ],
)
def test_a_hospital_table_names_cause_and_remedy(
    lvef: str, said: list[str], settings: config.Cohort, tmp_path: Path
) -> None:
    cohort = hospital(tmp_path, settings, sex="1", lvef=lvef)
    with pytest.raises(ValueError, match=r"LVEF") as caught:
        manifest.build(
            cohort, sources.locate(cohort, simulated=None, summary=None), withdrawn=set()
        )
    for words_ in said:
        assert words_ in str(caught.value)
