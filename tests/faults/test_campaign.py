"""Every kind of bad input, each with the verdict that it must get; and a cohort of all of them,
whose good ones lose nothing.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bad_cine
import bad_ecg
import bad_tables
import numpy as np
import pytest
from phantom import write_nifti
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config, store
from ptacl.cmr import prepare as cmr_prepare
from ptacl.cmr.sequence import examine
from ptacl.cohort import phenotypes
from ptacl.ecg import prepare as ecg_prepare
from ptacl.exclusions import Excluded, Reason

GOOD = cardiosoft(
    counts(synthetic_mv(beat_times(60), noise_mv=0.02)), beats_ms=list(1000 * beat_times(60) + 15)
)
ECG = {name: (edit, verdict) for name, edit, verdict in bad_ecg.cases()}
CINES = {name: (write, verdict) for name, write, verdict in bad_cine.cases()}
ODD = dict(bad_cine.harmless())
LABELS = dict(bad_cine.bad_labels())
STOPS = dict(bad_tables.stops())
COUNTED = {name: (text, column) for name, text, column in bad_tables.counted()}


@pytest.fixture(scope="session")
def loaded(root: Path) -> config.Config:
    return config.load(root / "config.yaml")


@pytest.fixture(scope="session")
def phantom_settings(loaded: config.Config) -> config.Cmr:
    return loaded.cmr.model_copy(update={"frames": bad_cine.T, "min_slices": 6, "size": 32})


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom on values that break the standard
        yield


def test_the_campaign_is_as_large_as_it_claims() -> None:
    assert len(ECG) + len(CINES) + len(LABELS) + len(STOPS) + len(COUNTED) >= 350


def verdict(act: Callable[[], object], *, folder: Path) -> Reason | None:
    """The reason for which `act` excludes; nothing else may be raised, and no participant or folder
    be told.
    """
    try:
        act()
    except Excluded as error:
        assert "9000001" not in str(error) and str(folder) not in str(error)
        return error.reason
    return None


@pytest.mark.parametrize("case", ECG)
def test_a_bad_ecg_is_excluded_for_its_reason(
    case: str, tmp_path: Path, loaded: config.Config
) -> None:
    edit, allowed = ECG[case]
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_bytes(edit(GOOD).encode("latin-1"))
    assert (
        verdict(lambda: ecg_prepare.prepare_record(path, settings=loaded.ecg), folder=tmp_path)
        in allowed
    )


@pytest.mark.parametrize("case", ECG)
def test_a_real_ecg_made_bad_is_excluded_for_its_reason(
    case: str, tmp_path: Path, loaded: config.Config, real_data: Path
) -> None:
    edit, allowed = ECG[case]
    text = (real_data / "ecg" / "cardiosoft" / "example-XML1.xml").read_text("latin-1")
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_bytes(edit(text).encode("latin-1"))
    assert (
        verdict(lambda: ecg_prepare.prepare_record(path, settings=loaded.ecg), folder=tmp_path)
        in allowed
    )


@pytest.mark.parametrize("case", bad_ecg.HARMLESS)
def test_an_odd_ecg_is_used(case: str, tmp_path: Path, loaded: config.Config) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_text(bad_ecg.HARMLESS[case](GOOD), encoding="latin-1")
    assert len(ecg_prepare.prepare_record(path, settings=loaded.ecg).quality["flags"]) == 0


@pytest.mark.parametrize("case", CINES)
def test_a_bad_cine_is_excluded_for_its_reason(
    case: str, tmp_path: Path, phantom_settings: config.Cmr
) -> None:
    write, allowed = CINES[case]
    path = write(tmp_path / "9000001")
    act = lambda: cmr_prepare.prepare_record(str(path), segmentation="", settings=phantom_settings)  # noqa: E731
    assert verdict(act, folder=tmp_path) in allowed


@pytest.mark.parametrize("case", ODD)
def test_an_odd_cine_is_used(case: str, tmp_path: Path, phantom_settings: config.Cmr) -> None:
    path = ODD[case](tmp_path / "9000001")
    assert (
        cmr_prepare.prepare_record(str(path), segmentation="", settings=phantom_settings).excluded
        is None
    )


@pytest.mark.parametrize("case", LABELS)
def test_a_bad_segmentation_is_refused_and_its_cine_used(
    case: str, tmp_path: Path, phantom_settings: config.Cmr
) -> None:
    cine = write_nifti(tmp_path / "sa.nii.gz", bad_cine.IMAGE)
    labels = write_nifti(tmp_path / "seg_sa.nii.gz", LABELS[case])
    found = examine(cine, segmentation=labels, settings=phantom_settings)
    assert found.excluded is None and found.refused and found.labels_TZRC is None


def read(content: bytes, folder: Path, loaded: config.Config) -> phenotypes.PhenotypeTable:
    known = [p for p in loaded.cohort.phenotypes if p.field in (24100, 24101)]
    (folder / "table.csv").write_bytes(content)
    return phenotypes.read_tables(
        [folder / "table.csv"], phenotypes=known, instances=[2], identity_tolerance=0.02
    )


@pytest.mark.parametrize("case", STOPS)
def test_a_broken_table_stops_and_is_named(
    case: str, tmp_path: Path, loaded: config.Config
) -> None:
    with pytest.raises(ValueError, match=r"table\.csv"):
        read(STOPS[case], tmp_path, loaded)


@pytest.mark.parametrize("case", COUNTED)
def test_a_cell_that_cannot_be_read_is_counted(
    case: str, tmp_path: Path, loaded: config.Config
) -> None:
    text, column = COUNTED[case]
    found = read(text.encode(), tmp_path, loaded)
    assert list(found.unreadable) == [column] and sum(found.unreadable[column].values()) == 1
    assert len(found.values) == len(bad_tables.ROWS) and found.values["LVEDV"].isna().sum() == 1


def test_a_cohort_of_all_bad_files_costs_the_good_ones_nothing(
    tmp_path: Path, loaded: config.Config, phantom_settings: config.Cmr
) -> None:
    """Every tenth record is good: stored as in a shard of good records alone, and all others stand
    in the exclusions.
    """
    ecgs, cines, good = [], [], []
    for number, (ecg, cine) in enumerate(zip([*ECG][: len(CINES)], CINES, strict=True)):
        participant = str(9000001 + number)
        xml = tmp_path / f"{participant}_20205_2_0.xml"
        edit = ECG[ecg][0] if number % 10 else bad_ecg.HARMLESS["nothing"]
        xml.write_bytes(edit(GOOD.replace("9000001", participant)).encode("latin-1"))
        path = (CINES[cine][0] if number % 10 else ODD["as it is"])(tmp_path / participant)
        ecgs.append({"visit": f"{participant}_2", "ecg": str(xml)})
        cines.append({"visit": f"{participant}_2", "cmr": str(path), "segmentation": ""})
        good += [f"{participant}_2"] * (number % 10 == 0)
    mixed, alone = tmp_path / "mixed", tmp_path / "alone"
    for name, members, act, settings in (
        ("ecg", ecgs, ecg_prepare.prepare_shard, loaded.ecg),
        ("cmr", cines, cmr_prepare.prepare_shard, phantom_settings),
    ):
        found = act(members, settings=settings, directory=mixed / name)  # type: ignore[operator]
        only = act(
            [m for m in members if m["visit"] in good], settings=settings, directory=alone / name
        )  # type: ignore[operator]
        assert found.visits == only.visits == good
        assert len(found.excluded) == len(members) - len(good) and all(
            row["reason"] for row in found.excluded
        )
        assert found.stored == only.stored
        key = "signal_mv" if name == "ecg" else "frames"
        rows = list(range(len(good)))
        assert np.array_equal(
            store.read(mixed / name).read(key, rows), store.read(alone / name).read(key, rows)
        )
