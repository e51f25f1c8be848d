"""CardioSoft files that cannot be used: why, and in which words."""

import os
from pathlib import Path

import pytest
from bad_ecg import Edit, strip, wave, without
from cardiosoft_file import TEXT, written
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from recordings import any_record, open_document

from ptacl import config
from ptacl.exclusions import Excluded, Reason


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_entities_are_refused_before_parsing(
    encoding: str, tmp_path: Path, settings: config.Ecg
) -> None:
    (tmp_path / "secret").write_text("1")
    bomb = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    outside = f'<!ENTITY outside SYSTEM "{(tmp_path / "secret").as_uri()}">'
    for entities, use in ((f'<!ENTITY e0 "1">{bomb}', "&e9;"), (outside, "&outside;")):
        text = TEXT.replace(
            "<CardiologyXML>", f"<!DOCTYPE CardiologyXML [{entities}]><CardiologyXML>"
        ).replace("RestECG", use)
        with pytest.raises(Excluded, match="document type"):
            any_record(
                written(tmp_path, text.replace("ISO-8859-1", encoding), encoding=encoding),
                settings=settings,
            )


def test_a_false_encoding_is_refused(tmp_path: Path, settings: config.Ecg) -> None:
    with pytest.raises(Excluded):
        any_record(
            written(tmp_path, TEXT.replace("ISO-8859-1", "UTF-16"), encoding="latin-1"),
            settings=settings,
        )


@pytest.mark.parametrize(
    ("path", "reason"), [("missing.xml", Reason.MISSING_FILE), (".", Reason.UNREADABLE)]
)
def test_no_file(path: str, reason: Reason, tmp_path: Path, settings: config.Ecg) -> None:
    with pytest.raises(Excluded) as caught:
        any_record(tmp_path / path, settings=settings)
    assert caught.value.reason == reason and str(tmp_path) not in str(caught.value)


@limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), bytes_there=st.binary(max_size=3))
def test_damage_neither_passes_nor_raises_anything_else(
    where: float, bytes_there: bytes, tmp_path: Path, settings: config.Ecg
) -> None:
    data = TEXT.encode("latin-1").rstrip()
    path = tmp_path / "cut.xml"
    path.write_bytes(data[: int(where * (len(data) - 4))] + bytes_there)
    with pytest.raises(Excluded):
        any_record(path, settings=settings)


@pytest.mark.parametrize(
    ("kind", "detail"),
    [("pipe", "not a regular file"), ("loop", "Too many levels of symbolic links")],
)
def test_what_is_no_file_is_unreadable_and_is_not_waited_for(
    tmp_path: Path, kind: str, detail: str
) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    with pytest.raises(Excluded) as error:
        open_document(path)
    assert error.value.reason is Reason.UNREADABLE
    assert error.value.detail == detail


def in_v1(samples: str) -> Edit:
    """Lead V1 begins with these samples instead of its first."""
    return wave("V1", lambda text: samples + text[text.index(",") :])


@pytest.mark.parametrize(
    ("edit", "reason", "detail"),
    [
        (
            lambda text: text.replace("StripData", "BikeData"),
            Reason.MISSING_LEAD,
            "0 rhythm strips instead of one",
        ),
        (
            strip(lambda s: s.replace('"Hz">500<', '"Hz">1000<')),
            Reason.WRONG_RATE,
            "1000 hz, not 500 Hz",
        ),
        (
            strip(lambda s: s.replace('"Hz">500<', '"kHz">500<')),
            Reason.WRONG_RATE,
            "500 khz, not 500 Hz",
        ),
        (
            strip(lambda s: s.replace('"Hz">500<', '"Hz">fast<')),
            Reason.WRONG_RATE,
            "0 hz, not 500 Hz",
        ),
        (
            strip(lambda s: s.replace("uVperLsb", "furlong")),
            Reason.WRONG_UNIT,
            "resolution 5.0 furlong",
        ),
        (
            strip(lambda s: s.replace(' units="uVperLsb"', "")),
            Reason.WRONG_UNIT,
            "resolution 5.0 without unit",
        ),
        (
            strip(lambda s: s.replace('uVperLsb">5<', 'uVperLsb">0<')),
            Reason.WRONG_UNIT,
            "resolution 0.0 uvperlsb",
        ),
        (
            strip(lambda s: s.replace('uVperLsb">5<', 'uVperLsb"><')),
            Reason.WRONG_UNIT,
            "resolution None uvperlsb",
        ),
        (
            strip(lambda s: s.replace('"V6"', '"V9"')),
            Reason.MISSING_LEAD,
            "a lead has the unknown name 'V9'",
        ),
        (strip(lambda s: s.replace('"V6"', '"v5"')), Reason.MISSING_LEAD, "lead V5 occurs twice"),
        (
            lambda text: without("V5")(without("V6")(text)),
            Reason.MISSING_LEAD,
            "missing lead V5, V6",
        ),
        (
            strip(lambda s: s.replace(">5000<", ">4999<")),
            Reason.WRONG_LENGTH,
            "4999 samples declared, not 5000",
        ),
        (
            strip(lambda s: s.replace(">5000<", "><")),
            Reason.WRONG_LENGTH,
            "0 samples declared, not 5000",
        ),
        (in_v1("1,2"), Reason.WRONG_LENGTH, "lead V1 has 5001 samples, not 5000"),
        (in_v1("1 2"), Reason.UNREADABLE, "lead V1 has values without a comma between them"),
        (in_v1("x"), Reason.UNREADABLE, "lead V1 is not a list of integers"),
        (in_v1("NaN"), Reason.NOT_FINITE, "lead V1 is not a list of integers"),
        (in_v1("-inf"), Reason.NOT_FINITE, "lead V1 is not a list of integers"),
        (in_v1("32768"), Reason.UNREADABLE, "lead V1 has a value beyond 16 bits"),
        (in_v1("-32769"), Reason.UNREADABLE, "lead V1 has a value beyond 16 bits"),
        (in_v1("32767"), Reason.VOLTAGE, None),
        (in_v1("-32768"), Reason.VOLTAGE, None),
        (
            lambda _: "<html/>",
            Reason.UNREADABLE,
            "XML with root element html, which is none of CardiologyXML, RestingECG, AnnotatedECG, "
            "restingecgdata, ECG",
        ),
        (
            lambda _: "<CardiologyXML>",
            Reason.UNREADABLE,
            "not well-formed XML: Premature end of data in tag CardiologyXML line 1, line 1, "
            "column 16",
        ),
        (
            lambda text: text.replace("<Card", "<!DOCTYPE a [<!ENTITY b 'c'>]><Card", 1),
            Reason.UNREADABLE,
            "document type with declarations of its own",
        ),
    ],
)
def test_an_exclusion_says_what_is_wrong(
    edit: Edit,
    reason: Reason,
    detail: str | None,
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    with pytest.raises(Excluded) as error:
        any_record(written(tmp_path, edit(TEXT)), settings=settings)
    assert error.value.reason is reason
    if detail is not None:
        assert error.value.detail == detail


def test_a_file_larger_than_16_mib_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    for size, detail in ((2**24 + 1, "larger than 16 MiB"), (2**24, "not well-formed XML")):
        with path.open("wb") as file:
            file.write(b"<CardiologyXML>")
            file.truncate(size)
        with pytest.raises(Excluded) as error:
            open_document(path)
        assert error.value.reason is Reason.UNREADABLE
        assert error.value.detail.startswith(detail)
