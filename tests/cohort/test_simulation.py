"""The simulated cohort as a whole: its files, their reproducibility, and faults on purpose."""

import csv
import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptacl import config
from ptacl.cmr import read
from ptacl.cmr.orientation import Turn
from ptacl.cohort import simulate
from ptacl.cohort.simulation import defects, visit
from ptacl.cohort.simulation.defects import Defect

SETTINGS = config.Simulation(
    participants=4,
    zip_fraction=0.3,
    second_visit_fraction=0.3,
    timing="default",
    incidence=8,
    defects=1,
)


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("cohort")
    return out, simulate.simulate(out, settings=SETTINGS, seed=3, processes=1)


def test_same_seed_gives_the_same_bytes_in_any_number_of_processes(
    cohort: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, summary = cohort
    again = simulate.simulate(tmp_path / "again", settings=SETTINGS, seed=3, processes=2)
    assert digests(tmp_path / "again") == digests(out)
    assert again == summary


def test_another_seed_gives_other_files(
    cohort: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    one = SETTINGS.model_copy(update={"participants": 1})
    simulate.simulate(tmp_path / "other", settings=one, seed=4, processes=1)
    other = digests(tmp_path / "other")
    bulk = {name: digest for name, digest in other.items() if "9000001" in name}
    assert bulk and not set(bulk.values()) & set(digests(cohort[0]).values())


def test_one_more_participant_leaves_the_files_of_the_others(
    cohort: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = cohort
    more = SETTINGS.model_copy(update={"participants": 5})
    simulate.simulate(tmp_path / "more", settings=more, seed=3, processes=1)
    old, new = digests(out), digests(tmp_path / "more")
    shared = {name for name in old if not name.startswith(("phenotypes", "withdrawals", "truth"))}
    assert shared and all(new[name] == old[name] for name in shared)
    for table in ("truth.csv", "phenotypes/ukbconv.csv", "phenotypes/r.tab"):
        before, after = (
            (out / table).read_text().splitlines(),
            (tmp_path / "more" / table).read_text().splitlines(),
        )
        assert after[: len(before)] == before and len(after) > len(before)


def test_summary_counts_what_is_on_disk(cohort: tuple[Path, dict[str, Any]]) -> None:
    out, summary = cohort
    counts = summary["counts"]
    assert counts["ecg"] == len(list(out.rglob("*_20205_*.xml")))
    assert counts.get("cine zip", 0) == len(list(out.rglob("*_20209_*.zip")))
    assert counts.get("cine nifti", 0) == len(list(out.rglob("sa.nii.gz")))
    assert counts.get("segmentation", 0) == len(list(out.rglob("seg_sa.nii.gz")))
    assert counts["participants"] == 4 <= counts["visits"]
    assert "900000" not in json.dumps(summary)


def test_an_earlier_cohort_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    one = SETTINGS.model_copy(update={"participants": 1})
    stale = tmp_path / "ecg" / "9000099_20205_2_0.xml"
    stale.parent.mkdir()
    stale.write_text("of an earlier cohort")
    simulate.simulate(tmp_path, settings=one, seed=3, processes=1)
    assert not stale.exists()
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="empty or new folder"):
        simulate.simulate(tmp_path, settings=one, seed=3, processes=1)
    assert (tmp_path / "truth.csv").exists()


def test_each_defect_has_its_place_whatever_the_size_of_the_cohort() -> None:
    number = 3 * 2 * len(Defect)
    placed = [defects.of(k, defects=2) for k in range(number + 50)]
    assert {kind: placed.count(kind) for kind in Defect} == dict.fromkeys(Defect, 2)
    assert placed[0] is None and placed[1] is None and not any(placed[number:])
    assert not any(defects.of(k, defects=0) for k in range(100))


def test_all_tables_say_the_same(cohort: tuple[Path, dict[str, Any]]) -> None:
    folder = cohort[0] / "phenotypes"
    tables = {}
    for name, eid, column, sex in (
        ("ukbconv.csv", "eid", "24103-2.0", "31-0.0"),
        ("r.tab", "f.eid", "f.24103.2.0", "f.31.0.0"),
        ("table_exporter.csv", "eid", "p24103_i2", "p31"),
        ("dataset.csv", "participant.eid", "participant.p24103_i2", "participant.p31"),
    ):
        with (folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if name.endswith("tab") else ","))
        tables[name] = {
            row[eid]: (row[column], {"Male": "1", "Female": "0"}.get(row[sex], row[sex]))
            for row in rows
        }
    assert len({json.dumps(table, sort_keys=True) for table in tables.values()}) == 1
    assert sorted(tables["r.tab"]) == ["9000001", "9000002", "9000003", "9000004"]


def test_identities_hold_in_the_table(cohort: tuple[Path, dict[str, Any]]) -> None:
    with (cohort[0] / "phenotypes" / "ukbconv.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        edv, esv, sv, ef = (float(row[f"{field}-2.0"]) for field in (24100, 24101, 24102, 24103))
        assert sv == pytest.approx(edv - esv, abs=0.02) and ef == pytest.approx(
            sv / edv * 100, abs=0.02
        )


def order(defect: Defect | None, *, as_zip: bool = False) -> visit.Order:
    return visit.Order(
        "9000050",
        visit.FIRST_INSTANCE,
        seed=1,
        as_zip=as_zip,
        defect=defect,
        timing="default",
        day=datetime.date(2019, 5, 2),
    )


def test_missing_modality_and_implausible_values(tmp_path: Path) -> None:
    only_cine = visit.write(order(Defect.NO_ECG), tmp_path / "a")
    assert (
        "ecg" not in only_cine.files
        and not list((tmp_path / "a").rglob("*.xml"))
        and list((tmp_path / "a").rglob("sa.nii.gz"))
    )
    only_ecg = visit.write(order(Defect.NO_CINE), tmp_path / "b")
    assert only_ecg.files == {"ecg": 1} and not list((tmp_path / "b").rglob("sa.nii.gz"))
    twice = visit.write(order(Defect.ECG_TWICE), tmp_path / "c")
    assert twice.files["ecg"] == 2 == len(list((tmp_path / "c").rglob("*.xml")))
    wrong = visit.write(order(Defect.PHENOTYPES_IMPLAUSIBLE), tmp_path / "d")
    assert wrong.table["LVEDV"] > 500 and 30 < wrong.truth["LVEDV"] < 500


def test_repeat_visit_is_the_same_person_later() -> None:
    first = visit.draw_person("9000050", visit.FIRST_INSTANCE, seed=1)
    later = visit.draw_person("9000050", visit.REPEAT_INSTANCE, seed=1)
    assert later.male == first.male and later.height_cm == first.height_cm and later.age > first.age
    assert later.edv_ml != first.edv_ml and abs(np.log(later.edv_ml / first.edv_ml)) < 0.25


def test_stage_runs_from_the_command_line(tmp_path: Path) -> None:
    settings = config.dump(SETTINGS.model_copy(update={"participants": 1}))
    command = [sys.executable, "-m", "ptacl.cohort.simulate", "--settings", settings, "--seed", "3"]
    command += [
        "--out",
        str(tmp_path / "out"),
        "--summary",
        str(tmp_path / "simulated.json"),
        "--processes",
        "1",
        "--code",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads((tmp_path / "simulated.json").read_text())
    assert summary["counts"]["participants"] == 1 and set(summary["ceiling"]) >= {"LVEDV", "RVEF"}
    assert "9000001" not in done.stderr + done.stdout


def test_the_zip_and_the_nifti_of_a_participant_have_the_same_pixels(tmp_path: Path) -> None:
    for as_zip in (True, False):
        visit.write(order(None, as_zip=as_zip), tmp_path / str(as_zip))
    (archive,) = (tmp_path / "True").rglob("*.zip")
    (image,) = (tmp_path / "False").rglob("sa.nii.gz")
    cines = [read.read(path) for path in (archive, image)]
    assert [cine.turn for cine in cines] == [Turn(), Turn()]
    assert cines[0].shape == cines[1].shape
    for one, other in zip(cines[0].slices, cines[1].slices, strict=True):
        np.testing.assert_array_equal(one, other)
