"""Every format follows the same contract: real files if they are available, otherwise files of an
independent writer, and damaged files.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from other_formats import SIGNAL_MV, edf, table
from recordings import any_record, cardiosoft, counts

from ptacl import config
from ptacl.cohort import inventory
from ptacl.ecg import formats, read
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_cardiosoft_file_is_read_by_its_own_reader(tmp_path: Path, settings: config.Ecg) -> None:
    path = tmp_path / "anything.bin.xml"
    path.write_text(cardiosoft(counts(SIGNAL_MV), beats_ms=[515]), encoding="latin-1")
    found, expected = (
        any_record(path, settings=settings),
        read.record(read.parse(path.read_bytes()), settings=settings),
    )
    np.testing.assert_array_equal(found.signal_mv, expected.signal_mv)
    assert found.device_beats_ms == expected.device_beats_ms == (515,)


@pytest.mark.parametrize("name", ["example-DICOM1.dcm", "example-DICOM2.dcm", "waveform_ecg.dcm"])
def test_real_dicom_as_pydicom_reads_it(name: str, real_data: Path, settings: config.Ecg) -> None:
    path = real_data / "ecg" / "dicom" / name
    data = pydicom.dcmread(path)
    rate = float(data.WaveformSequence[0].SamplingFrequency)
    units = {
        c.ChannelSensitivityUnitsSequence[0].CodeValue
        for c in data.WaveformSequence[0].ChannelDefinitionSequence
    }
    expected = data.waveform_array(0).T * {"uV": 1e-3, "mV": 1.0}[units.pop()]
    found = any_record(path, settings=settings)
    assert found.signal_mv.shape == (12, 5000)
    if rate == settings.rate_hz:
        np.testing.assert_allclose(found.signal_mv, expected[:, :5000], atol=1e-5)
    else:  # converted: the same curve, but for what lies above the new half of the rate
        between = expected[:, : 5000 * int(rate // 500) : int(rate // 500)]
        assert all(
            np.corrcoef(a, b)[0, 1] > 0.99 for a, b in zip(found.signal_mv, between, strict=True)
        )
    assert examine(path, settings=settings).facts["num_beats"] >= 4


def test_real_wfdb_as_an_own_reader_reads_it(real_data: Path, settings: config.Ecg) -> None:
    """Challenge of 2021, 25 records, two of them with leads without a signal; and PTB with its 15
    leads at 1000 Hz.
    """
    refused = {}
    for path in sorted((real_data / "ecg" / "cinc2021").glob("*.hea")):
        try:
            found = any_record(path, settings=settings)
        except Excluded as error:
            refused[path.stem] = error.reason
            continue
        expected = (
            np.frombuffer(path.with_suffix(".mat").read_bytes()[24:], "<i2").reshape(-1, 12).T
            / 1000
        )
        np.testing.assert_allclose(found.signal_mv, expected, atol=1e-5)
    assert refused == {"JS20004": Reason.FLAT_LEAD, "JS20008": Reason.FLAT_LEAD}
    assert any_record(
        real_data / "ecg" / "wfdb" / "s0010_re.hea", settings=settings
    ).signal_mv.shape == (12, 5000)


def test_physical_values_that_are_scaled_lead_by_lead_are_refused(
    real_data: Path, settings: config.Ecg
) -> None:
    """LUDB's headers make every lead as tall as every other: the limb leads then disagree, and
    nothing is learnt from them.
    """
    path = sorted((real_data / "ecg" / "ludb").rglob("*.hea"))[0]
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert error.value.reason is Reason.EINTHOVEN


@pytest.mark.parametrize(
    "leads", [LEADS, ("I", "II", *LEADS[6:])], ids=["twelve leads", "eight leads"]
)
def test_edf_of_an_independent_writer(
    leads: tuple[str, ...], tmp_path: Path, settings: config.Ecg
) -> None:
    found = any_record(edf(tmp_path / "a.edf", leads=leads), settings=settings)
    np.testing.assert_allclose(found.signal_mv, SIGNAL_MV, atol=2e-3)


@pytest.mark.skipif(
    not shutil.which("save2gdf"), reason="needs save2gdf of biosig-tools to write HL7 aECG"
)
def test_hl7_aecg_of_an_independent_writer(tmp_path: Path, settings: config.Ecg) -> None:
    command = ["save2gdf", "-f=HL7", str(edf(tmp_path / "a.edf")), str(tmp_path / "a.xml")]
    subprocess.run(command, check=True, capture_output=True)
    found = any_record(tmp_path / "a.xml", settings=settings)
    np.testing.assert_allclose(found.signal_mv, SIGNAL_MV, atol=2e-3)
    assert examine(tmp_path / "a.xml", settings=settings).facts["num_beats"] == 10


@pytest.mark.parametrize("form", ["dcm", "edf", "hea", "scp", "xml"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
def test_a_damaged_file_is_excluded_and_raises_nothing_else(
    form: str, share: float, tmp_path: Path, real_data: Path, settings: config.Ecg
) -> None:
    if form == "dcm":
        content = (real_data / "ecg" / "dicom" / "example-DICOM1.dcm").read_bytes()
    elif form == "hea":
        content = (real_data / "ecg" / "cinc2021" / "E07500.hea").read_bytes()
    elif form == "edf":
        content = edf(tmp_path / "whole.edf").read_bytes()
    else:
        content = b"<RestingECG><Waveform>" * 20 if form == "xml" else b"SCPECG" * 100
    path = tmp_path / f"9000001_20205_2_0.{form}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert "9000001" not in str(error.value)


def test_without_the_extra_the_remedy_is_named(
    tmp_path: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    with pytest.raises(Excluded, match=r"pip install ecgdatakit"):
        any_record(edf(tmp_path / "a.edf"), settings=settings)


def test_files_of_every_format_are_examined(
    real_data: Path, tmp_path: Path, settings: config.Ecg
) -> None:
    for path in (
        real_data / "ecg" / "dicom" / "example-DICOM1.dcm",
        edf(tmp_path / "a.edf"),
        table(tmp_path / "a.csv", SIGNAL_MV),
    ):
        found = examine(path, settings=settings)
        assert found.excluded is None
        assert found.facts["format"] == path.suffix[1:]
        assert len(found.facts["r_peaks_s"]) >= 5


def test_files_of_any_format_are_found_and_xml_is_preferred(tmp_path: Path) -> None:
    for name in (
        "9000001_20205_2_0.xml",
        "9000002_20205_2_0.dcm",
        "9000003_20205_2_0.hea",
        "9000003_20205_2_0.dat",
        "notes.csv",
    ):
        (tmp_path / name).touch()
    (tmp_path / "9000001_20205_2_0.dcm").touch()
    found = inventory.find_ecgs([tmp_path])
    assert sorted({file.participant for file in found}) == ["9000001", "9000002", "9000003"]
    chosen, others = inventory.first_of_each_visit(found)
    assert chosen["9000001_2"].path.endswith(".xml") and others[0].path.endswith(".dcm")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "ISO-8859-1"])
@pytest.mark.parametrize(
    "before",
    [
        "",
        "\n <!-- made by a device -->\n",
        f"<!-- {'long ' * 2000} -->",
        '<!DOCTYPE ROOT SYSTEM "restecg.dtd">',
        '<!DOCTYPE ROOT PUBLIC "-//X//Y" "http://example.org/x.dtd">\n<?page style?>',
    ],
    ids=["nothing", "comment", "long comment", "document type", "public document type"],
)
@pytest.mark.parametrize("root", ["RestingECG", "AnnotatedECG", "restingecgdata", "ECG"])
def test_the_root_element_tells_whose_xml_it_is(
    root: str, before: str, encoding: str, tmp_path: Path
) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    for element in (f"<{root}>", f'<v:{root}\nxmlns:v="urn:x">', f'<{root} a="1"/>'):
        path = tmp_path / "a.dat"
        text = declared + before.replace("ROOT", root) + element
        path.write_text(text, encoding=encoding)
        assert formats.open_file(path) == formats.Opened(None, root)


@pytest.mark.parametrize("name", ["a.xml", "a.dcm"])
def test_a_cardiosoft_file_is_parsed_when_it_is_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('<!DOCTYPE CardiologyXML SYSTEM "x.dtd"><CardiologyXML/>')
    document = formats.open_file(tmp_path / name).cardiosoft
    assert document is not None and document.tag == "CardiologyXML"


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("<Unknown/>", "XML with root element Unknown, which is none of CardiologyXML, RestingECG"),
        ("<a9000001/>", "root element a[number], which"),
        ("", "not well-formed XML: no element found"),
        ("no XML", "not well-formed XML: syntax error: line 1"),
        ("<!-- only a comment -->", "not well-formed XML: no element found"),
        ("<!DOCTYPE ECG [<!ELEMENT ECG ANY>]><ECG/>", "document type with declarations of its own"),
        ('<!DOCTYPE ECG [<!ENTITY a "b">]><ECG>&a;</ECG>', "document type with declarations"),
        ('<!DOCTYPE ECG [<!ENTITY % a SYSTEM "x">%a;]><ECG/>', "document type with declarations"),
    ],
)
def test_other_xml_is_refused_with_the_reason(content: str, detail: str, tmp_path: Path) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    for encoding in ("utf-8", "utf-16") if content else ("utf-8",):
        path.write_text(content, encoding=encoding)
        with pytest.raises(Excluded) as error:
            formats.open_file(path)
        assert error.value.reason is Reason.UNREADABLE and detail in error.value.detail


def test_a_file_of_another_kind_says_where_the_formats_are_listed(
    tmp_path: Path, settings: config.Ecg
) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("This is a letter and not an ECG.\n" * 20)
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert error.value.reason is Reason.UNREADABLE
    assert "not an ECG format that docs/other-cohorts.md lists" in str(error.value)
