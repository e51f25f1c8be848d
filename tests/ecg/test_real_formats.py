"""Real files of many devices have the values of independent decoders, or are refused rightly."""

import json
from pathlib import Path

import numpy as np
import pytest
from recordings import any_record

from ptacl import config
from ptacl.ecg import from_arrays
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason

pytestmark = pytest.mark.usefixtures("quiet")


def test_files_that_are_right_have_the_values_of_independent_decoders(
    real_data: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, np.ndarray] = {}

    def conform(leads: dict[str, np.ndarray], **facts: object) -> EcgRecord:
        given.clear()
        given.update(leads)
        return original(leads, **facts)

    original = from_arrays.conform
    monkeypatch.setattr(from_arrays, "conform", conform)
    folder = real_data / "ecg" / "formats"
    reference = json.loads((folder / "reference.json").read_text())
    for name, facts in reference["right"].items():
        any_record(folder / name, settings=settings)
        for lead in facts["stored_leads"]:
            expected, found = facts["mV"][lead], given[lead]
            assert len(found) == facts["samples"]
            np.testing.assert_allclose(found[:5], expected["first5"], atol=1e-6)
            numbers = [found.min(), found.max(), found.sum() / len(found)]
            whole = [expected["min"], expected["max"], expected["sum"] / len(found)]
            np.testing.assert_allclose(numbers, whole, atol=1e-6)
        if rate_bpm := facts["device_heart_rate_bpm"]:
            measured = examine(folder / name, settings=settings).facts["heart_rate_bpm"]
            assert measured == pytest.approx(rate_bpm, rel=0.07)


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("farhad_ECG_20060620_112352_ANON000002.scp", Reason.MISSING_LEAD, "missing lead V3, V5"),
        ("liryc_hl7aecg.xml", Reason.EINTHOVEN, "lead III"),
        ("contec_0000050.edf", Reason.FLAT_LEAD, "lead V1, V2, V3, V4, V5, V6"),
    ],
)
def test_files_that_must_be_refused(
    name: str, reason: Reason, detail: str, real_data: Path, settings: config.Ecg
) -> None:
    found = examine(real_data / "ecg" / "formats" / name, settings=settings)
    assert found.excluded is not None and found.excluded.reason is reason
    assert detail in found.excluded.detail


@pytest.mark.parametrize(
    ("name", "within_mv"),
    [
        ("muse_own.xml", 0.00245),
        ("mortara_own_newline_after_root.xml", 0.0025),
        ("wfdb_E1.hea", 1e-6),
        ("wfdb_w20.hea", 1e-6),
        ("edf_12_leads_and_resp_25hz.edf", 1e-4),
    ],
)
def test_one_record_in_other_formats(
    name: str, within_mv: float, real_data: Path, settings: config.Ecg
) -> None:
    found = any_record(real_data / "cases" / name, settings=settings)
    original = real_data / "ecg" / "cinc2021" / "E07500.mat"
    counts = np.frombuffer(original.read_bytes()[24:], "<i2").reshape(-1, 12).T
    stored = [LEADS.index(lead) for lead in ("I", "II", *LEADS[6:])]
    np.testing.assert_allclose(
        found.signal_mv[stored], counts[stored] / 1000, rtol=0, atol=within_mv + 1e-6
    )


@pytest.mark.parametrize(("number", "rate_bpm"), [(1, 48), (2, 65)])
def test_muse_exports_of_a_hospital(
    number: int, rate_bpm: float, real_data: Path, settings: config.Ecg
) -> None:
    path = real_data / "cases" / f"muse_braveheart_example{number}.xml"
    found = examine(path, settings=settings)
    assert found.excluded is None
    assert found.facts["heart_rate_bpm"] == pytest.approx(rate_bpm, abs=1)
    assert found.facts["resolution_mv"] == pytest.approx(0.00488)


def test_zeros_are_values_although_zero_is_the_padding_value(
    real_data: Path, settings: config.Ecg
) -> None:
    found = any_record(real_data / "cases" / "dicom_padding_value_0.dcm", settings=settings)
    expected = any_record(
        real_data / "ecg" / "formats" / "ecgtoolkit_Example.scp", settings=settings
    )
    np.testing.assert_allclose(found.signal_mv, expected.signal_mv, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("scp_one_bit_flipped.scp", Reason.CHECKSUM, "record, Section 6"),
        ("wfdb_w16.hea", Reason.CHECKSUM, ", ".join(LEADS)),
        ("edf_plus_d_gap_4s_at_5s.edf", Reason.GAP, "4 s are missing after 5 s"),
        ("aecg_scale_comma.xml", Reason.WRONG_UNIT, "the scale of lead I is not a number"),
    ],
)
def test_damage_is_refused_with_its_own_reason(
    name: str, reason: Reason, detail: str, real_data: Path, settings: config.Ecg
) -> None:
    found = examine(real_data / "cases" / name, settings=settings)
    assert found.excluded is not None and found.excluded.reason is reason
    assert found.excluded.detail == detail


def test_a_flipped_bit_of_an_scp_file_never_passes(
    real_data: Path, settings: config.Ecg, tmp_path: Path
) -> None:
    content = (real_data / "ecg" / "formats" / "ecgtoolkit_Example.scp").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 80):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / "a.scp"
        path.write_bytes(damaged)
        with pytest.raises(Excluded):
            any_record(path, settings=settings)


@pytest.mark.parametrize("where", ["below", "elsewhere"])
def test_a_wfdb_header_can_name_signal_files_in_folders_below_it(
    where: str, real_data: Path, settings: config.Ecg, tmp_path: Path
) -> None:
    source = real_data / "ecg" / "cinc2021" / "E07500.hea"
    folder = tmp_path / "header"
    (folder / "signals").mkdir(parents=True)
    target = folder / "signals" if where == "below" else tmp_path
    (target / "E07500.mat").write_bytes(source.with_suffix(".mat").read_bytes())
    named = "signals/E07500.mat" if where == "below" else "../E07500.mat"
    lines = source.read_text().replace("E07500.mat", named).replace("E07500 ", "data/E07500 ")
    (folder / "a.hea").write_text(lines)
    if where == "below":
        found = any_record(folder / "a.hea", settings=settings)
        np.testing.assert_array_equal(
            found.signal_mv, any_record(source, settings=settings).signal_mv
        )
    else:
        with pytest.raises(Excluded, match="signal file outside the folder of the header"):
            any_record(folder / "a.hea", settings=settings)


REAL = {  # files below the folder of real recordings, by format in docs/other-cohorts.md
    "GE CardioSoft XML (UK Biobank field 20205)": ["ecg/cardiosoft/*.xml"],
    "GE MUSE XML": ["cases/muse_braveheart*.xml"],
    "Philips Sierra XML": ["ecg/formats/sierra*.xml", "ecg/formats/tbj128_philips.xml"],
    "HL7 aECG": ["ecg/formats/fda*.xml", "ecg/formats/cvrg*.xml"],
    "SCP-ECG": ["ecg/formats/*.scp"],
    "DICOM waveform": ["ecg/dicom/*.dcm", "ecg/formats/*.dcm"],
    "WFDB": ["ecg/cinc2021/*.hea", "ecg/wfdb/*.hea"],
}


def test_the_page_counts_the_real_files_of_each_format(
    real_data: Path, settings: config.Ecg, root: Path
) -> None:
    rows = {}
    for line in (root / "docs" / "other-cohorts.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[3].isdigit():
            rows[cells[0]] = int(cells[3])
    assert len(rows) == 11
    for name, number in rows.items():
        files = [path for pattern in REAL.get(name, []) for path in real_data.glob(pattern)]
        read = [path for path in files if is_read(path, settings)]
        assert len(read) == number, name


def is_read(path: Path, settings: config.Ecg) -> bool:
    """Whether the reader reads the file; two records without a signal in a lead are read too."""
    try:
        any_record(path, settings=settings)
    except Excluded as error:
        return error.reason is Reason.FLAT_LEAD
    return True
