import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config
from ptacl.ecg.read import LEADS, header, read, record
from ptacl.ecg.read import document as open_document
from ptacl.exclusions import Excluded, Reason

COUNTS = counts(synthetic_mv(beat_times(60), noise_mv=0.02))
TEXT = cardiosoft(COUNTS, beats_ms=[515, 1515])


def written(folder: Path, text: str, *, encoding: str = "latin-1") -> Path:
    path = folder / "9000001_20205_2_0.xml"
    path.write_bytes(text.encode(encoding))
    return path


def strip(edit: Callable[[str], str]) -> Callable[[str], str]:
    """An edit of the rhythm strip alone: the median beat, before it, has elements of the same names."""

    def apply(text: str) -> str:
        before, tag, after = text.partition("<StripData>")
        inside, end, rest = after.partition("</StripData>")
        changed = edit(inside)
        assert changed != inside
        return before + tag + changed + end + rest

    return apply


def wave(lead: str, edit: Callable[[str], str]) -> Callable[[str], str]:
    """An edit of the samples of one lead."""
    pattern = re.compile(f'(<WaveformData lead="{lead}">)(.*?)(</WaveformData>)', re.S)
    return strip(lambda inside: pattern.sub(lambda m: m[1] + edit(m[2]) + m[3], inside))


def removed(tag: str) -> Callable[[str], str]:
    return lambda text: re.sub(f"<{tag}.*?</{tag}>", "", text, count=1, flags=re.S)


def swapped(first: str, second: str) -> Callable[[str], str]:
    """The names of two leads exchanged: the waveforms are then under the wrong name."""
    names = {first: second, second: first}
    return strip(lambda s: re.sub(f'lead="({first}|{second})"', lambda m: f'lead="{names[m[1]]}"', s))


def last_value(replacement: str) -> Callable[[str], str]:
    return lambda samples: samples.rpartition(",")[0] + replacement


def constant(samples: str) -> str:
    return re.sub(r"-?\d+", "7", samples)


FAULTS = {
    "empty": (lambda text: "", Reason.UNREADABLE),
    "truncated": (lambda text: text[: len(text) // 2], Reason.UNREADABLE),
    "another file": (lambda text: "<html><body>not found</body></html>", Reason.UNREADABLE),
    "wrong encoding": (
        lambda text: text.replace("ISO-8859-1", "UTF-8").replace("<PatientInfo>", "<PatientInfo>\xe9", 1),
        Reason.UNREADABLE,
    ),
    "unknown encoding": (lambda text: text.replace("ISO-8859-1", "martian"), Reason.UNREADABLE),
    "no strip": (removed("StripData"), Reason.MISSING_LEAD),
    "two strips": (lambda text: text.replace("<StripData>", "<StripData></StripData><StripData>"), Reason.MISSING_LEAD),
    "no V6": (strip(lambda s: re.sub('<WaveformData lead="V6">.*?</WaveformData>', "", s, flags=re.S)), Reason.MISSING_LEAD),
    "V5 twice": (strip(lambda s: s.replace('lead="V6"', 'lead="V5"')), Reason.MISSING_LEAD),
    "unknown lead": (strip(lambda s: s.replace('lead="V6"', 'lead="V7"')), Reason.MISSING_LEAD),
    "names of I and II swapped": (swapped("I", "II"), Reason.EINTHOVEN),
    "names of aVR and aVL swapped": (swapped("aVR", "aVL"), Reason.EINTHOVEN),
    "V1 with 3 samples": (wave("V1", lambda samples: "1,2,3"), Reason.WRONG_LENGTH),
    "V1 empty": (wave("V1", lambda samples: ""), Reason.WRONG_LENGTH),
    "V1 blank": (wave("V1", lambda samples: "\r\n\t\t"), Reason.WRONG_LENGTH),
    "one sample less, then a comma": (wave("V1", last_value(",\r\n\t\t")), Reason.WRONG_LENGTH),
    "one sample more": (wave("V1", lambda samples: samples + ",1"), Reason.WRONG_LENGTH),
    "blank field": (wave("V1", last_value(", ,1")), Reason.UNREADABLE),
    "empty field": (wave("V1", last_value(",,1")), Reason.UNREADABLE),
    "text": (wave("V1", last_value(",x")), Reason.UNREADABLE),
    "fraction": (wave("V1", last_value(",1.5")), Reason.UNREADABLE),
    "not a number": (wave("V1", last_value(",NaN")), Reason.NOT_FINITE),
    "infinite": (wave("V1", last_value(",-inf")), Reason.NOT_FINITE),
    "beyond 16 bits": (wave("V1", last_value(",40000")), Reason.UNREADABLE),
    "beyond 32 bits": (wave("V1", last_value(",4294967297")), Reason.UNREADABLE),
    "beyond 64 bits": (wave("V1", last_value(",-99999999999999999999")), Reason.UNREADABLE),
    "other count declared": (strip(lambda s: s.replace(">5000<", ">4999<")), Reason.WRONG_LENGTH),
    "no count": (strip(removed("ChannelSampleCountTotal")), Reason.WRONG_LENGTH),
    "other rate": (strip(lambda s: s.replace(">500<", ">1000<")), Reason.WRONG_RATE),
    "other unit of rate": (strip(lambda s: s.replace('units="Hz"', 'units="kHz"')), Reason.WRONG_RATE),
    "no rate": (strip(removed("SampleRate")), Reason.WRONG_RATE),
    "other unit": (strip(lambda s: s.replace("uVperLsb", "nVperLsb")), Reason.WRONG_UNIT),
    "no unit": (strip(lambda s: s.replace(' units="uVperLsb"', "")), Reason.WRONG_UNIT),
    "no resolution": (strip(removed("Resolution")), Reason.WRONG_UNIT),
    "resolution 0": (strip(lambda s: s.replace('uVperLsb">5<', 'uVperLsb">0<')), Reason.WRONG_UNIT),
    "resolution blank": (strip(lambda s: s.replace('uVperLsb">5<', 'uVperLsb"><')), Reason.WRONG_UNIT),
    "flat lead": (wave("V3", constant), Reason.FLAT_LEAD),
    "a space in place of a comma": (wave("V1", lambda samples: samples.replace(",", " ", 1)), Reason.UNREADABLE),
    "a space within a number": (wave("V1", last_value(",1 2")), Reason.UNREADABLE),
}

HARMLESS = {
    "nothing": lambda text: text,
    "upper case": strip(lambda s: s.replace('lead="aVR"', 'lead="AVR"').replace('lead="V1"', 'lead="v1"')),
    "comma after the last sample": wave("V1", lambda samples: samples + ",\r\n\t\t"),
    "spaces": wave("V1", lambda samples: samples.replace(",", " ,\n ")),
    "a comment amid the samples": wave("V1", lambda samples: samples.replace(",", "<!-- -->,", 1)),
    "order": strip(
        lambda s: re.sub(
            "(<WaveformData.*</WaveformData>)",
            lambda m: "".join(reversed(re.findall("<WaveformData.*?</WaveformData>", m[1], re.S))),
            s,
            flags=re.S,
        )
    ),
}


@pytest.mark.parametrize("source", ["synthetic", "real"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_excludes_with_its_reason(
    fault: str, source: str, tmp_path: Path, settings: config.Ecg, request: pytest.FixtureRequest
) -> None:
    edit, reason = FAULTS[fault]
    text = TEXT if source == "synthetic" else request.getfixturevalue("example").read_text("latin-1")
    with pytest.raises(Excluded) as caught:
        read(written(tmp_path, edit(text)), settings=settings)
    assert caught.value.reason == reason
    assert "9000001" not in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("source", ["synthetic", "real"])
@pytest.mark.parametrize("change", HARMLESS)
def test_what_does_no_harm_changes_nothing(
    change: str, source: str, tmp_path: Path, settings: config.Ecg, request: pytest.FixtureRequest
) -> None:
    text = TEXT if source == "synthetic" else request.getfixturevalue("example").read_text("latin-1")
    expected = np.array(
        [
            [int(v) for v in re.findall(f'lead="{lead}">(.*?)<', text.partition("<StripData>")[2], re.S)[0].split(",")]
            for lead in LEADS
        ]
    )
    found = read(written(tmp_path, HARMLESS[change](text)), settings=settings)
    assert found.leads == LEADS and found.signal_mv.dtype == np.float32
    np.testing.assert_allclose(found.signal_mv, expected * 0.005, atol=1e-6)


def test_unit_millivolt(tmp_path: Path, settings: config.Ecg) -> None:
    text = strip(lambda s: s.replace('uVperLsb">5<', 'mVperLsb">0.005<'))(TEXT)
    np.testing.assert_allclose(
        read(written(tmp_path, text), settings=settings).signal_mv,
        read(written(tmp_path, TEXT), settings=settings).signal_mv,
        rtol=1e-6,
    )


def test_facts_beside_the_strip(tmp_path: Path, settings: config.Ecg) -> None:
    found = read(written(tmp_path, TEXT), settings=settings)
    assert found.device_beats_ms == (515, 1515) and found.resolution_mv == 0.005 and found.software == "CardioSoft V6.73"
    assert found.filters["notch_50_hz"] is True and found.filters["cubic_spline"] is False
    assert found.filters["low_pass_hz"] == 100 and found.filters["high_pass_hz"] is None
    assert found.measurements["ventricular_rate_bpm"] == 60
    assert found.measurements["pq_ms"] is None and found.measurements["qt_ms"] is None


@pytest.mark.parametrize(
    ("lead", "counts_off", "excluded"), [("III", 1, False), ("III", 2, True), ("aVF", 2, True), ("V2", 500, False)]
)
def test_limb_leads_agree_within_one_count(
    lead: str, counts_off: int, excluded: bool, tmp_path: Path, settings: config.Ecg
) -> None:
    leads = {name: values.copy() for name, values in COUNTS.items()}
    leads[lead][1234] += counts_off
    path = written(tmp_path, cardiosoft(leads))
    if excluded:
        with pytest.raises(Excluded, match=f"Einthoven.*lead {lead}"):
            read(path, settings=settings)
    else:
        read(path, settings=settings)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_entities_are_refused_before_parsing(encoding: str, tmp_path: Path, settings: config.Ecg) -> None:
    (tmp_path / "secret").write_text("1")
    bomb = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    outside = f'<!ENTITY outside SYSTEM "{(tmp_path / "secret").as_uri()}">'
    for entities, use in ((f'<!ENTITY e0 "1">{bomb}', "&e9;"), (outside, "&outside;")):
        text = TEXT.replace("<CardiologyXML>", f"<!DOCTYPE CardiologyXML [{entities}]><CardiologyXML>").replace("RestECG", use)
        with pytest.raises(Excluded, match="document type"):
            read(written(tmp_path, text.replace("ISO-8859-1", encoding), encoding=encoding), settings=settings)


@pytest.mark.parametrize("path", ["missing.xml", "."])
def test_no_file(path: str, tmp_path: Path, settings: config.Ecg) -> None:
    with pytest.raises(Excluded) as caught:
        read(tmp_path / path, settings=settings)
    assert caught.value.reason == Reason.UNREADABLE and str(tmp_path) not in str(caught.value)


@limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), bytes_there=st.binary(max_size=3))
def test_damage_neither_passes_nor_raises_anything_else(
    where: float, bytes_there: bytes, tmp_path: Path, settings: config.Ecg
) -> None:
    data = TEXT.encode("latin-1").rstrip()
    path = tmp_path / "cut.xml"
    path.write_bytes(data[: int(where * (len(data) - 4))] + bytes_there)
    with pytest.raises(Excluded):
        read(path, settings=settings)


def test_header_tells_what_an_unusable_file_has(tmp_path: Path, settings: config.Ecg) -> None:
    root = open_document(written(tmp_path, FAULTS["no V6"][0](TEXT)))
    assert header(root).leads == LEADS[:-1] and header(root).rate_hz == 500 and header(root).num_samples == 5000
    with pytest.raises(Excluded, match="V6"):
        record(root, settings=settings)


def test_real_file(example: Path, settings: config.Ecg) -> None:
    found = read(example, settings=settings)
    i, ii, iii = found.signal_mv[:3].astype(np.float64)
    assert np.abs(i + iii - ii).max() < 1e-6  # float32 rounding of exact counts
    assert found.measurements["ventricular_rate_bpm"] == 50 and found.measurements["rr_ms"] == 1202
    assert len(found.device_beats_ms) == 8 and found.filters["high_pass_hz"] == 0.01 and found.filters["notch_60_hz"] is False


@pytest.mark.parametrize("kind", ["pipe", "loop", "nothing"])
def test_what_is_no_file_is_unreadable_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(Excluded) as error:
        open_document(path)
    assert error.value.reason is Reason.UNREADABLE
    assert error.value.detail == ("not a regular file" if kind == "pipe" else "no such file")
