import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from ptacl import config
from ptacl.cohort import manifest, shards, sources, table_source

HEAD = "participant,visit,ecg,cine,segmentation,split,sex,age,LVEF,Mass"
ROWS = [
    "a.1,1,e1.dcm,c1.zip,,train,0,50,60,80",
    "a.1,2,e2.dcm,,,train,0,52,61,",
    "b-2,1,e3.dcm,c3.nii.gz,s3.nii.gz,test,1,70,55,120",
]
PHENOTYPES = [
    config.Phenotype(name=n, unit=u, low=5, high=high)
    for n, u, high in (("LVEF", "%", 90), ("Mass", "g", 100))
]


def written(folder: Path, *lines: str) -> Path:
    (folder / "cohort.csv").write_text("".join(line + "\n" for line in lines))
    return folder / "cohort.csv"


def test_files_phenotypes_and_splits(tmp_path: Path) -> None:
    (tmp_path / "c3.nii.gz").write_bytes(b"12345")
    (tmp_path / "s3.nii.gz").write_bytes(b"123")
    found = table_source.read(written(tmp_path, HEAD, *ROWS), phenotypes=PHENOTYPES)
    assert [(f.visit, f.path) for f in found.ecgs] == [
        ("a.1_1", str(tmp_path / "e1.dcm")),
        ("a.1_2", str(tmp_path / "e2.dcm")),
        ("b-2_1", str(tmp_path / "e3.dcm")),
    ]
    assert [f.visit for f in found.cines] == ["a.1_1", "b-2_1"]
    assert (found.cines[1].size, found.cines[1].segmentation_size) == (5, 3)
    assert found.cines[1].segmentation == str(tmp_path / "s3.nii.gz")
    assert found.values.values.loc["a.1_1", ["sex", "age", "LVEF", "Mass"]].tolist() == [
        0,
        50,
        60,
        80,
    ]
    assert found.values.values["Mass"].isna().tolist() == [
        False,
        True,
        True,
    ] and found.values.implausible == {
        "LVEF": 0,
        "Mass": 1,
    }
    assert found.splits == {"a.1": "train", "b-2": "test"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD.replace("cine", "scan"), *ROWS], "no column cine; the table has participant"),
        ([HEAD.replace("Mass", "mass"), *ROWS], "no column Mass"),
        (
            [HEAD, ROWS[0].replace("a.1", "a_1")],
            "line 2: a participant can only have letters, digits, dots and hyphens",
        ),
        ([HEAD, ROWS[0].replace("a.1", "")], "line 2: a participant can only have"),
        ([HEAD, ROWS[0], ROWS[1].replace(",2,", ",two,", 1)], "line 3: the visit must be a number"),
        ([HEAD, ROWS[0], ROWS[0]], "1 visits have more than one row"),
        (
            [HEAD, ROWS[0].replace("train", "training")],
            "split 'training' is not one of train, validation, test",
        ),
        ([HEAD, ROWS[0], ROWS[1].replace("train", "test")], "a participant is in two splits"),
        ([HEAD, ROWS[0] + ",7"], "line 2: 11 fields"),
    ],
)
def test_what_is_no_cohort_is_refused_with_its_line(
    lines: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        table_source.read(written(tmp_path, *lines), phenotypes=PHENOTYPES)


def test_cells_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    found = table_source.read(
        written(tmp_path, HEAD, ROWS[0].replace(",60,", ",60 %,"), ROWS[2]), phenotypes=PHENOTYPES
    )
    assert (
        sum(found.values.unreadable["LVEF"].values()) == 1
        and found.values.values["LVEF"].isna().sum() == 1
    )


@pytest.fixture
def settings(root: Path) -> Callable[..., config.Cohort]:
    base = config.load(root / "config.yaml").cohort.model_dump()

    def make(**changes: object) -> config.Cohort:
        return config.Cohort.model_validate(
            base | {"phenotypes": [p.model_dump() for p in PHENOTYPES]} | changes
        )

    return make


def test_the_manifest_of_a_table(tmp_path: Path, settings: Callable[..., config.Cohort]) -> None:
    rows = [
        f"p{k},1,e.dcm,{'c.zip' if k else ''},,"
        f"{'train' if k % 2 else 'test'},0,50,{50 + k},{60 + k}"
        for k in range(9)
    ]
    found = settings(source="table", table=str(written(tmp_path, HEAD, *rows)))
    table, paired, summary = manifest.build(
        found, sources.locate(found, simulated=None, summary=None), withdrawn=set()
    )
    assert (
        table["visit"].tolist() == [f"p{k}_1" for k in range(1, 9)]
        and table["split"].tolist() == ["train", "test"] * 4
    )
    assert [str(row[1]) for row in paired.exclusions] == ["no cine of this visit"]
    assert (
        summary["tables"]["implausible"] == {"LVEF": 0, "Mass": 0} and summary["source"] == "table"
    )


def test_visits_with_one_file_join_pre_training_where_wanted(
    tmp_path: Path, settings: Callable[..., config.Cohort]
) -> None:
    """Except those of the test split; their files are in the lists of the shards."""
    kinds = [
        ("e.dcm", "c.zip", "train"),
        ("e.dcm", "", "train"),
        ("", "c.zip", "validation"),
        ("e.dcm", "", "test"),
    ] * 3
    rows = [
        f"p{k},1,{ecg},{cine},,{split},0,50,{50 + k},{60 + k}"
        for k, (ecg, cine, split) in enumerate(kinds)
    ]
    path = written(tmp_path, HEAD, *rows)
    for wanted, expected in (("exclude", []), ("pretrain", ["ecg", "cmr"] * 3)):
        found = settings(source="table", table=str(path), unpaired=wanted, shards=1)
        _, paired, _ = manifest.build(
            found, sources.locate(found, simulated=None, summary=None), withdrawn=set()
        )
        files, table = manifest.unpaired(paired.single, settings=found, given=paired.splits)
        by_visit = sorted(
            zip(table["visit"], table["modality"], strict=True), key=lambda row: int(row[0][1:-2])
        )
        assert [modality for _, modality in by_visit] == expected and "test" not in set(
            table["split"]
        )
        (text,) = shards.shard_lists([*paired.pairs, *files], shards=1, version="")
        rows_of_shard = list(csv.DictReader(text.splitlines()))
        alone = [row for row in rows_of_shard if not (row["ecg"] and row["cmr"])]
        assert len(rows_of_shard) == 3 + len(expected) and len(alone) == len(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "table"}, "source: table needs table, a path"),
        ({"source": "simulated", "table": "t.csv"}, "table is only for that source"),
        ({"source": "simulated"}, "phenotypes LVEF, Mass: source simulated needs a field id"),
        (
            {"source": "table", "table": "t.csv", "ecg_folders": ["x"]},
            "folders and tables are given",
        ),
    ],
)
def test_settings_that_contradict_one_another(
    changes: dict, message: str, settings: Callable[..., config.Cohort]
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**changes)
