import re
from pathlib import Path

import numpy as np
import pytest
from bad_ecg import HARMLESS, removed, strip, without
from cardiosoft_file import COUNTS, TEXT, written
from recordings import any_record, cardiosoft, open_document

from ptacl import config
from ptacl.ecg.read import LEADS, header, record
from ptacl.exclusions import Excluded


@pytest.mark.parametrize("source", ["synthetic", "real"])
@pytest.mark.parametrize("change", HARMLESS)
def test_what_does_no_harm_changes_nothing(
    change: str, source: str, tmp_path: Path, settings: config.Ecg, request: pytest.FixtureRequest
) -> None:
    text = (
        TEXT if source == "synthetic" else request.getfixturevalue("example").read_text("latin-1")
    )
    expected = np.array(
        [
            [
                int(v)
                for v in re.findall(
                    f'lead="{lead}">(.*?)<', text.partition("<StripData>")[2], re.S
                )[0].split(",")
            ]
            for lead in LEADS
        ]
    )
    found = any_record(written(tmp_path, HARMLESS[change](text)), settings=settings)
    assert found.leads == LEADS and found.signal_mv.dtype == np.float32
    np.testing.assert_allclose(found.signal_mv, expected * 0.005, atol=1e-6)


def test_unit_millivolt(tmp_path: Path, settings: config.Ecg) -> None:
    text = strip(lambda s: s.replace('uVperLsb">5<', 'mVperLsb">0.005<'))(TEXT)
    np.testing.assert_allclose(
        any_record(written(tmp_path, text), settings=settings).signal_mv,
        any_record(written(tmp_path, TEXT), settings=settings).signal_mv,
        rtol=1e-6,
    )


def test_facts_beside_the_strip(tmp_path: Path, settings: config.Ecg) -> None:
    found = any_record(written(tmp_path, TEXT), settings=settings)
    assert (
        found.device_beats_ms == (515, 1515)
        and found.resolution_mv == 0.005
        and found.software == "CardioSoft V6.73"
    )
    assert found.filters["notch_50_hz"] is True and found.filters["cubic_spline"] is False
    assert found.filters["low_pass_hz"] == 100 and found.filters["high_pass_hz"] is None
    assert found.measurements["ventricular_rate_bpm"] == 60
    assert found.measurements["pq_ms"] is None and found.measurements["qt_ms"] is None


@pytest.mark.parametrize(
    ("lead", "counts_off", "excluded"),
    [("III", 1, False), ("III", 2, True), ("aVF", 2, True), ("V2", 500, False)],
)
def test_limb_leads_agree_within_one_count(
    lead: str, counts_off: int, excluded: bool, tmp_path: Path, settings: config.Ecg
) -> None:
    leads = {name: values.copy() for name, values in COUNTS.items()}
    leads[lead][1234] += counts_off
    path = written(tmp_path, cardiosoft(leads))
    if excluded:
        with pytest.raises(Excluded, match=f"Einthoven.*lead {lead}"):
            any_record(path, settings=settings)
    else:
        any_record(path, settings=settings)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8", "UTF-16"])
def test_the_encoding_is_that_which_the_file_names(
    encoding: str, tmp_path: Path, settings: config.Ecg
) -> None:
    text = TEXT.replace("ISO-8859-1", encoding)
    letters = text.replace("</CardiologyXML>", "<Note>\u00e9\u00fc</Note></CardiologyXML>")
    plain = any_record(written(tmp_path, text, encoding=encoding), settings=settings)
    accented = written(tmp_path, letters, encoding=encoding)
    assert open_document(accented).findtext("Note") == "\u00e9\u00fc"
    np.testing.assert_array_equal(
        any_record(accented, settings=settings).signal_mv, plain.signal_mv
    )


def test_header_tells_what_an_unusable_file_has(tmp_path: Path, settings: config.Ecg) -> None:
    root = open_document(written(tmp_path, without("V6")(TEXT)))
    assert (
        header(root).leads == LEADS[:-1]
        and header(root).rate_hz == 500
        and header(root).num_samples == 5000
    )
    with pytest.raises(Excluded, match="V6"):
        record(root, settings=settings)


def test_real_file(example: Path, settings: config.Ecg) -> None:
    found = any_record(example, settings=settings)
    i, ii, iii = found.signal_mv[:3].astype(np.float64)
    assert np.abs(i + iii - ii).max() < 1e-6  # float32 rounding of exact counts
    assert found.measurements["ventricular_rate_bpm"] == 50 and found.measurements["rr_ms"] == 1202
    assert (
        len(found.device_beats_ms) == 8
        and found.filters["high_pass_hz"] == 0.01
        and found.filters["notch_60_hz"] is False
    )


def test_beats_of_the_device_are_ordered_and_those_without_a_time_in_ms_are_left_out(
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    text = cardiosoft(COUNTS, beats_ms=[1515, 515, 2515, 3515])
    text = text.replace('units="ms">2515<', 'units="s">2515<')
    text = text.replace(">3515<", "><")
    assert any_record(written(tmp_path, text), settings=settings).device_beats_ms == (515, 1515)


def test_software_and_participant_are_those_of_the_file(
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    text = TEXT.replace(">V6.73<", "> V6.73 <").replace(">9000001<", "> 9000001 <")
    found = any_record(written(tmp_path, text), settings=settings)
    assert found.software == "CardioSoft V6.73"
    assert found.participant == "9000001"
    text = removed("SoftwareVer")(TEXT)
    text = removed("PatientInfo")(text)
    found = any_record(written(tmp_path, text), settings=settings)
    assert found.software == "CardioSoft"
    assert found.participant == ""


def test_every_filter_and_measurement_has_its_element(tmp_path: Path, settings: config.Ecg) -> None:
    filters = "<CubicSpline>YES</CubicSpline><Filter50Hz> no </Filter50Hz>"
    filters += "<HighPass>0.08</HighPass><LowPass>wide</LowPass>"
    measurements = "<QTInterval>400</QTInterval><PAxis>-12</PAxis>"
    measurements += "<RAxis>inf</RAxis><TAxis>?</TAxis>"
    text = removed("FilterSetting")(TEXT).replace(
        "<StripData>",
        f"<FilterSetting>{filters}</FilterSetting><StripData>",
    )
    text = text.replace("<RestingECGMeasurements>", f"<RestingECGMeasurements>{measurements}")
    found = any_record(written(tmp_path, text), settings=settings)
    assert found.filters == {
        "cubic_spline": True,
        "notch_50_hz": False,
        "notch_60_hz": None,
        "low_pass_hz": None,
        "high_pass_hz": 0.08,
    }
    assert found.measurements["qt_ms"] == 400
    assert found.measurements["p_axis_degrees"] == -12
    assert found.measurements["r_axis_degrees"] is None
    assert found.measurements["t_axis_degrees"] is None


def test_a_header_without_numbers_has_none(tmp_path: Path) -> None:
    text = strip(lambda s: s.replace(">5000<", ">many<"))(TEXT)
    text = strip(lambda s: s.replace('"Hz">500<', '"Hz"><'))(text)
    text = strip(lambda s: s.replace('"V6"', '" v6 "'))(text)
    text = strip(lambda s: s.replace('lead="V5"', 'name="V5"'))(text)
    found = header(open_document(written(tmp_path, text)))
    assert found.num_samples is None
    assert found.rate_hz is None
    assert found.leads == (*LEADS[:10], "", "V6")


def test_a_long_text_elsewhere_in_the_file_does_no_harm(
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    """By default, the parser refuses a text of more than ten million characters."""
    note = f"<Note>{'a' * (10**7 + 1)}</Note>"
    text = TEXT.replace("</CardiologyXML>", f"{note}</CardiologyXML>")
    plain = any_record(written(tmp_path, TEXT), settings=settings)
    found = any_record(written(tmp_path, text), settings=settings)
    np.testing.assert_array_equal(found.signal_mv, plain.signal_mv)
