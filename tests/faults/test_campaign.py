"""Every kind of bad input, each with the verdict that it must get; and a cohort of all of them,
whose good ones lose nothing.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import bad_cine
import bad_ecg
import bad_segmentation
import bad_tables
import numpy as np
import pytest
from phantom import IMAGE, T, write_nifti
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import cli, config, preparation, store
from ptacl.cli import record_commands
from ptacl.cmr.examine import examine
from ptacl.cmr.prepare import CMR
from ptacl.cohort import phenotypes
from ptacl.ecg.prepare import ECG as ECGS
from ptacl.exclusions import Reason
from ptacl.preparation import Examined

GOOD = cardiosoft(
    counts(synthetic_mv(beat_times(60), noise_mv=0.02)), beats_ms=list(1000 * beat_times(60) + 15)
)
ECG = {name: (edit, verdict) for name, edit, verdict in bad_ecg.cases()}
CINES = {name: (write, verdict) for name, write, verdict in bad_cine.cases()}
ODD = dict(bad_cine.harmless())
LABELS = dict(bad_segmentation.cases())
STOPS = dict(bad_tables.stops())
COUNTED = {name: (text, column) for name, text, column in bad_tables.counted()}


@pytest.fixture(scope="session")
def loaded(root: Path) -> config.Config:
    return config.load(root / "config.yaml")


@pytest.fixture(scope="session")
def phantom_settings(loaded: config.Config) -> config.Cmr:
    return loaded.cmr.model_copy(update={"frames": T, "min_slices": 6, "size": 32})


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom on values that break the standard
        yield


def test_the_campaign_is_as_large_as_it_claims() -> None:
    assert len(ECG) + len(CINES) + len(LABELS) + len(STOPS) + len(COUNTED) >= 350


def reason(examined: Examined, *, folder: Path) -> Reason | None:
    """The reason for an exclusion, which names neither a participant nor a folder, or the doubt
    about a record that is used.
    """
    if examined.excluded is None:
        doubts = examined.facts.get("doubts", {})
        return Reason(next(iter(doubts))) if doubts else None
    text = str(examined.excluded)
    assert "9000001" not in text
    assert str(folder) not in text
    return examined.excluded.reason


@pytest.mark.parametrize("case", ECG)
def test_a_bad_ecg_is_excluded_for_its_reason(
    case: str, tmp_path: Path, loaded: config.Config
) -> None:
    edit, allowed = ECG[case]
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_bytes(edit(GOOD).encode("latin-1"))
    examined = ECGS.examine({"ecg": str(path)}, loaded.ecg)
    assert reason(examined, folder=tmp_path) in allowed


@pytest.mark.parametrize("case", ECG)
def test_a_real_ecg_made_bad_is_excluded_for_its_reason(
    case: str, tmp_path: Path, loaded: config.Config, real_data: Path
) -> None:
    edit, allowed = ECG[case]
    text = (real_data / "ecg" / "cardiosoft" / "example-XML1.xml").read_text("latin-1")
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_bytes(edit(text).encode("latin-1"))
    examined = ECGS.examine({"ecg": str(path)}, loaded.ecg)
    assert reason(examined, folder=tmp_path) in allowed


@pytest.mark.parametrize("case", bad_ecg.HARMLESS)
def test_an_odd_ecg_is_used(case: str, tmp_path: Path, loaded: config.Config) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_text(bad_ecg.HARMLESS[case](GOOD), encoding="latin-1")
    examined = ECGS.examine({"ecg": str(path)}, loaded.ecg)
    assert examined.excluded is None
    assert examined.flags == []


@pytest.mark.parametrize("case", CINES)
def test_a_bad_cine_is_excluded_for_its_reason(
    case: str, tmp_path: Path, phantom_settings: config.Cmr
) -> None:
    write, allowed = CINES[case]
    path = write(tmp_path / "9000001")
    examined = CMR.examine({"cmr": str(path)}, phantom_settings)
    assert reason(examined, folder=tmp_path) in allowed


@pytest.mark.parametrize("case", ODD)
def test_an_odd_cine_is_used(case: str, tmp_path: Path, phantom_settings: config.Cmr) -> None:
    path = ODD[case](tmp_path / "9000001")
    assert CMR.examine({"cmr": str(path)}, phantom_settings).excluded is None


@pytest.mark.parametrize("case", LABELS)
def test_a_bad_segmentation_is_refused_and_its_cine_used(
    case: str, tmp_path: Path, phantom_settings: config.Cmr
) -> None:
    cine = write_nifti(tmp_path / "sa.nii.gz", IMAGE)
    labels = write_nifti(tmp_path / "seg_sa.nii.gz", LABELS[case])
    found = examine(cine, segmentation=labels, settings=phantom_settings)
    assert found.excluded is None
    assert found.flags == ["segmentation refused"]
    assert found.labels_TZRC is None


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


def test_bad_files_cost_the_good_ones_nothing_and_inspect_gives_the_same_reasons(
    tmp_path: Path,
    loaded: config.Config,
    phantom_settings: config.Cmr,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every tenth record is good, and stored as in a shard that has only good records."""
    settings = loaded.model_copy(update={"cmr": phantom_settings})
    monkeypatch.setattr(record_commands, "_settings", lambda _: settings)
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
    for modality, members, section in (
        (ECGS, ecgs, loaded.ecg),
        (CMR, cines, phantom_settings),
    ):
        how = {"modality": modality, "settings": section}
        name = modality.name
        found = preparation.prepare_shard(members, directory=mixed / name, **how)
        usable = [member for member in members if member["visit"] in good]
        only = preparation.prepare_shard(usable, directory=alone / name, **how)
        assert found.visits == only.visits == good
        assert len(found.excluded) == len(members) - len(good)
        assert all(row["reason"] for row in found.excluded)
        assert found.stored == only.stored
        for array in modality.arrays(section):
            stored, expected = store.read(mixed / name), store.read(alone / name)
            np.testing.assert_array_equal(stored.read(array), expected.read(array))
        reasons = {row["visit"]: f"{row['reason']}: {row['detail']}" for row in found.excluded}
        for member in members:
            inspected = inspect(Path(member[name]), capsys)
            assert inspected == reasons.get(member["visit"], "").removesuffix(": ")


def inspect(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Why `ptacl inspect` excludes a file; "" if it does not."""
    status = cli.main(["inspect", str(path), "--json"])
    printed = capsys.readouterr()
    if status == 2:
        return printed.err.partition(f"{path.name}: ")[2].strip()
    return json.loads(printed.out)["excluded"] or ""
