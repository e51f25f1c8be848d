import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from recordings import any_record, beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config, raw
from ptacl.ecg import examine as examine_module
from ptacl.ecg.drawing import draw
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Reason

TEXT = cardiosoft(counts(synthetic_mv(beat_times(60))))


def written(folder: Path, text: str) -> Path:
    path = folder / "9000001_20205_2_0.xml"
    path.write_text(text, encoding="latin-1")
    return path


def test_usable_file(tmp_path: Path, settings: config.Ecg) -> None:
    examined = examine(written(tmp_path, TEXT), settings=settings)
    facts = json.loads(json.dumps(examined.facts, allow_nan=False))
    assert facts["format"] == "cardiosoft"
    assert facts["leads"] == list(LEADS)
    assert facts["rate_hz"] == 500
    assert facts["num_samples"] == 5000
    np.testing.assert_allclose(facts["r_peaks_s"], beat_times(60), atol=0.01)
    assert facts["heart_rate_bpm"] == pytest.approx(60, abs=0.5)
    assert examined.excluded is None


@pytest.mark.parametrize(
    ("old", "new", "reason", "leads", "rate_hz"),
    [
        ('lead="V6"', 'lead="V9"', Reason.MISSING_LEAD, [*LEADS[:-1], "V9"], 500),
        (">500<", ">1000<", Reason.WRONG_RATE, list(LEADS), 1000),
        ("uVperLsb", "furlong", Reason.WRONG_UNIT, list(LEADS), 500),
        ("StripData", "BikeData", Reason.MISSING_LEAD, [], None),
    ],
)
def test_an_excluded_file_keeps_the_facts_of_its_header(
    old: str,
    new: str,
    reason: Reason,
    leads: list[str],
    rate_hz: float | None,
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    examined = examine(written(tmp_path, TEXT.replace(old, new)), settings=settings)
    assert examined.excluded.reason is reason
    assert examined.facts["leads"] == leads
    assert examined.facts["rate_hz"] == rate_hz
    assert examined.arrays == {}
    draw(examined, tmp_path / "out.png", rate_hz=500)
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_implausible_rate_still_shows_its_peaks(tmp_path: Path, settings: config.Ecg) -> None:
    path = written(tmp_path, cardiosoft(counts(synthetic_mv(beat_times(25)))))
    examined = examine(path, settings=settings)
    assert examined.excluded.reason is Reason.IMPLAUSIBLE_RATE
    assert len(examined.facts["r_peaks_s"]) == 4
    assert examined.facts["num_beats"] == 4


def test_a_single_beat(tmp_path: Path, settings: config.Ecg) -> None:
    path = written(tmp_path, cardiosoft(counts(synthetic_mv([5.0]))))
    examined = examine(path, settings=settings)
    assert examined.excluded.reason is Reason.NO_R_PEAKS
    assert 5.0 in examined.facts["r_peaks_s"]
    draw(examined, tmp_path / "out.png", rate_hz=500)


@pytest.mark.parametrize("text", ["", "<CardiologyXML><StripData>", "<html/>", "RIFF"])
def test_other_content_is_unreadable(text: str, tmp_path: Path, settings: config.Ecg) -> None:
    examined = examine(written(tmp_path, text), settings=settings)
    assert examined.excluded.reason is Reason.UNREADABLE
    assert examined.facts == {}


def test_real_file(example: Path, tmp_path: Path, settings: config.Ecg) -> None:
    examined = examine(example, settings=settings)
    assert examined.excluded is None
    assert len(examined.facts["r_peaks_s"]) == 8
    assert examined.facts["heart_rate_bpm"] == pytest.approx(50, abs=0.5)
    draw(examined, tmp_path / "new" / "out.png", rate_hz=500)
    assert (tmp_path / "new" / "out.png").stat().st_size > 10000


def test_a_cardiosoft_file_is_opened_once(
    tmp_path: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    path, open_path = written(tmp_path, TEXT), os.open

    def counting(path: Path, *how: int) -> int:
        opened.append(path)
        return open_path(path, *how)

    monkeypatch.setattr(raw.os, "open", counting)
    examine(path, settings=settings)
    assert opened == [path]


def test_another_format_is_named_by_its_suffix(tmp_path: Path, settings: config.Ecg) -> None:
    path = tmp_path / "a.CSV"
    np.savetxt(path, synthetic_mv(beat_times(25)).T, delimiter=",")
    path.with_suffix(".json").write_text(json.dumps({"rate_hz": 500, "unit": "mV", "leads": LEADS}))
    examined = examine(path, settings=settings)
    assert examined.facts["format"] == "csv"
    assert examined.facts["leads"] == list(LEADS)
    assert examined.facts["rate_hz"] == 500
    assert examined.facts["num_samples"] == 5000
    assert examined.excluded.reason is Reason.IMPLAUSIBLE_RATE


def test_r_peaks_are_in_seconds_of_four_decimals(
    tmp_path: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rhythm = {"num_beats": 2, "heart_rate_bpm": 60.0, "irregular": False, "device": None}
    rhythm["likeness"] = 1.0
    peaks = np.array([101, 333])
    monkeypatch.setattr(examine_module.rpeaks, "find", lambda *_, **__: (peaks, rhythm))
    at_333_hz = settings.model_copy(update={"rate_hz": 333})
    text = TEXT.replace(">500<", ">333<")
    examined = examine(written(tmp_path, text), settings=at_333_hz)
    assert examined.facts["r_peaks_s"] == [0.3033, 1.0]


def test_participants_in_the_file_and_its_name_are_compared(
    tmp_path: Path, settings: config.Ecg
) -> None:
    path = tmp_path / "9000002_20205_2_0.xml"
    path.write_text(TEXT, encoding="latin-1")
    flags = examine(path, settings=settings).flags
    assert flags == ["another participant in the ECG file than in its name"]
    assert examine(written(tmp_path, TEXT), settings=settings).flags == []


def test_a_drawing_shows_all_leads_and_says_what_the_record_is(
    tmp_path: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    examined = examine(written(tmp_path, TEXT), settings=settings)
    draw(examined, tmp_path / "out.png", rate_hz=500)
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
    examined = examine(written(tmp_path, text), settings=settings)
    draw(examined, tmp_path / "out.png", rate_hz=500)
    (axes,) = figures[0].axes
    assert axes.get_title() == title
    texts = [text.get_text() for text in axes.texts]
    assert texts == (list(LEADS) if leads else ["no rhythm strip that can be drawn"])


def test_a_record_of_more_beats_than_the_store_holds_is_excluded(
    example: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quality = {
        "num_beats": 65,
        "heart_rate_bpm": 150.0,
        "device": None,
        "likeness": 1.0,
        "irregular": False,
    }
    for number, refused in ((64, False), (65, True)):
        peaks = 70 * np.arange(1, number + 1)
        monkeypatch.setattr(
            examine_module.rpeaks, "find", lambda *_, found=peaks, **__: (found, quality)
        )
        examined = examine(example, settings=settings)
        if refused:
            assert examined.excluded.reason is Reason.IMPLAUSIBLE_RATE
            assert examined.excluded.detail == "65 R-peaks, but the store holds at most 64"
        else:
            assert examined.excluded is None
            assert examined.arrays["r_peaks"].tolist() == peaks.tolist()


def test_a_prepared_record_keeps_what_the_device_says(example: Path, settings: config.Ecg) -> None:
    record = any_record(example, settings=settings)
    quality = examine(example, settings=settings).facts
    assert quality["software"] == record.software
    assert quality["resolution_mv"] == record.resolution_mv
    assert quality["filters"] == record.filters
    assert record.measurements.items() <= quality["measurements"].items()
    assert quality["measurements"]["own_qt_ms"] > 0


def test_settings_choose_how_waves_are_delineated(example: Path, settings: config.Ecg) -> None:
    without = settings.model_copy(update={"delineation": "none"})
    quality = examine(example, settings=without).facts
    assert "own_qt_ms" not in quality["measurements"]
