import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config
from ptacl.ecg import describe as describe_module
from ptacl.ecg.describe import describe, draw
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

TEXT = cardiosoft(counts(synthetic_mv(beat_times(60))))
KEYS = {
    "kind",
    "format",
    "leads",
    "rate_hz",
    "num_samples",
    "r_peaks_s",
    "heart_rate_bpm",
    "quality",
    "excluded",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "9000001_20205_2_0.xml"
    path.write_text(text, encoding="latin-1")
    return path


def test_usable_file(tmp_path: Path, settings: config.Ecg) -> None:
    facts = json.loads(
        json.dumps(describe(written(tmp_path, TEXT), settings=settings), allow_nan=False)
    )
    assert facts.keys() == KEYS and facts["kind"] == "ecg" and facts["format"] == "cardiosoft"
    assert (
        facts["leads"] == list(LEADS) and facts["rate_hz"] == 500 and facts["num_samples"] == 5000
    )
    np.testing.assert_allclose(facts["r_peaks_s"], beat_times(60), atol=0.01)
    assert facts["heart_rate_bpm"] == pytest.approx(60, abs=0.5) and facts["excluded"] is None


@pytest.mark.parametrize(
    ("old", "new", "reason", "leads", "rate_hz"),
    [
        ('lead="V6"', 'lead="V9"', Reason.MISSING_LEAD, [*LEADS[:-1], "V9"], 500),
        (">500<", ">1000<", Reason.WRONG_RATE, list(LEADS), 1000),
        ("uVperLsb", "furlong", Reason.WRONG_UNIT, list(LEADS), 500),
        ("StripData", "BikeData", Reason.MISSING_LEAD, [], None),
    ],
)
def test_excluded_file_tells_what_could_be_read(
    old: str,
    new: str,
    reason: Reason,
    leads: list[str],
    rate_hz: float | None,
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    path = written(tmp_path, TEXT.replace(old, new))
    facts = describe(path, settings=settings)
    assert facts.keys() == KEYS and facts["excluded"].startswith(reason.value)
    assert facts["leads"] == leads and facts["rate_hz"] == rate_hz and facts["r_peaks_s"] == []
    draw(path, tmp_path / "out.png", settings=settings)
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_implausible_rate_still_shows_its_peaks(tmp_path: Path, settings: config.Ecg) -> None:
    path = written(tmp_path, cardiosoft(counts(synthetic_mv(beat_times(25)))))
    facts = describe(path, settings=settings)
    assert facts["excluded"].startswith(Reason.IMPLAUSIBLE_RATE.value)
    assert len(facts["r_peaks_s"]) == 4 and facts["quality"]["num_beats"] == 4


def test_a_single_beat(tmp_path: Path, settings: config.Ecg) -> None:
    path = written(tmp_path, cardiosoft(counts(synthetic_mv([5.0]))))
    facts = describe(path, settings=settings)
    assert facts["excluded"].startswith(Reason.NO_R_PEAKS.value)
    assert 5.0 in facts["r_peaks_s"]
    draw(path, tmp_path / "out.png", settings=settings)


@pytest.mark.parametrize("text", ["", "<CardiologyXML><StripData>", "<html/>", "RIFF"])
def test_what_is_no_cardiosoft_file_raises(text: str, tmp_path: Path, settings: config.Ecg) -> None:
    path = written(tmp_path, text)
    for act in (
        lambda: describe(path, settings=settings),
        lambda: draw(path, tmp_path / "out.png", settings=settings),
    ):
        with pytest.raises(Excluded) as caught:
            act()
        assert caught.value.reason == Reason.UNREADABLE


def test_real_file(example: Path, tmp_path: Path, settings: config.Ecg) -> None:
    facts = describe(example, settings=settings)
    assert (
        len(facts["r_peaks_s"]) == 8
        and facts["heart_rate_bpm"] == pytest.approx(50, abs=0.5)
        and facts["excluded"] is None
    )
    draw(example, tmp_path / "new" / "out.png", settings=settings)
    assert (tmp_path / "new" / "out.png").stat().st_size > 10000


def test_an_excluded_file_of_another_format_is_described_by_its_suffix(
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    path = tmp_path / "a.CSV"
    np.savetxt(path, synthetic_mv(beat_times(25)).T, delimiter=",")
    path.with_suffix(".json").write_text(json.dumps({"rate_hz": 500, "unit": "mV", "leads": LEADS}))
    facts = describe(path, settings=settings)
    assert facts["format"] == "csv"
    assert facts["leads"] == list(LEADS)
    assert facts["rate_hz"] == 500
    assert facts["num_samples"] == 5000
    assert facts["excluded"].startswith(Reason.IMPLAUSIBLE_RATE.value)


def test_r_peaks_are_in_seconds_of_four_decimals(
    tmp_path: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_333_hz = settings.model_copy(update={"rate_hz": 333})
    path = written(tmp_path, TEXT)
    found = describe_module._examine(path, settings=settings)
    monkeypatch.setattr(describe_module, "_examine", lambda *_, **__: found)
    found.r_peaks = np.array([100, 333])
    assert describe(path, settings=at_333_hz)["r_peaks_s"] == [0.3003, 1.0]


def test_flags_are_those_of_the_preparation(tmp_path: Path, settings: config.Ecg) -> None:
    path = tmp_path / "9000002_20205_2_0.xml"
    path.write_text(TEXT, encoding="latin-1")
    flags = describe(path, settings=settings)["quality"]["flags"]
    assert flags == ["another participant in the ECG file than in its name"]
    assert describe(written(tmp_path, TEXT), settings=settings)["quality"]["flags"] == []


def test_a_drawing_shows_all_leads_and_says_what_the_record_is(
    tmp_path: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    draw(written(tmp_path, TEXT), tmp_path / "out.png", settings=settings)
    (axes,) = figures[0].axes
    assert axes.get_title() == "60 bpm, 10 beats"
    assert [text.get_text() for text in axes.texts] == list(LEADS)
    peaks_s = [line.vertices[0, 0] for line in axes.collections[0].get_paths()]
    np.testing.assert_allclose(peaks_s, beat_times(60), atol=0.01)


@pytest.mark.parametrize(
    ("text", "title", "leads"),
    [
        (
            TEXT.replace("uVperLsb", "furlong"),
            "excluded: unknown resolution or unit: resolution 5.0 furlong",
            0,
        ),
        (
            cardiosoft(counts(synthetic_mv(beat_times(25)))),
            "excluded: implausible heart rate: 25 bpm",
            12,
        ),
    ],
)
def test_a_drawing_says_why_a_record_is_excluded(
    text: str,
    title: str,
    leads: int,
    tmp_path: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    draw(written(tmp_path, text), tmp_path / "out.png", settings=settings)
    (axes,) = figures[0].axes
    assert axes.get_title() == title
    texts = [text.get_text() for text in axes.texts]
    assert texts == (list(LEADS) if leads else ["no rhythm strip that can be drawn"])
