"""`ptacl check` on a tree as the Research Analysis Platform has it: what it finds, and what would
stop the pipeline.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from ptacl import cli, config
from ptacl.cohort import simulate

ROWS = Path(__file__).parents[1] / "workflow/config/rows.yaml"

PEOPLE = 66  # three for each kind of defect


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("check") / "cohort"
    settings = config.load(root / "config.yaml").simulation.model_copy(
        update={"participants": PEOPLE}
    )
    simulate.simulate(folder, settings=settings, seed=0, processes=2)
    return folder


def written(folder: Path, tree: Path, **changes: object) -> Path:
    cohort = {
        "source": "files",
        "ecg_folders": [str(tree / "ecg"), str(tree / "Bulk/Electrocardiogram")],
        "cmr_folders": [str(tree / "nifti"), str(tree / "Bulk/Heart MRI")],
        "phenotype_tables": [str(p) for p in (tree / "phenotypes").iterdir()],
        "withdrawals": [str(p) for p in (tree / "withdrawals").iterdir()],
    }
    (folder / "my.yaml").write_text(yaml.safe_dump({"cohort": cohort | changes}))
    return folder / "my.yaml"


def test_it_tells_what_is_found_lost_and_needed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(str(p) for p in tree.rglob("*"))
    assert cli.main(["check", str(written(tmp_path, tree)), "--json", "--sample", "200"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert PEOPLE - 5 <= facts["cohort"]["paired visits"] <= PEOPLE + 5
    assert (
        sum(facts["splits before exclusions"].values())
        == facts["cohort"]["paired visits"]
        == facts["sample"]["visits"]
    )
    assert facts["phenotypes"]["instance 2"]["LVEF"] > PEOPLE - 10
    assert (
        facts["sample"]["excluded"]["unreadable file"] >= 2
        and "flat lead" in facts["sample"]["excluded"]
    )
    assert facts["sample"]["usable"] == facts["sample"]["visits"] - sum(
        facts["sample"]["excluded"].values()
    )
    assert len(facts["excluded because"]) == 10  # the most frequent ones
    assert any(reason.startswith("unreadable file: ") for reason in facts["excluded because"])
    assert facts["cohort"]["ids on withdrawal lists"] == 2
    few = facts["splits before exclusions"]["train"]
    assert few < 64 and facts["warnings"]["models.ptacl"] == (
        f"its batches of 64 exceed the {few} training participants: it will hardly learn"
    )
    assert facts["storage"] == {
        "files read twice": 20,
        "of these, different": 0,
        "a job stops beyond": "5 unreadable or missing files",
        "the run stops beyond": "5 unreadable or missing files",
        "the next run stops beyond": "5 vanished visits",
    }
    assert {"disk", "memory", "preparation", "trainings", "all trainings"} <= set(facts)
    assert set(facts["trainings"]) == {
        "ecg_mae",
        "cmr_mae",
        "global",
        "ptacl",
        "ptacl_centred",
        "global_retrieval",
        "ptacl_retrieval",
    }
    assert sorted(str(p) for p in tree.rglob("*")) == before


def test_a_missing_validation_set_stops_before_the_run(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, tree, validation_fraction=0)
    assert cli.main(["check", str(path), "--sample", "1"]) != 0
    assert (
        "no participant is in the validation split, which models.global needs: raise "
        "cohort.validation_fraction, or set select: last and patience: 0"
    ) in capsys.readouterr().err
    values = yaml.safe_load(path.read_text())
    path.write_text(
        yaml.safe_dump(values | {"models": {"global": {"training": {"select": "last"}}}})
    )
    assert cli.main(["check", str(path), "--sample", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits before exclusions"]["validation"] == 0


def test_no_id_is_told(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(written(tmp_path, tree)), "--sample", "5", "--cores", "4"]) == 0
    captured = capsys.readouterr()
    assert "paired visits" in captured.out and "on 4 cores, measured" in captured.out
    assert not re.search(r"(?<!\d)9\d{6}(?!\d)", captured.out + captured.err)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ecg_folders": ["nowhere"]}, "cohort.ecg_folders: there is no nowhere"),
        ({"instances": [4]}, "no visit has both an ECG and a cine"),
        ({"ecg_folder": ["x"]}, "did you mean ecg_folders?"),
    ],
)
def test_what_would_stop_the_pipeline_is_told_with_status_2(
    changes: dict, message: str, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(written(tmp_path, tree, **changes))]) == 2
    assert message in capsys.readouterr().err


def test_a_table_of_another_application_is_told(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = next((tree / "phenotypes").glob("table_exporter.csv"))
    shutil.copy(source, tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(re.sub(r"^900", "800", text, flags=re.M))
    assert (
        cli.main(
            ["check", str(written(tmp_path, tree, phenotype_tables=[str(tmp_path / "t.csv")]))]
        )
        == 2
    )
    assert "UK Biobank application, because ids differ" in capsys.readouterr().err


def test_the_simulated_cohort_tells_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(ROWS), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cohort"] == {"source": "simulated", "visits": 2000} and {"cmae", "mmcl"} <= set(
        facts["trainings"]
    )


@pytest.mark.parametrize(
    ("ecg", "cine", "reason"),
    [
        ("nowhere/{}.xml", "nowhere/{}.zip", "file that does not exist"),
        ("{cine}", "{ecg}", "unreadable file: "),
    ],
)
def test_a_cohort_of_which_nothing_can_be_used_is_told_with_status_2(
    ecg: str, cine: str, reason: str, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every path wrong, or both columns exchanged."""
    files = {path.name[:7]: path for path in (tree / "ecg").glob("*_2_0.xml")}
    rows = ["participant,visit,ecg,cine,split,LVEF"]
    for number, person in enumerate(sorted(files)[:6]):
        paths = {"ecg": files[person], "cine": tree / "nifti" / f"{person}_20209_2_0" / "sa.nii.gz"}
        split = ("train", "test")[number % 2]
        pair = f"{ecg.format(person, **paths)},{cine.format(person, **paths)}"
        rows.append(f"{person},2,{pair},{split},{50 + number}")
    (tmp_path / "cohort.csv").write_text("\n".join([*rows, ""]))
    phenotypes = [{"name": "LVEF", "unit": "%", "low": 5, "high": 90}]
    settings = {"source": "table", "table": str(tmp_path / "cohort.csv"), "phenotypes": phenotypes}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"cohort": settings}))
    assert cli.main(["check", str(tmp_path / "my.yaml")]) == 2
    told = capsys.readouterr()
    assert "usable 0" in re.sub(r" +", " ", told.out)
    assert reason in told.out
    assert "none of the 6 visits that were tried can be used" in told.err


def test_the_sizes_in_force_are_told(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yaml").write_text("seed: 0\n")
    told = []
    for more in ([], ["encoders: {ecg: {width: 512, depth: 6, heads: 8}}\n"]):
        (tmp_path / "more.yaml").write_text("".join(more))
        assert (
            cli.main(["check", str(tmp_path / "my.yaml"), str(tmp_path / "more.yaml"), "--json"])
            == 0
        )
        told.append(json.loads(capsys.readouterr().out)["models"])
    demonstration, larger = told
    sizes = config.load(root / "config.yaml").encoders
    assert f"width {sizes.ecg.width}," in demonstration["ECG encoder"]
    assert "sizes of the demonstration" in demonstration["note"]
    assert larger["ECG encoder"].endswith("6 layers, width 512, 8 heads")
    assert "note" not in larger
