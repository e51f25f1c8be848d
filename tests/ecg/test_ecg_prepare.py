import csv
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import beat_times, cardiosoft, counts, noise_mv, synthetic_mv

from ptacl import config, store
from ptacl.ecg import prepare
from ptacl.ecg.denoise import denoise
from ptacl.ecg.read import LEADS, read
from ptacl.exclusions import Reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of eight participants, three of them of use, and the list of the shard; a path with spaces."""
    raw = tmp_path / "Bulk" / "Electro cardiogram"
    raw.mkdir(parents=True)
    good = {f"900000{k}": counts(synthetic_mv(beat_times(bpm), noise_mv=0.01, seed=k)) for k, bpm in ((1, 60), (2, 80), (3, 100))}
    texts = {participant: cardiosoft(leads, beats_ms=[515], participant=participant) for participant, leads in good.items()}
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


def run(folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch, *, out: str = "ecg") -> dict[str, Any]:
    paths = {
        "members": folder / "0.csv",
        "store": folder / out / "0",
        "manifest": folder / out / "0.json",
        "sheet": folder / out / "0.png",
    }
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["prepare", *options, "--settings", config.dump(settings)])
    prepare.main()
    return json.loads(paths["manifest"].read_text())


def test_a_shard_from_files_to_store(folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = run(folder, settings, monkeypatch)
    opened = store.read(folder / "ecg" / "0")
    assert manifest["visits"] == opened.visits == ["9000001_2", "9000002_2", "9000003_2"]
    assert opened.attributes["leads"] == list(LEADS) and opened.attributes["rate_hz"] == 500
    assert config.Ecg.model_validate(opened.attributes["settings"]) == settings
    assert opened.unit("signal_mv") == "mV" and opened.unit("r_peaks") == "sample"
    path = folder / "Bulk" / "Electro cardiogram" / "9000002_20205_2_0.xml"
    expected = denoise(read(path, settings=settings).signal_mv, wavelet=settings.wavelet)
    np.testing.assert_array_equal(opened.read("signal_mv", [1])[0], expected)
    peaks = opened.read("r_peaks", [1])[0]
    times_s = beat_times(80)
    assert peaks.dtype == np.int32 and peaks.shape == (prepare.MAX_PEAKS,)
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
        "9000008_2": Reason.UNREADABLE,
    }
    assert all("900000" not in row["detail"] for row in manifest["excluded"])


def test_quality_of_each_visit(folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = run(folder, settings, monkeypatch)
    assert list(manifest["quality"]) == manifest["visits"]
    quality = manifest["quality"]["9000003_2"]
    assert quality["heart_rate_bpm"] == pytest.approx(100, abs=1) and quality["num_beats"] == len(beat_times(100))
    assert quality["rr_ratio"] == pytest.approx(1, abs=0.05) and quality["irregular"] is False
    assert quality["device"]["matched"] == 1 and quality["filters"]["low_pass_hz"] == 100


def test_the_same_input_gives_the_same_bytes(folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("one", "two"):
        run(folder, settings, monkeypatch, out=out)
    files = sorted(p.relative_to(folder / "one") for p in (folder / "one").rglob("*") if p.is_file())
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
    assert "3 usable, 5 excluded of 8" in printed and "900000" not in printed


def test_a_shard_without_anyone(folder: Path, settings: config.Ecg, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "0.csv").write_text("visit,ecg,cmr,version\n")
    content = run(folder, settings, monkeypatch)
    assert content.pop("stored") and content == {"visits": [], "excluded": [], "quality": {}}
    assert store.read(folder / "ecg" / "0").read("signal_mv").shape == (0, 12, 5000)


def test_sheet_shows_the_doubtful_and_a_spread(folder: Path, settings: config.Ecg) -> None:
    path = folder / "Bulk" / "Electro cardiogram" / "9000001_20205_2_0.xml"
    members = [{"visit": f"{9000001 + k}_2", "ecg": str(path)} for k in range(30)]
    outcome = prepare.prepare_shard(members, settings=settings, directory=folder / "many")
    outcome.quality[outcome.visits[17]]["likeness"] = 0.4
    titles = [panel.title[:9] for panel in prepare.panels(outcome, directory=folder / "many", settings=settings)]
    assert len(titles) == len(set(titles)) == 12 and "9000018_2" in titles and "9000030_2" in titles


def test_real_file(example: Path, settings: config.Ecg) -> None:
    prepared = prepare.prepare_record(example, settings=settings)
    assert (prepared.r_peaks >= 0).sum() == 8 and prepared.signal_mv.dtype == np.float32
    assert prepared.quality["device"]["matched"] == 8 and prepared.quality["filters"]["notch_50_hz"] is True
