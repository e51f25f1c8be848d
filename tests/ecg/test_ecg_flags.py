"""Records that are flagged but kept: arm electrodes that look exchanged, another participant,
an irregular rhythm.
"""

from pathlib import Path

import numpy as np
import pytest
from quality_records import GOOD, real
from recordings import beat_times, cardiosoft, counts, synthetic_mv

from ptacl import config
from ptacl.ecg import quality, rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Reason


def exchanged(signal_mv: np.ndarray) -> np.ndarray:
    """The record as it would be with the electrodes of the arms exchanged."""
    out = signal_mv[[0, 2, 1, 4, 3, *range(5, 12)]].copy()
    out[0] *= -1
    return out


def test_exchanged_arms_are_flagged_and_no_real_record_is(
    real_data: Path, settings: config.Ecg
) -> None:
    flagged = {"as recorded": 0, "exchanged": 0}
    total = 0
    for _, mv in real(real_data):
        clean = denoise(mv, wavelet=settings.wavelet)
        for name, signal_mv in (("as recorded", clean), ("exchanged", exchanged(clean))):
            peaks, _ = rpeaks.find(
                signal_mv, rate_hz=500, device_beats_ms=(), settings=settings.rpeaks
            )
            flagged[name] += quality.arms_exchanged(
                signal_mv, r_peaks=peaks, rate_hz=500, leads=LEADS
            )
        total += 1
    assert flagged["as recorded"] == 0
    assert flagged["exchanged"] >= 0.5 * total


def test_arms_of_a_record_without_a_whole_beat(settings: config.Ecg) -> None:
    assert not quality.arms_exchanged(
        GOOD * 0.005, r_peaks=np.array([3, 4999]), rate_hz=500, leads=LEADS
    )


@pytest.mark.parametrize(
    ("participant", "signal_mv", "flags"),
    [
        ("9000001", synthetic_mv(beat_times(60)), []),
        (
            "9000002",
            synthetic_mv(beat_times(60)),
            ["another participant in the ECG file than in its name"],
        ),
        ("anonymous", synthetic_mv(beat_times(60)), []),
        ("9000001", exchanged(synthetic_mv(beat_times(60))), ["arm electrodes look exchanged"]),
        (
            "9000001",
            synthetic_mv([0.5, 1.5, 2.5, 3.1, 5.2, 6.2, 7.2, 8.2, 9.2]),
            ["irregular rhythm"],
        ),
    ],
)
def test_flags(
    participant: str, signal_mv: np.ndarray, flags: list[str], tmp_path: Path, settings: config.Ecg
) -> None:
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_text(cardiosoft(counts(signal_mv), participant=participant), encoding="latin-1")
    assert examine(path, settings=settings).flags == flags


@pytest.mark.parametrize(
    ("inside", "named", "flagged"),
    [
        ("9000001", "9000001", False),
        ("9000001", "9000002", True),
        ("anonymous", "9000002", False),
        ("9000001", "scan", False),
        ("", "9000002", False),
        ("9000001", "", False),
    ],
)
def test_ids_in_the_file_and_in_its_name_are_compared_where_both_are_numbers(
    inside: str,
    named: str,
    flagged: bool,
) -> None:
    how = {"signal_mv": GOOD * 0.005, "r_peaks": np.array([250]), "rate_hz": 500, "leads": LEADS}
    found = quality.flags({"irregular": False}, inside=inside, named=named, **how)
    assert found == (["another participant in the ECG file than in its name"] if flagged else [])


def beats_of_arms(p_one: float, p_avr: float, qrs_one: float, qrs_v6: float) -> bool:
    """Three beats with waves of these heights in mV, on a level of 1 mV."""
    signal_mv = np.ones((12, 2000))
    peaks = np.array([300, 900, 1500])
    p_wave = np.hanning(51)  # 100 ms, its middle 150 ms before the R-peak
    qrs = np.hanning(31)
    for peak in peaks:
        for lead, height in (("I", p_one), ("aVR", p_avr)):
            signal_mv[LEADS.index(lead), peak - 100 : peak - 49] += height * p_wave
        for lead, height in (("I", qrs_one), ("V6", qrs_v6)):
            signal_mv[LEADS.index(lead), peak - 15 : peak + 16] += height * qrs
    return quality.arms_exchanged(signal_mv, r_peaks=peaks, rate_hz=500, leads=LEADS)


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ((-0.1, 0.1, -1, 1), True),
        ((0.1, 0.1, -1, 1), False),
        ((-0.1, -0.1, -1, 1), False),
        ((-0.1, 0.1, 1, 1), False),
        ((-0.1, 0.1, -1, -1), False),
        ((-0.1, 0.1, 1, -1), False),
    ],
    ids=[
        "exchanged",
        "P upright in I",
        "P down in aVR",
        "QRS upright in I",
        "QRS alike in V6",
        "QRS upright, V6 down",
    ],
)
def test_all_four_signs_together_tell_that_the_arms_are_exchanged(
    waves: tuple[float, float, float, float],
    expected: bool,
) -> None:
    assert beats_of_arms(*waves) is expected


@pytest.mark.parametrize(
    ("peak", "whole"),
    [(119, False), (120, True), (1970, True), (1971, False)],
)
def test_a_beat_counts_for_the_arms_from_240_ms_before_to_60_ms_after_its_peak(
    peak: int,
    whole: bool,
) -> None:
    """120 samples before and 30 after, of 2,000; waves around the peak as of exchanged arms."""
    signal_mv = np.zeros((12, 2200))
    at = peak + 100
    signal_mv[LEADS.index("I"), at - 100 : at - 49] -= 0.1 * np.hanning(51)
    signal_mv[LEADS.index("aVR"), at - 100 : at - 49] += 0.1 * np.hanning(51)
    signal_mv[LEADS.index("I"), at - 15 : at + 16] -= np.hanning(31)
    signal_mv[LEADS.index("V6"), at - 15 : at + 16] += np.hanning(31)
    record = signal_mv[:, 100:2100]
    found = quality.arms_exchanged(record, r_peaks=np.array([peak]), rate_hz=500, leads=LEADS)
    assert found is whole


@pytest.mark.parametrize("flag", ["saturated lead", "irregular rhythm"])
def test_a_flag_excludes_a_record_only_if_the_settings_say_so(
    flag: str, tmp_path: Path, settings: config.Ecg
) -> None:
    times = beat_times(60)
    if flag == "irregular rhythm":
        times = times[np.arange(len(times)) != 4]
    mv = synthetic_mv(times)
    if flag == "saturated lead":
        mv[8] = np.minimum(mv[8], np.quantile(mv[8], 0.95))
    path = tmp_path / "9000001_20205_2_0.xml"
    path.write_text(cardiosoft(counts(mv)), encoding="latin-1")
    found = examine(path, settings=settings)
    assert found.excluded is None and flag in found.flags
    strict = examine(path, settings=settings.model_copy(update={"exclude": [flag]}))
    assert strict.excluded is not None and strict.excluded.reason is Reason.FLAGGED
    assert strict.excluded.detail.startswith(flag)
