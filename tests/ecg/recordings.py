"""Recordings to test with: a small writer of CardioSoft files, a synthetic signal, and a reader of
WFDB records.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ptacl.ecg import formats, read
from ptacl.ecg.read import LEADS

RATE_HZ, NUM_SAMPLES = 500, 5000
_GAINS = {"I": 0.6, "II": 1.0, "V1": -0.5, "V2": -0.9, "V3": 0.4, "V4": 1.2, "V5": 1.4, "V6": 1.0}
_WAVES = [
    (-0.16, 0.025, 0.12),
    (0.0, 0.012, 1.0),
    (0.035, 0.012, -0.25),
    (0.28, 0.05, 0.3),
]  # P, R, S, T: delay, width, height


def beat_times(bpm: float, *, first_s: float = 0.5) -> np.ndarray:
    """R-peaks at a steady rate, in seconds, within the record."""
    return np.arange(first_s, NUM_SAMPLES / RATE_HZ - 0.3, 60 / bpm)


def limb_leads(independent: Mapping[str, np.ndarray]) -> np.ndarray:
    """(12, T): the limb leads as they follow from I and II."""
    i, ii = independent["I"], independent["II"]
    derived = {"III": ii - i, "aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}
    return np.stack([{**independent, **derived}[lead] for lead in LEADS])


def synthetic_mv(
    times_s: Sequence[float] | np.ndarray, *, noise_mv: float = 0.01, seed: int = 0
) -> np.ndarray:
    """(12, 5000) mV: P, R, S and T as Gaussians at each beat; T moves with the rate."""
    grid_s = np.arange(NUM_SAMPLES) / RATE_HZ
    interval_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    wave = np.zeros(NUM_SAMPLES)
    for time_s in times_s:
        for delay_s, width_s, height in _WAVES:
            delay_s *= min(1.0, interval_s) if abs(delay_s) > 0.1 else 1.0
            wave += height * np.exp(-(((grid_s - time_s - delay_s) / width_s) ** 2) / 2)
    noise = np.random.default_rng(seed).normal(size=(len(_GAINS), NUM_SAMPLES)) * noise_mv
    return limb_leads(
        {lead: gain * wave + n for (lead, gain), n in zip(_GAINS.items(), noise, strict=True)}
    )


def noise_mv(seed: int, *, exponent: float = 0.0) -> np.ndarray:
    """(12, 5000) noise with a spectrum of 1 / f**exponent in power, limb leads consistent."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=(len(_GAINS), NUM_SAMPLES)))
    spectrum /= np.maximum(np.arange(spectrum.shape[-1]), 1) ** (exponent / 2)
    return limb_leads(dict(zip(_GAINS, np.fft.irfft(spectrum, NUM_SAMPLES), strict=True)))


def counts(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of 5 microvolt of each lead: the limb leads follow from the rounded I and II, as on
    the device.
    """
    rounded = {lead: np.round(row / 0.005) for lead, row in zip(LEADS, signal_mv, strict=True)}
    exact = limb_leads({lead: rounded[lead] for lead in _GAINS})
    return {lead: np.trunc(row).astype(int) for lead, row in zip(LEADS, exact, strict=True)}


def cardiosoft(
    leads: Mapping[str, np.ndarray], *, beats_ms: Sequence[float] = (), participant: str = "9000001"
) -> str:
    """A CardioSoft file with these counts, its lines broken as the device does, a median beat
    next to the strip.
    """

    def waveform(lead: str, values: np.ndarray) -> str:
        lines = [",".join(map(str, values[k : k + 300])) for k in range(0, len(values), 300)]
        return f'<WaveformData lead="{lead}">\t\t' + ",\r\n\t\t".join(lines) + "</WaveformData>"

    waves = "\r\n\t\t".join(waveform(lead, values) for lead, values in leads.items())
    medians = "\r\n\t\t".join(waveform(lead, np.arange(600)) for lead in leads)
    times = "".join(
        f'<Time units="ms">{t:g}</Time><BeatClass>dominant</BeatClass>' for t in beats_ms
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<CardiologyXML>
	<ObservationType>RestECG</ObservationType>
	<ClinicalInfo><DeviceInfo>
		<Desc>CardioSoft</Desc><SoftwareVer>V6.73</SoftwareVer>
	</DeviceInfo></ClinicalInfo>
	<PatientInfo><PID>{participant}</PID></PatientInfo>
	<FilterSetting>
		<CubicSpline>No</CubicSpline><Filter50Hz>Yes</Filter50Hz>
		<LowPass units="Hz">100</LowPass>
	</FilterSetting>
	<RestingECGMeasurements>
		<VentricularRate units="BPM">60</VentricularRate><PQInterval units="ms"></PQInterval>
		<MedianSamples>
		<SampleRate units="Hz">500</SampleRate>
		<ChannelSampleCountTotal>600</ChannelSampleCountTotal>
		<Resolution units="uVperLsb">5</Resolution>{medians}</MedianSamples>
	</RestingECGMeasurements>
	<StripData>
		<NumberOfLeads>12</NumberOfLeads>
		<SampleRate units="Hz">500</SampleRate>
		<ChannelSampleCountTotal>5000</ChannelSampleCountTotal>
		<Resolution units="uVperLsb">5</Resolution>
		{waves}
		<ArrhythmiaResults>{times}</ArrhythmiaResults>
	</StripData>
</CardiologyXML>
"""


def wfdb_counts(path: Path) -> np.ndarray:
    """(12, T) digital values of a WFDB record of 16-bit samples; the physical values of LUDB are
    scaled lead by lead.
    """
    num_leads = int(path.with_suffix(".hea").read_text().split()[1])
    return np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, num_leads).T


def wfdb_marks(path: Path) -> list[tuple[int, int]]:
    """Sample and code of each mark of an annotation file in MIT format: words of a 6-bit code and a
    10-bit step in time.
    """
    words = np.fromfile(path, "<u2").tolist()
    marks, time, k = [], 0, 0
    while words[k]:
        code, step = words[k] >> 10, words[k] & 1023
        k += 1
        if code == 59:  # a long step in the next two words
            time += int(np.int32(np.uint32((words[k] << 16) | words[k + 1])))
            k += 2
        elif code == 63:  # a note of `step` bytes
            k += (step + 1) // 2
        elif code < 60:
            time += step
            marks.append((time, code))
    return marks


def wfdb_beats(path: Path) -> np.ndarray:
    """Samples of the normal beats of an annotation file."""
    return np.array([time for time, code in wfdb_marks(path) if code == 1])


def wfdb_intervals(path: Path, *, rate_hz: int = RATE_HZ) -> dict[str, float]:
    """PR, QRS and QT in ms as cardiologists marked them in one lead, medians over the beats, where
    marked.
    """
    waves: list[tuple[int, int | None, int | None]] = []  # code, onset, end
    marks = wfdb_marks(path)
    for k, (_, code) in enumerate(marks):
        if code in (1, 24, 27):  # QRS complex, P wave, T wave
            before, after = (
                marks[k - 1] if k else (0, 0),
                marks[k + 1] if k + 1 < len(marks) else (0, 0),
            )
            waves.append(
                (code, before[0] if before[1] == 39 else None, after[0] if after[1] == 40 else None)
            )
    found: dict[str, list[int]] = {"pr": [], "qrs": [], "qt": []}
    for k, (code, onset, end) in enumerate(waves):
        if code != 1 or onset is None:
            continue
        if k and waves[k - 1][0] == 24 and waves[k - 1][1] is not None:
            found["pr"].append(onset - waves[k - 1][1])
        if end is not None:
            found["qrs"].append(end - onset)
        if k + 1 < len(waves) and waves[k + 1][0] == 27 and waves[k + 1][2] is not None:
            found["qt"].append(waves[k + 1][2] - onset)
    return {
        name: float(np.median(lengths)) * 1000 / rate_hz
        for name, lengths in found.items()
        if lengths
    }


def any_record(path, *, settings):
    """Read a file of any format, as `examine` does."""
    opened = formats.open_file(path)
    if opened.cardiosoft is None:
        return formats.record_of_other_format(path, opened, settings=settings)
    return read.record(opened.cardiosoft, settings=settings)


def open_document(path):
    """Open a CardioSoft file."""
    return formats.open_file(path).cardiosoft
