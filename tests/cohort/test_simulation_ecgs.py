"""Simulated ECG files contain what was written, with the measurements that were drawn."""

import datetime
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from persons import PERSONS, draw

from ptacl.cohort.simulation import cardiosoft, defects, ecg, electrical
from ptacl.cohort.simulation.defects import Defect
from ptacl.cohort.simulation.ecg import Recording
from ptacl.cohort.simulation.nuisance import ECG, EcgNuisance

SHARE = electrical.TIMING["default"]


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    drawn = (
        electrical.draw(draw(k), np.random.default_rng(200 + k), nuisance=ECG, share=SHARE)
        for k in range(PERSONS)
    )
    return [
        ecg.record(e, np.random.default_rng(300 + k), nuisance=ECG) for k, e in enumerate(drawn)
    ]


def document(k: int, recording: Recording) -> str:
    rng = np.random.default_rng(k)
    activity = electrical.draw(draw(k), np.random.default_rng(200 + k), nuisance=ECG, share=SHARE)
    day = datetime.date(2019, 5, 2)
    head = cardiosoft.header(draw(k), rng, person="9000001", day=day)
    return cardiosoft.compose(head, activity, recording, rng, nuisance=ECG)


def read_leads(text: str, place: str) -> dict[str, list[int]]:
    root = etree.fromstring(text.encode("latin-1"))
    found = root.findall(f"{place}/WaveformData")
    return {str(w.get("lead")): [int(v) for v in str(w.text).split(",")] for w in found}


def test_xml_reads_back_equal(recordings: list[Recording]) -> None:
    text = document(0, recordings[0])
    strip, median = (
        read_leads(text, "StripData"),
        read_leads(text, "RestingECGMeasurements/MedianSamples"),
    )
    assert list(strip) == list(median) == list(ecg.LEADS)
    np.testing.assert_array_equal(list(strip.values()), recordings[0].counts)
    np.testing.assert_array_equal(list(median.values()), recordings[0].median)
    root = etree.fromstring(text.encode("latin-1"))
    assert root.tag == "CardiologyXML" and root.findtext("StripData/SampleRate") == "500"
    resolution = root.find("StripData/Resolution")
    assert (
        resolution is not None and resolution.text == "5" and resolution.get("units") == "uVperLsb"
    )
    times = [int(str(t.text)) for t in root.findall("StripData/ArrhythmiaResults/Time")]
    offsets = np.array(times) - recordings[0].peaks[: len(times)] * 2
    assert (
        len(times) >= len(recordings[0].peaks) - 1 and offsets.min() >= 12 and offsets.max() <= 18
    )


def test_ecg_has_the_layout_of_a_real_one(recordings: list[Recording], real_data: Path) -> None:
    real = etree.parse(real_data / "ecg" / "cardiosoft" / "example-XML1.xml").getroot()
    made = etree.fromstring(document(0, recordings[0]).encode("latin-1"))

    def paths(root: etree._Element) -> set[str]:
        tree = root.getroottree()
        return {
            tree.getpath(e).replace("]", "").split("[")[0]
            for e in root.iter()
            if isinstance(e.tag, str)
        }

    assert paths(made) <= paths(real)


def test_limb_leads_obey_einthoven(recordings: list[Recording]) -> None:
    for recording in recordings:
        for counts in (recording.counts, recording.median):
            one, two, three, right, left, foot = counts[:6]
            assert (one + three - two == 0).all()
            for lead, exact in (
                (right, -(one + two) / 2),
                (left, one - two / 2),
                (foot, two - one / 2),
            ):
                assert np.abs(lead - exact).max() <= 0.5


def test_ecg_beats_at_the_drawn_rate(recordings: list[Recording]) -> None:
    for k, recording in enumerate(recordings):
        activity = electrical.draw(
            draw(k), np.random.default_rng(200 + k), nuisance=ECG, share=SHARE
        )
        rate = 60 * 500 / np.diff(recording.peaks).mean()
        assert recording.counts.shape == (12, 5000) and rate == pytest.approx(
            float(activity.rate_bpm), rel=0.06
        )
        assert np.diff(recording.peaks).std() > 0
        smooth = np.apply_along_axis(np.convolve, 1, recording.counts, np.ones(8) / 8, mode="same")
        slope = np.abs(np.diff(smooth, axis=1)).sum(0)
        near = np.concatenate(
            [np.arange(max(p - 25, 0), min(p + 25, 4999)) for p in recording.peaks]
        )
        assert slope[near].mean() > 2 * np.delete(slope, near).mean()
        assert 0.3 < np.ptp(recording.median, axis=1).max() * ecg.MV_PER_COUNT < 9


def test_strips_start_at_a_random_phase() -> None:
    activity = electrical.draw(draw(0), np.random.default_rng(0), nuisance=ECG, share=SHARE)
    first = [
        ecg.record(activity, np.random.default_rng(k), nuisance=ECG).peaks[0] for k in range(40)
    ]
    interval = 500 * 60 / float(activity.rate_bpm)
    assert np.std(first) > 0.2 * interval and max(first) < 1.2 * interval


@pytest.mark.parametrize(
    ("defect", "leads", "samples"),
    [
        (Defect.ECG_MISSING_LEAD, 11, 5000),
        (Defect.ECG_NO_STRIP, 0, 0),
        (Defect.ECG_SHORT, 12, 2500),
        (Defect.ECG_FLAT_LEAD, 12, 5000),
    ],
)
def test_spoiled_strip(
    recordings: list[Recording], defect: Defect, leads: int, samples: int
) -> None:
    text = document(0, recordings[0])
    found = read_leads(defects.spoil_xml(text, defect), "StripData")
    assert len(found) == leads and all(len(values) == samples for values in found.values())
    assert sum(len(set(values)) == 1 for values in found.values()) == (
        defect is Defect.ECG_FLAT_LEAD
    )
    assert (
        len(read_leads(defects.spoil_xml(text, defect), "RestingECGMeasurements/MedianSamples"))
        == 12
    )
    assert defects.spoil_xml(text, None) == text


def test_spoiled_limb_leads_rate_and_end(recordings: list[Recording]) -> None:
    text = document(0, recordings[0])
    found = read_leads(defects.spoil_xml(text, Defect.ECG_SWAPPED), "StripData")
    assert np.abs(np.array(found["I"]) + found["III"] - np.array(found["II"])).max() > 10
    assert '<SampleRate units="Hz">250' in defects.spoil_xml(text, Defect.ECG_RATE)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(defects.spoil_xml(text, Defect.ECG_TRUNCATED).encode("latin-1"))


def test_a_late_t_onset_only_changes_the_rise_of_the_t_wave() -> None:
    activity = electrical.draw(draw(0), np.random.default_rng(0), nuisance=ECG, share=SHARE)
    clean = EcgNuisance(**dict.fromkeys([f.name for f in fields(EcgNuisance)], 0.0))
    early, late = (
        ecg.record(
            replace(activity, t_onset_ms=np.array(ms)), np.random.default_rng(1), nuisance=clean
        ).median
        for ms in (-20.0, 20.0)
    )
    after_ms = 2 * (np.flatnonzero((np.abs(early - late) > 2).any(0)) - ecg.MEDIAN_PEAK)
    peak_ms = float(activity.t_peak) * float(activity.qt_ms) - 0.44 * float(activity.qrs_ms)
    assert 40 < after_ms[0] and peak_ms - 30 < after_ms[-1] <= peak_ms + 2
    lead = ecg.LEADS.index("II")
    assert (np.abs(early) - np.abs(late))[lead].min() >= -1  # an early T wave is wider
