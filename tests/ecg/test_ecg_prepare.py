import csv
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from recordings import any_record, beat_times, cardiosoft, counts, noise_mv, synthetic_mv
from storage import NO_LIMITS

from ptacl import config, preparation, store
from ptacl.ecg.denoise import denoise
from ptacl.ecg.examine import MAX_PEAKS, examine
from ptacl.ecg.prepare import ECG
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Reason
from ptacl.preparation import Shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of eight participants, three of them of use, and the list of the shard; a path with
    spaces.
    """
    raw = tmp_path / "Bulk" / "Electro cardiogram"
    raw.mkdir(parents=True)
    good = {
        f"900000{k}": counts(synthetic_mv(beat_times(bpm), noise_mv=0.01, seed=k))
        for k, bpm in ((1, 60), (2, 80), (3, 100))
    }
    texts = {
        participant: cardiosoft(leads, beats_ms=[515], participant=participant)
        for participant, leads in good.items()
    }
    texts["9000004"] = texts["9000001"][:1000]
    texts["9000005"] = texts["9000001"].replace('lead="V6"', 'lead="V5"')
    texts["9000006"] = cardiosoft(counts(noise_mv(0, exponent=1)))
    texts["9000007"] = cardiosoft(counts(synthetic_mv(beat_times(24))))
    rows = []
    for participant in [*texts, "9000008"]:
        path = raw / f"{participant}_20205_2_0.xml"
        if participant in texts:
            path.write_text(texts[participant], encoding="latin-1")
        rows.append({"visit": f"{participant}_2", "ecg": str(path), "cmr": "", "version": "1"})
    with (tmp_path / "0.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def run(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch, *, out: str = "ecg"
) -> dict[str, Any]:
    paths = {
        "members": folder / "0.csv",
        "store": folder / out / "0",
        "manifest": folder / out / "0.json",
        "sheet": folder / out / "0.png",
    }
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    options += ["--settings", config.dump(settings), "--storage", NO_LIMITS]
    monkeypatch.setattr(sys, "argv", ["prepare", *options])
    preparation.run(ECG)
    return json.loads(paths["manifest"].read_text())


def test_a_shard_from_files_to_store(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run(folder, settings, monkeypatch)
    opened = store.read(folder / "ecg" / "0")
    assert manifest["visits"] == opened.visits == ["9000001_2", "9000002_2", "9000003_2"]
    assert opened.attributes["leads"] == list(LEADS) and opened.attributes["rate_hz"] == 500
    assert config.Ecg.model_validate(opened.attributes["settings"]) == settings
    assert opened.unit("signal_mv") == "mV" and opened.unit("r_peaks") == "sample"
    path = folder / "Bulk" / "Electro cardiogram" / "9000002_20205_2_0.xml"
    expected = denoise(any_record(path, settings=settings).signal_mv, wavelet=settings.wavelet)
    np.testing.assert_array_equal(opened.read("signal_mv", [1])[0], expected)
    peaks = opened.read("r_peaks", [1])[0]
    times_s = beat_times(80)
    assert peaks.dtype == np.int32 and peaks.shape == (MAX_PEAKS,)
    np.testing.assert_allclose(peaks[: len(times_s)] / 500, times_s, atol=0.01)
    assert (peaks[len(times_s) :] == -1).all()
    assert (folder / "ecg" / "0.png").read_bytes()[:4] == b"\x89PNG"


def test_every_other_record_is_an_exclusion_with_its_reason(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run(folder, settings, monkeypatch)
    assert {row["visit"]: row["reason"] for row in manifest["excluded"]} == {
        "9000004_2": Reason.UNREADABLE,
        "9000005_2": Reason.MISSING_LEAD,
        "9000006_2": Reason.NO_R_PEAKS,
        "9000007_2": Reason.IMPLAUSIBLE_RATE,
        "9000008_2": Reason.MISSING_FILE,
    }
    assert all("900000" not in row["detail"] for row in manifest["excluded"])


def test_quality_of_each_visit(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run(folder, settings, monkeypatch)
    assert list(manifest["quality"]) == manifest["visits"]
    quality = manifest["quality"]["9000003_2"]
    assert quality["heart_rate_bpm"] == pytest.approx(100, abs=1) and quality["num_beats"] == len(
        beat_times(100)
    )
    assert quality["rr_ratio"] == pytest.approx(1, abs=0.05) and quality["irregular"] is False
    assert quality["device"]["matched"] == 1 and quality["filters"]["low_pass_hz"] == 100


def test_the_same_input_gives_the_same_bytes(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out in ("one", "two"):
        run(folder, settings, monkeypatch, out=out)
    files = sorted(
        p.relative_to(folder / "one") for p in (folder / "one").rglob("*") if p.is_file()
    )
    assert len(files) > 8
    for name in files:
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes(), name


def test_nothing_printed_names_a_participant(
    folder: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ptacl"):
        run(folder, settings, monkeypatch)
    printed = "".join(capfd.readouterr()) + caplog.text
    assert "3 usable and 5 excluded of 8 records" in printed and "900000" not in printed


def test_a_shard_without_anyone(
    folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "0.csv").write_text("visit,ecg,cmr,version\n")
    content = run(folder, settings, monkeypatch)
    assert content.pop("stored") and content == {"visits": [], "excluded": [], "quality": {}}
    assert store.read(folder / "ecg" / "0").read("signal_mv").shape == (0, 12, 5000)


def shard_of(members: list[dict[str, str]], settings: config.Ecg, directory: Path) -> Shard:
    return preparation.prepare_shard(members, modality=ECG, settings=settings, directory=directory)


def sheet(shard: Shard, settings: config.Ecg, directory: Path, figures: list[Figure]) -> list[str]:
    """Titles of the contact sheet, which is not written."""
    preparation.draw_sheet(
        shard, modality=ECG, settings=settings, directory=directory, out_png=directory / "a.png"
    )
    return [axes.get_title(loc="left") for axes in figures[-1].axes]


def test_sheet_shows_the_doubtful_and_a_spread(
    folder: Path, settings: config.Ecg, figures: list[Figure]
) -> None:
    path = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    members = [{"visit": f"{9000001 + k}_2", "ecg": str(path)} for k in range(30)]
    shard = shard_of(members, settings, folder / "many")
    shard.quality[shard.visits[17]]["likeness"] = 0.4
    titles = [title[:9] for title in sheet(shard, settings, folder / "many", figures)]
    assert len(titles) == len(set(titles)) == 12
    assert "9000018_2" in titles
    assert "9000030_2" in titles


def test_real_file(example: Path, settings: config.Ecg) -> None:
    examined = examine(example, settings=settings)
    assert (examined.arrays["r_peaks"] >= 0).sum() == 8
    assert examined.arrays["signal_mv"].dtype == np.float32
    assert examined.facts["device"]["matched"] == 8
    assert examined.facts["filters"]["notch_50_hz"] is True


def test_participants_in_the_file_and_in_its_name_are_compared(
    folder: Path,
    settings: config.Ecg,
) -> None:
    path = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    other = path.with_name("9000002_20205_2_1.xml")
    other.write_bytes(path.read_bytes())
    assert examine(path, settings=settings).flags == []
    flags = examine(other, settings=settings).flags
    assert flags == ["another participant in the ECG file than in its name"]


def test_a_member_without_an_ecg_is_neither_stored_nor_excluded(
    folder: Path,
    settings: config.Ecg,
) -> None:
    path = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    members = [{"visit": "9000009_2", "ecg": ""}, {"visit": "9000001_2", "ecg": str(path)}]
    outcome = shard_of(members, settings, folder / "some")
    assert outcome.visits == ["9000001_2"]
    assert outcome.excluded == []
    assert list(outcome.quality) == ["9000001_2"]


def test_an_exclusion_has_its_detail(folder: Path, settings: config.Ecg) -> None:
    members = [{"visit": "9000008_2", "ecg": str(folder / "absent.xml")}]
    outcome = shard_of(members, settings, folder / "none")
    reason = Reason.MISSING_FILE.value
    assert outcome.excluded == [{"visit": "9000008_2", "reason": reason, "detail": ""}]


def test_the_store_names_its_axes(folder: Path, settings: config.Ecg) -> None:
    shard_of([], settings, folder / "empty")
    opened = store.read(folder / "empty")
    assert opened.group["signal_mv"].metadata.dimension_names == ("visit", "lead", "sample")
    assert opened.group["r_peaks"].metadata.dimension_names == ("visit", "beat")


def test_panels_show_the_records_of_the_store_with_their_r_peaks(
    folder: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    path = folder / "Bulk" / "Electro cardiogram" / "9000002_20205_2_0.xml"
    members = [{"visit": "9000002_2", "ecg": str(path)}]
    outcome = shard_of(members, settings, folder / "one")
    outcome.quality["9000002_2"] |= {
        "heart_rate_bpm": 79.6,
        "irregular": True,
        "likeness": 0.987,
        "agreement": 0.666,
    }
    (title,) = sheet(outcome, settings, folder / "one", figures)
    assert title == "9000002_2   80 bpm, irregular   likeness 0.99   agreement 0.67"
    (axes,) = figures[-1].axes
    peaks_s = [path.vertices[0, 0] for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose(peaks_s, beat_times(80), atol=0.01)
    lead_mv = axes.lines[0].get_ydata()
    stored_mv = store.read(folder / "one").read("signal_mv")[0, LEADS.index("II")]
    np.testing.assert_allclose(lead_mv - lead_mv[0], stored_mv - stored_mv[0], atol=1e-6)
    outcome.quality["9000002_2"]["irregular"] = False
    (title,) = sheet(outcome, settings, folder / "one", figures)
    assert title == "9000002_2   80 bpm   likeness 0.99   agreement 0.67"


def test_half_of_the_panels_are_the_least_alike_and_half_are_spread_over_the_rest(
    folder: Path,
    settings: config.Ecg,
    figures: list[Figure],
) -> None:
    """Of 23 records, rows 6 to 11 are the least alike.

    Of the 17 others the first is shown, the last, and four between them.
    """
    path = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    members = [{"visit": f"{9000001 + k}_2", "ecg": str(path)} for k in range(23)]
    outcome = shard_of(members, settings, folder / "many")
    for row, visit in enumerate(outcome.visits):
        outcome.quality[visit]["likeness"] = 0.5 + row / 100 if 6 <= row < 12 else 0.9
    titles = sheet(outcome, settings, folder / "many", figures)
    rows = [int(title[:7]) - 9000001 for title in titles]
    assert rows[:6] == [6, 7, 8, 9, 10, 11]
    assert rows[6:] == [0, 3, 12, 16, 19, 22]


def test_paths_that_are_no_utf_8_are_read(
    folder: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    path = os.fsencode(folder) + b"/caf\xe9.xml"
    Path(os.fsdecode(path)).write_bytes(good.read_bytes())
    (folder / "0.csv").write_bytes(b"visit,ecg,cmr,version\n9000001_2," + path + b",,1\n")
    assert run(folder, settings, monkeypatch)["visits"] == ["9000001_2"]
