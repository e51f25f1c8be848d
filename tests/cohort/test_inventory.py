import os
import random
from pathlib import Path

import pytest

from ptacl.cohort import inventory


def touch(root: Path, *names: str, size: int = 0) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def test_flat_folder_and_rap_tree_with_spaces_give_the_same_visits(tmp_path: Path) -> None:
    names = ["9000001_20205_2_0.xml", "9000001_20205_3_0.xml", "9000002_20205_2_0.xml"]
    touch(tmp_path / "flat", *names, size=7)
    touch(
        tmp_path / "Bulk/Heart files", *(f"Resting ECG/{name[:2]}/{name}" for name in names), size=7
    )
    flat = inventory.find_ecgs([tmp_path / "flat"])
    tree = inventory.find_ecgs([tmp_path / "Bulk/Heart files"])
    assert [(f.visit, f.size) for f in flat] == [
        ("9000001_2", 7),
        ("9000001_3", 7),
        ("9000002_2", 7),
    ]
    assert [(f.visit, f.size) for f in tree] == [(f.visit, f.size) for f in flat]
    assert all(Path(f.path).is_file() for f in tree)


def test_every_name_of_a_nifti_folder(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "9000001/sa.nii.gz",
        "9000002_3/sa.nii.gz",
        "9000003_20209_3_1/SA.nii.GZ",
        "90/9000004_20209_2_0/sa.nii.gz",
        size=5,
    )
    touch(tmp_path, "9000002_3/seg_sa.nii.gz", size=2)
    cines = {f.visit: f for f in inventory.find_cines([tmp_path], default_instance=2)}
    assert list(cines) == ["9000001_2", "9000002_3", "9000003_3", "9000004_2"]
    assert cines["9000003_3"].array == 1
    assert cines["9000002_3"].segmentation == str(tmp_path / "9000002_3/seg_sa.nii.gz")
    assert cines["9000001_2"].segmentation is None
    assert {f.size for f in cines.values()} == {5}
    assert {v: f.segmentation_size for v, f in cines.items() if f.segmentation} == {"9000002_3": 2}


def test_default_instance_is_that_of_a_bare_folder_alone(tmp_path: Path) -> None:
    touch(tmp_path, "9000001/sa.nii.gz", "9000002_2/sa.nii.gz")
    assert [f.instance for f in inventory.find_cines([tmp_path], default_instance=3)] == [3, 2]


def test_other_files_are_ignored_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(
        tmp_path,
        "9000001_20209_2_0.ZIP",
        "9000001_20208_2_0.zip",
        "9000001_20209_2_0.zip.part",
        "._9000002_20209_2_0.zip",
    )
    touch(tmp_path, "900001_20209_2_0.zip", "9000003_20209_2_0/la_4ch.nii.gz", "notes.txt")
    with caplog.at_level("INFO"):
        assert [f.visit for f in inventory.find_cines([tmp_path], default_instance=2)] == [
            "9000001_2"
        ]
    assert "1 found, 6 other files" in caplog.text
    assert "900000" not in caplog.text


def test_search_ends_two_levels_down(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/9000001_20205_2_0.xml", "a/b/c/9000002_20205_2_0.xml")
    assert [f.participant for f in inventory.find_ecgs([tmp_path])] == ["9000001"]


def test_lowest_array_then_first_folder_is_used(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a/9000001_20205_2_1.xml",
        "b/9000001_20205_2_0.xml",
        "a/9000002_20205_2_0.xml",
        "b/9000002_20205_2_0.xml",
    )
    for order in (["a", "b"], ["b", "a"]):
        used, extra = inventory.first_of_each_visit(
            inventory.find_ecgs([tmp_path / name for name in order])
        )
        assert used["9000001_2"].array == 0
        assert used["9000002_2"].path == str(tmp_path / order[0] / "9000002_20205_2_0.xml")
        assert {f.path for f in extra} == {
            str(tmp_path / "a/9000001_20205_2_1.xml"),
            str(tmp_path / order[1] / "9000002_20205_2_0.xml"),
        }


def test_nifti_is_preferred_to_the_zip_beside_it(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "9000001_20209_2_0.zip",
        "9000001/sa.nii.gz",
        "9000001_2/sa.nii.gz",
        "9000001_2/seg_sa.nii.gz",
    )
    used, extra = inventory.first_of_each_visit(
        inventory.find_cines([tmp_path], default_instance=2)
    )
    assert used["9000001_2"].path.endswith("9000001_2/sa.nii.gz")
    assert len(extra) == 2


def test_nested_folders_do_not_make_duplicates(tmp_path: Path) -> None:
    touch(tmp_path, "a/9000001_20205_2_0.xml")
    assert len(inventory.find_ecgs([tmp_path, f"{tmp_path}/a/"])) == 1


def test_order_does_not_depend_on_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(
        tmp_path,
        *(f"{i % 3}/90000{i:02}_20205_2_0.xml" for i in range(30)),
        *(f"9/90000{i:02}_20205_2_0.xml" for i in range(5)),
    )
    expected = inventory.find_ecgs([tmp_path])
    real = os.scandir

    class Shuffled:
        def __init__(self, path: str) -> None:
            self.entries = random.Random(1).sample(list(real(path)), k=len(list(real(path))))

        def __enter__(self) -> list["os.DirEntry[str]"]:
            return self.entries

        def __exit__(self, *args: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert inventory.find_ecgs([tmp_path]) == expected


def test_broken_link_is_kept_for_the_reader_to_exclude(tmp_path: Path) -> None:
    (tmp_path / "9000001_20205_2_0.xml").symlink_to(tmp_path / "gone.xml")
    assert [(f.visit, f.size) for f in inventory.find_ecgs([tmp_path])] == [("9000001_2", 0)]


def test_missing_or_wrong_folder_names_setting_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cohort\.ecg_folders: .*absent is not a folder"):
        inventory.find_ecgs([tmp_path / "absent"])
    touch(tmp_path, "readme.txt")
    with pytest.raises(
        ValueError, match=r"cohort\.cmr_folders: no EID_20209_2_0\.zip .*found 1 \*\.txt$"
    ):
        inventory.find_cines([tmp_path], default_instance=2)


def test_links_that_loop_and_names_that_are_not_utf8_cost_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "9000001_20209_2_0.zip", "sub/9000002_20209_2_0.zip")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "9000003_20209_2_0").symlink_to(tmp_path / "9000003_20209_2_0")
    strange = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(strange)
    with open(strange + b"/9000004_20209_2_0.zip", "wb"):
        pass
    found = inventory.find_cines([tmp_path], default_instance=2)
    assert {f.visit for f in found} == {"9000001_2", "9000002_2", "9000004_2"}
    assert all(os.path.isfile(f.path) for f in found)
