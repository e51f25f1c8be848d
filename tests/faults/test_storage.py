"""Raw files on a mount that fails: nothing is lost silently, and a failure that passes costs
nothing.

The mount is a real one (FUSE); it fails where a test wants it to.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from mounted_cohort import members
from mounts import Mount

from ptacl import config, raw
from ptacl.cmr.prepare import CMR
from ptacl.cohort import inventory
from ptacl.ecg.prepare import ECG
from ptacl.preparation import prepare_shard

PASSES = ["EIO", "ESTALE", "ETIMEDOUT", "EINVAL", "ENOMEM", "EMFILE", "EREMOTEIO", "EHOSTDOWN"]
FATAL = ["EPERM", "EACCES", "ENOTCONN"]


def shard(modality: Any, rows: list[dict[str, str]], settings: Any, out: Path) -> Any:
    return prepare_shard(rows, modality=modality, settings=settings, directory=out)


@pytest.mark.parametrize("error", PASSES)
@pytest.mark.parametrize("on", ["getattr", "open", "read"])
def test_a_failure_that_passes_costs_nothing(
    on: str, error: str, mount: Mount, settings: config.Config, tmp_path: Path
) -> None:
    rows = members(settings, mount.place)[:2]
    expected = shard(ECG, rows, settings.ecg, tmp_path / "a")
    mount.faults({"path": r"9000001_20205.*xml", "on": on, "errno": error, "times": 1})
    assert vars(shard(ECG, rows, settings.ecg, tmp_path / "b")) == vars(expected)
    assert expected.visits == ["9000001_2", "9000002_2"]


@pytest.mark.parametrize("error", [*PASSES, *FATAL])
@pytest.mark.parametrize("on", ["getattr", "open", "read"])
def test_a_failure_that_stays_stops_the_shard(
    on: str, error: str, mount: Mount, settings: config.Config, tmp_path: Path
) -> None:
    rows = members(settings, mount.place)
    mount.faults({"path": r"9000002_20205.*xml", "on": on, "errno": error})
    with pytest.raises(raw.Unavailable) as caught:
        shard(ECG, rows, settings.ecg, tmp_path)
    assert error in str(caught.value) and "9000002" not in str(caught.value)
    assert ("tries" in str(caught.value)) == (error in PASSES)


@pytest.mark.parametrize("error", [*PASSES, *FATAL])
@pytest.mark.parametrize("on", ["getattr", "open", "read"])
@pytest.mark.parametrize("name", ["sa", "seg_sa"])
def test_a_cine_or_segmentation_that_fails_is_not_replaced_by_anything(
    name: str, on: str, error: str, mount: Mount, settings: config.Config, tmp_path: Path
) -> None:
    rows = members(settings, mount.place)[:1]
    path = re.escape(f"/{name}.nii.gz") + "$"
    mount.faults({"path": path, "on": on, "errno": error})
    with pytest.raises(raw.Unavailable):
        shard(CMR, rows, settings.cmr, tmp_path / "a")
    mount.faults({"path": path, "on": on, "errno": error, "times": 1})
    if error in PASSES:
        prepared = shard(CMR, rows, settings.cmr, tmp_path / "b")
        (facts,) = prepared.quality.values()
        assert facts["crop"]["source"] == "segmentation"


@pytest.mark.parametrize("error", [*PASSES, *FATAL])
def test_a_slice_of_a_dicom_folder_that_fails_is_not_a_lost_frame(
    error: str, mount: Mount, settings: config.Config
) -> None:
    paths = {"cmr": str(mount.place / "dicom")}
    whole = CMR.examine(paths, settings.cmr)
    assert whole.facts["unreadable"] == {}
    fault = {"path": r"/00_01\.dcm", "on": "read", "errno": error}
    mount.faults(fault)
    with pytest.raises(raw.Unavailable):
        CMR.examine(paths, settings.cmr)
    mount.faults(fault | {"times": 1})
    if error in PASSES:
        assert CMR.examine(paths, settings.cmr).facts == whole.facts


@pytest.mark.parametrize("error", [*PASSES, *FATAL])
@pytest.mark.parametrize("on", ["getattr", "readdir"])
def test_a_folder_that_cannot_be_listed_stops_the_manifest(
    on: str, error: str, mount: Mount
) -> None:
    expected = inventory.find_ecgs([mount.place / "ecg"])
    mount.faults({"path": "^/ecg$", "on": on, "errno": error})
    with pytest.raises(raw.Unavailable):
        inventory.find_ecgs([mount.place / "ecg"])
    mount.faults({"path": "^/ecg$", "on": on, "errno": error, "times": 1})
    if error in PASSES:
        assert inventory.find_ecgs([mount.place / "ecg"]) == expected
    assert len(expected) == 6


@pytest.mark.parametrize("name", ["sa.nii.gz", "seg_sa.nii.gz"])
def test_a_size_that_cannot_be_read_stops_the_manifest(name: str, mount: Mount) -> None:
    folders = [mount.place / "nifti"]
    expected = inventory.find_cines(folders, default_instance=2)
    mount.faults({"path": f"/{name}$", "on": "getattr", "errno": "EIO"})
    with pytest.raises(raw.Unavailable):
        inventory.find_cines(folders, default_instance=2)
    mount.faults({"path": f"/{name}$", "on": "getattr", "errno": "EIO", "times": 2})
    cines = inventory.find_cines(folders, default_instance=2)
    assert cines == expected and sum(cine.segmentation is not None for cine in cines) >= 3


@pytest.mark.parametrize("error", [*PASSES, *FATAL])
def test_a_table_that_fails_stops_the_manifest(
    error: str, mount: Mount, settings: config.Config
) -> None:
    expected = members(settings, mount.place)
    mount.faults({"path": "table_exporter.csv", "on": "read", "errno": error})
    with pytest.raises(raw.Unavailable):
        members(settings, mount.place)
    mount.faults({"path": "table_exporter.csv", "on": "read", "errno": error, "times": 1})
    if error in PASSES:
        assert members(settings, mount.place) == expected


def test_a_short_read_is_tried_again(mount: Mount, settings: config.Config, tmp_path: Path) -> None:
    """The size that the manifest recorded tells that something is missing."""
    rows = members(settings, mount.place)[:2]
    for modality, of, path in (
        (ECG, settings.ecg, r"9000001_20205.*xml"),
        (CMR, settings.cmr, r"/sa\.nii\.gz"),
        (CMR, settings.cmr, r"/seg_sa\.nii\.gz"),
    ):
        expected = shard(modality, rows, of, tmp_path / "a")
        short = {"path": path, "on": "read", "short": 4096}
        mount.faults(short | {"times": 1})
        assert vars(shard(modality, rows, of, tmp_path / "b")) == vars(expected)
        mount.faults(short)
        with pytest.raises(raw.Unavailable, match=r"4,096 of [\d,]+ bytes could be read"):
            shard(modality, rows, of, tmp_path / "c")
        mount.faults()


def test_a_slow_read_is_waited_for(mount: Mount, settings: config.Config, tmp_path: Path) -> None:
    rows = members(settings, mount.place)[:1]
    mount.faults({"path": "9000001", "on": "read", "slow": 0.3})
    assert shard(ECG, rows, settings.ecg, tmp_path).visits == ["9000001_2"]


def test_a_file_that_is_gone_since_it_was_listed_costs_its_record(
    mount: Mount, source: Path, settings: config.Config, tmp_path: Path
) -> None:
    """The mount remembers its listing; the platform deletes files of withdrawn participants."""
    rows = members(settings, mount.place)
    gone = source / "ecg/9000003_20205_2_0.xml"
    content = gone.read_bytes()
    gone.unlink()
    try:
        assert len(inventory.find_ecgs([mount.place / "ecg"])) == 6
        found = shard(ECG, rows, settings.ecg, tmp_path)
    finally:
        gone.write_bytes(content)
    assert found.excluded == [
        {"visit": "9000003_2", "reason": "file that does not exist", "detail": ""}
    ]
    assert len(found.visits) == 5


def test_an_unmounted_folder_is_not_a_cohort_without_files(
    source: Path, settings: config.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "WAITS_S", ())
    mount = Mount(source, tmp_path / "m")
    rows = members(settings, mount.place)
    mount.stop()
    with pytest.raises(raw.Unavailable, match="mount the storage again"):
        shard(ECG, rows, settings.ecg, tmp_path / "out")
