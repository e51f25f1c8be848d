"""Write a resting ECG as the CardioSoft XML of field 20205.

The document holds the rhythm strip, the median beat, and the measurements of the device.
"""

import datetime
from dataclasses import dataclass
from itertools import chain
from xml.sax.saxutils import escape

import numpy as np

from ptacl.cohort.simulation import ecg
from ptacl.cohort.simulation.causes import Causes
from ptacl.cohort.simulation.ecg import LEADS, MEDIAN_PEAK, MV_PER_COUNT, RATE_HZ, Recording
from ptacl.cohort.simulation.electrical import Electrical
from ptacl.cohort.simulation.nuisance import EcgNuisance

_WRAP = 300  # values per line
_DETECTION_MS = 15  # the device marks a beat this long after its R-peak
_GRID_MS = 5

Line = str | list["Line"]


@dataclass(frozen=True)
class Header:
    """Data about the visit that comes before the signal."""

    person: str
    male: bool
    age: int
    height_cm: float
    weight_kg: float
    systolic_mmhg: int
    diastolic_mmhg: int
    moment: datetime.datetime


def header(causes: Causes, rng: np.random.Generator, *, person: str, day: datetime.date) -> Header:
    """Draw the header of one visit, with the time of day."""
    pressure = 128 + 0.5 * (float(causes.age) - 64) + 15 * rng.standard_normal()
    hour, minute, second = (int(rng.integers(*ends)) for ends in ((8, 18), (0, 60), (0, 60)))
    return Header(
        person=person,
        male=bool(causes.male),
        age=int(causes.age),
        height_cm=float(causes.height_cm),
        weight_kg=float(causes.weight_kg),
        systolic_mmhg=round(pressure),
        diastolic_mmhg=round(0.4 * pressure + 28 + 6 * rng.standard_normal()),
        moment=datetime.datetime.combine(day, datetime.time(hour, minute, second)),
    )


def compose(
    head: Header,
    electrical: Electrical,
    recording: Recording,
    rng: np.random.Generator,
    *,
    nuisance: EcgNuisance,
) -> str:
    """Return the whole document.

    Lines end in CR LF and are indented by tabs, as the device writes them.
    """
    moment = head.moment
    clock = [
        ("Hour", moment.hour),
        ("Minute", moment.minute),
        ("Second", moment.second),
        ("Day", moment.day),
        ("Month", moment.month),
        ("Year", moment.year),
    ]
    root = [
        _leaf("ObservationType", "RestECG"),
        _node("ObservationDateTime", *(_leaf(name, value) for name, value in clock)),
        _node(
            "UID",
            _leaf(
                "DICOMStudyUID",
                f"1.2.826.0.1.3680043.8.498.20205.{head.person}.{moment:%Y%m%d}",
            ),
        ),
        _node(
            "ClinicalInfo",
            _leaf("ReasonForStudy", ""),
            _node(
                "DeviceInfo",
                _leaf("Desc", "CardioSoft"),
                _leaf("SoftwareVer", "V6.73"),
                _leaf("AnalysisVer", "12SL V21"),
            ),
        ),
        _node(
            "PatientVisit",
            _leaf("PatientClass", "O"),
            _leaf("SysBP", head.systolic_mmhg, units="mmHg"),
            _leaf("DiaBP", head.diastolic_mmhg, units="mmHg"),
        ),
        _node(
            "PatientInfo",
            _leaf("PID", head.person),
            _node("Name", _leaf("FamilyName", head.person), _leaf("GivenName", "")),
            _leaf("Age", head.age, units="YEARS"),
            _leaf("Gender", "MALE" if head.male else "FEMALE"),
            _leaf("Race", "UNKNOWN"),
            _leaf("Height", round(head.height_cm), units="CENTIMETERS"),
            _leaf("Weight", f"{head.weight_kg:.1f}", units="KILOGRAMS"),
            _leaf("PaceMaker", "no"),
        ),
        _node(
            "FilterSetting",
            _leaf("CubicSpline", "No"),
            _leaf("Filter50Hz", "No"),
            _leaf("Filter60Hz", "No"),
            _leaf("LowPass", 150, units="Hz"),
            _leaf("HighPass", "0.01", units="Hz"),
        ),
        _leaf("Device-Type", 2),
        _node(
            "Interpretation",
            _node(
                "Diagnosis", _leaf("DiagnosisText", "Sinus rhythm"), _leaf("DiagnosisText", "---")
            ),
        ),
        _measurements(electrical, recording, rng, nuisance=nuisance),
        _strip(recording),
    ]
    lines = [
        '<?xml version="1.0" encoding="ISO-8859-1" ?>',
        *_flatten(_node("CardiologyXML", *root)),
    ]
    return "\r\n".join(lines) + "\r\n"


def _strip(recording: Recording) -> Line:
    detected_ms = recording.peaks * 1000 / RATE_HZ + _DETECTION_MS
    times = np.rint(detected_ms / _GRID_MS).astype(int) * _GRID_MS
    beats: list[Line] = []
    for time in times[times < recording.counts.shape[1] * 1000 // RATE_HZ]:
        beats += [_leaf("Time", time, units="ms"), _leaf("BeatClass", "dominant")]
    return _node("StripData", *_signal(recording.counts), _node("ArrhythmiaResults", *beats))


def _signal(counts: np.ndarray, extra: tuple[Line, ...] = ()) -> list[Line]:
    low = counts.min()
    texts = np.array(
        [str(v) for v in range(low, counts.max() + 1)], dtype=object
    )  # values repeat, so each is formatted once
    return [
        _leaf("NumberOfLeads", len(counts)),
        _leaf("SampleRate", RATE_HZ, units="Hz"),
        _leaf("ChannelSampleCountTotal", counts.shape[1]),
        _leaf("Resolution", round(MV_PER_COUNT * 1000), units="uVperLsb"),
        *extra,
        *(
            f'<WaveformData lead="{lead}">\t\t\t{_wrapped(row)}</WaveformData>'
            for lead, row in zip(LEADS, texts[counts - low], strict=True)
        ),
    ]


def _wrapped(texts: np.ndarray) -> str:
    values = texts.tolist()
    return ",\r\n\t\t".join(",".join(values[i : i + _WRAP]) for i in range(0, len(values), _WRAP))


def _measurements(
    e: Electrical, recording: Recording, rng: np.random.Generator, *, nuisance: EcgNuisance
) -> Line:
    """Return intervals and axes with the error of the device; some are blank, as in real files."""

    def interval(value: float) -> int | str:
        return (
            ""
            if rng.random() < nuisance.blank
            else round(value + nuisance.interval_ms * rng.standard_normal())
        )

    def axis(value: float) -> int | str:
        return (
            ""
            if rng.random() < nuisance.blank
            else round(value + nuisance.axis_degrees * rng.standard_normal())
        )

    gaps = np.diff(recording.peaks) * 1000 / RATE_HZ
    rr = float(np.mean(gaps)) if len(gaps) else 60000 / float(e.rate_bpm)
    qrs, pr, qt, axis_deg = float(e.qrs_ms), float(e.pr_ms), float(e.qt_ms), float(e.axis_deg)
    q_onset = MEDIAN_PEAK * 1000 / RATE_HZ - 0.44 * qrs
    return _node(
        "RestingECGMeasurements",
        _leaf("DiagnosisVersion", "12SL V21"),
        _leaf("VentricularRate", round(60000 / rr), units="BPM"),
        _leaf("PQInterval", interval(pr), units="ms"),
        _leaf("PDuration", interval(float(e.p_ms)), units="ms"),
        _leaf("QRSDuration", interval(qrs), units="ms"),
        _leaf("QTInterval", interval(qt), units="ms"),
        _leaf("QTCInterval", interval(qt / np.sqrt(rr / 1000)), units="ms"),
        _leaf("RRInterval", round(rr), units="ms"),
        _leaf("PPInterval", interval(rr), units="ms"),
        _leaf("SokolovLVHIndex", "", units="mV"),
        _leaf("PAxis", axis(55), units="degrees"),
        _leaf("RAxis", axis(axis_deg), units="degrees"),
        _leaf("TAxis", axis(0.6 * axis_deg + 15), units="degrees"),
        _leaf("QTDispersion", "", units="ms"),
        _leaf("QRSNum", len(recording.peaks)),
        _table(recording, qrs_ms=qrs, qt_ms=qt),
        _leaf("POnset", round(q_onset - pr), units="ms"),
        _leaf("POffset", round(q_onset - pr + float(e.p_ms)), units="ms"),
        _leaf("QOnset", round(q_onset), units="ms"),
        _leaf("QOffset", round(q_onset + qrs), units="ms"),
        _leaf("TOffset", round(q_onset + qt), units="ms"),
        _node("MedianSamples", *_signal(recording.median, _VALID)),
    )


def _table(recording: Recording, *, qrs_ms: float, qt_ms: float) -> Line:
    """Return the amplitudes of the median beat by lead, in uV; an absent wave is blank."""
    uv = recording.median * MV_PER_COUNT * 1000
    start = MEDIAN_PEAK - round(0.5 * qrs_ms / 1000 * RATE_HZ)
    end = MEDIAN_PEAK + round(0.6 * qrs_ms / 1000 * RATE_HZ)
    t_end = min(MEDIAN_PEAK + round(qt_ms / 1000 * RATE_HZ), uv.shape[1])
    high, low = uv[:, start:end].max(1), -uv[:, start:end].min(1)
    repolarisation = uv[:, end + 20 : t_end]
    largest = np.take_along_axis(repolarisation, np.abs(repolarisation).argmax(1)[:, None], axis=1)[
        :, 0
    ]

    def row(values: np.ndarray, *, signed: bool) -> str:
        return ", ".join(str(round(v)) if signed or v > 25 else "" for v in values.tolist())

    return _node(
        'MeasurementTable Creation="12SL"',
        _leaf("LeadOrder", ", ".join(LEADS)),
        _leaf("RAmplitude", row(high, signed=False), units="uV"),
        _leaf("SAmplitude", row(low, signed=False), units="uV"),
        _leaf("JAmplitude", row(uv[:, min(end, ecg.MEDIAN_SAMPLES - 1)], signed=True), units="uV"),
        _leaf("TAmplitude", row(largest, signed=True), units="uV"),
    )


def _leaf(name: str, value: object, *, units: str = "") -> str:
    attribute = f' units="{units}"' if units else ""
    return f"<{name}{attribute}>{escape(str(value))}</{name}>"


def _node(name: str, *children: Line) -> Line:
    return [f"<{name}>", list(children), f"</{name.partition(' ')[0]}>"]


def _flatten(line: Line, depth: int = 0) -> list[str]:
    """Return lines indented by one tab per level.

    A node is a list of its opening tag, its children and its closing tag.
    """
    if isinstance(line, str):
        return ["\t" * depth + line]
    opening, children, closing = line
    inside = chain.from_iterable(_flatten(child, depth + 1) for child in children)
    return [*_flatten(opening, depth), *inside, *_flatten(closing, depth)]


_VALID: tuple[Line, ...] = (
    _leaf("FirstValid", 0, units="Sample"),
    _leaf("LastValid", ecg.MEDIAN_SAMPLES - 1, units="Sample"),
)
