import json
from pathlib import Path

import numpy as np
import pytest
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config
from ptacl.ecg.describe import describe, draw
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

TEXT = cardiosoft(counts(synthetic_mv(beat_times(60))))
KEYS = {"kind", "format", "leads", "rate_hz", "num_samples", "r_peaks_s", "heart_rate_bpm", "quality", "excluded"}


def written(folder: Path, text: str) -> Path:
    path = folder / "9000001_20205_2_0.xml"
    path.write_text(text, encoding="latin-1")
    return path


def test_usable_file(tmp_path: Path, settings: config.Ecg) -> None:
    facts = json.loads(json.dumps(describe(written(tmp_path, TEXT), settings=settings), allow_nan=False))
    assert facts.keys() == KEYS and facts["kind"] == "ecg" and facts["format"] == "cardiosoft"
    assert facts["leads"] == list(LEADS) and facts["rate_hz"] == 500 and facts["num_samples"] == 5000
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
    old: str, new: str, reason: Reason, leads: list[str], rate_hz: float | None, tmp_path: Path, settings: config.Ecg
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
    for act in (lambda: describe(path, settings=settings), lambda: draw(path, tmp_path / "out.png", settings=settings)):
        with pytest.raises(Excluded) as caught:
            act()
        assert caught.value.reason == Reason.UNREADABLE


def test_real_file(example: Path, tmp_path: Path, settings: config.Ecg) -> None:
    facts = describe(example, settings=settings)
    assert len(facts["r_peaks_s"]) == 8 and facts["heart_rate_bpm"] == pytest.approx(50, abs=0.5) and facts["excluded"] is None
    draw(example, tmp_path / "new" / "out.png", settings=settings)
    assert (tmp_path / "new" / "out.png").stat().st_size > 10000
