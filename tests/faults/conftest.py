"""A small cohort on a mount that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mounts import Mount
from phantom import IMAGE, encode, series

from ptacl import config, raw
from ptacl.cohort import simulate


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Six simulated participants, with NIfTI cines and segmentations, and one folder of DICOM."""
    folder = tmp_path_factory.mktemp("storage") / "source"
    settings = config.load(root / "config.yaml").simulation.model_copy(
        update={
            "participants": 6,
            "zip_fraction": 0.0,
            "second_visit_fraction": 0.0,
            "defects": 0,
        }
    )
    simulate.simulate(folder, settings=settings, seed=0, processes=1)
    for ecg in folder.glob("Bulk/**/*.xml"):
        ecg.rename(folder / "ecg" / ecg.name)
    dicom = folder / "dicom"
    dicom.mkdir()
    for name, dataset in series(IMAGE).items():
        (dicom / name).write_bytes(encode(dataset))
    return folder


@pytest.fixture(scope="module")
def shared(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    mount = Mount(source, tmp_path_factory.mktemp("mounted"))
    yield mount
    mount.stop()


@pytest.fixture
def mount(shared: Mount, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    """The mount without faults; further tries do not wait."""
    monkeypatch.setattr(raw, "WAITS_S", (0.0, 0.0, 0.0, 0.0))
    shared.faults()
    yield shared
    shared.faults()


@pytest.fixture(scope="module")
def settings(root: Path) -> config.Config:
    return config.load(root / "config.yaml")
