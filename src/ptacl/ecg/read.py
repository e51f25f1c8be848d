"""Read resting ECGs of GE CardioSoft (UK Biobank field 20205); exclude doubtful files.

The ten-second rhythm is in `StripData`. `MedianSamples` is an averaged beat and `FullDisclosure`
another recording, so neither replaces it. Leads are taken by name, never by position.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from lxml import etree

from ptacl import config
from ptacl.ecg import quality, xml_root
from ptacl.exclusions import Excluded, Reason, from_file

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

ROOT = "CardiologyXML"  # root element

_NAMES = {lead.lower(): lead for lead in LEADS}
_MV_PER_UNIT = {"uvperlsb": 1e-3, "mvperlsb": 1.0}
LARGEST_BYTES = 2**24  # thirty times a real file; this many empty elements take 0.6 GB
_DECLARATION_BYTES = 80
_COUNTS = np.iinfo(np.int16)
_FILTERS = {
    "CubicSpline": "cubic_spline",
    "Filter50Hz": "notch_50_hz",
    "Filter60Hz": "notch_60_hz",
    "LowPass": "low_pass_hz",
    "HighPass": "high_pass_hz",
}
_MEASUREMENTS = {
    "VentricularRate": "ventricular_rate_bpm",
    "RRInterval": "rr_ms",
    "PPInterval": "pp_ms",
    "PQInterval": "pq_ms",
    "PDuration": "p_duration_ms",
    "QRSDuration": "qrs_duration_ms",
    "QTInterval": "qt_ms",
    "QTCInterval": "qtc_ms",
    "PAxis": "p_axis_degrees",
    "RAxis": "r_axis_degrees",
    "TAxis": "t_axis_degrees",
}


@dataclass(frozen=True, eq=False)
class EcgRecord:
    """One rhythm strip, and the values that the device stored with it.

    signal_mv : (12, T) float32 in the order of `leads`. resolution_mv : millivolts per count.
    filters : settings of the device, None if absent from the file. device_beats_ms : the device's
    own beat list, from the start of the strip, some 15 ms after the R-peaks. measurements : the
    device's intervals and axes, None if blank. software : name and version of the device's
    software. participant : the id in the file, used only for comparison with the file name. doubts
    : flags with their details (:mod:`ptacl.ecg.quality`).
    """

    signal_mv: np.ndarray
    leads: tuple[str, ...]
    rate_hz: int
    resolution_mv: float
    filters: Mapping[str, bool | float | None]
    device_beats_ms: tuple[float, ...]
    measurements: Mapping[str, float | None]
    software: str
    participant: str
    doubts: Mapping[str, str]


@dataclass(frozen=True)
class StripHeader:
    """Unchecked facts that a file gives about its strip.

    leads : names as written. rate_hz : sampling rate. num_samples : samples per lead. Unreadable
    values are None.
    """

    leads: tuple[str, ...]
    rate_hz: float | None
    num_samples: int | None


def parse(data: bytes) -> etree._Element:
    """Parse the root of a CardioSoft file; raises Excluded(UNREADABLE) for any other content.

    Files that define entities are refused before they are parsed.
    """
    if len(data) > LARGEST_BYTES:
        raise Excluded(Reason.UNREADABLE, f"larger than {LARGEST_BYTES // 2**20} MiB")
    if (found := xml_root.name([data])) != ROOT:
        raise Excluded(Reason.UNREADABLE, f"not a CardioSoft file, but one of {from_file(found)}")
    parser = etree.XMLParser(
        # The device declares ISO-8859-1 but writes ASCII, which parses in half the time as UTF-8.
        encoding="utf-8"
        if data.isascii() and b'encoding="ISO-8859-1"' in data[:_DECLARATION_BYTES]
        else None,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, LookupError, ValueError) as error:
        text = error.msg if isinstance(error, etree.XMLSyntaxError) else str(error)
        raise Excluded(Reason.UNREADABLE, f"not well-formed XML: {from_file(text)}") from None
    return root


def header(root: etree._Element) -> StripHeader:
    """Read the header of the strip, whether or not the strip can be used."""
    names = tuple(str(e.get("lead", "")) for e in root.findall("StripData/WaveformData"))
    count = _number(root.find("StripData/ChannelSampleCountTotal"))
    return StripHeader(
        leads=tuple(_NAMES.get(name.strip().lower(), name) for name in names),
        rate_hz=_number(root.find("StripData/SampleRate")),
        num_samples=int(count) if count is not None else None,
    )


def record(root: etree._Element, *, settings: config.Ecg) -> EcgRecord:
    """Extract and check the rhythm strip of a document; raises Excluded for the first fault."""
    strips = root.findall("StripData")
    if len(strips) != 1:
        raise Excluded(Reason.MISSING_LEAD, f"{len(strips)} rhythm strips instead of one")
    strip = strips[0]
    rate, rate_unit = _number(strip.find("SampleRate")), _unit(strip.find("SampleRate"))
    if rate != settings.rate_hz or rate_unit not in ("", "hz"):
        raise Excluded(Reason.WRONG_RATE, f"{rate or 0:g} {rate_unit}, not {settings.rate_hz} Hz")
    resolution_mv = _resolution_mv(strip)
    counts = _counts(strip, num_samples=settings.num_samples)
    quality.check_limb_leads(counts, leads=LEADS, tolerance=settings.einthoven_tolerance_counts)
    doubts = quality.check(
        counts,
        leads=LEADS,
        resolution_mv=resolution_mv,
        rate_hz=settings.rate_hz,
        settings=settings.faults,
    )
    return EcgRecord(
        signal_mv=counts.astype(np.float32) * np.float32(resolution_mv),
        leads=LEADS,
        rate_hz=settings.rate_hz,
        resolution_mv=resolution_mv,
        filters={
            name: _setting(root.find(f"FilterSetting/{tag}")) for tag, name in _FILTERS.items()
        },
        device_beats_ms=_beats_ms(strip),
        measurements={
            name: _number(root.find(f"RestingECGMeasurements/{tag}"))
            for tag, name in _MEASUREMENTS.items()
        },
        software=" ".join(
            root.findtext(f"ClinicalInfo/DeviceInfo/{tag}", "").strip()
            for tag in ("Desc", "SoftwareVer")
        ).strip(),
        participant=root.findtext("PatientInfo/PID", "").strip(),
        doubts=doubts,
    )


def _resolution_mv(strip: etree._Element) -> float:
    """Read the millivolts per count; both the number and its unit must be present."""
    value, unit = _number(strip.find("Resolution")), _unit(strip.find("Resolution"))
    if unit not in _MV_PER_UNIT or value is None or value <= 0:
        raise Excluded(Reason.WRONG_UNIT, f"resolution {value} {unit or 'without unit'}")
    return value * _MV_PER_UNIT[unit]


def _counts(strip: etree._Element, *, num_samples: int) -> np.ndarray:
    """Read (12, num_samples) counts in the order of LEADS, each lead exactly once."""
    texts: dict[str, str] = {}
    for element in strip.findall("WaveformData"):
        lead = _NAMES.get(str(element.get("lead", "")).strip().lower())
        if lead is None or lead in texts:
            raise Excluded(
                Reason.MISSING_LEAD,
                f"lead {lead} occurs twice"
                if lead
                else f"a lead has the unknown name {from_file(str(element.get('lead', '')))!r}",
            )
        texts[lead] = element.text or ""
    if missing := [lead for lead in LEADS if lead not in texts]:
        raise Excluded(Reason.MISSING_LEAD, f"missing lead {', '.join(missing)}")
    declared = _number(strip.find("ChannelSampleCountTotal"))
    if declared != num_samples:
        raise Excluded(
            Reason.WRONG_LENGTH, f"{declared or 0:g} samples declared, not {num_samples}"
        )
    counts = np.empty((len(LEADS), num_samples), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy before 2.4 only warns of junk
        for row, lead in zip(counts, LEADS, strict=True):
            values = _integers(texts[lead], lead=lead)
            if len(values) != num_samples:
                raise Excluded(
                    Reason.WRONG_LENGTH, f"lead {lead} has {len(values)} samples, not {num_samples}"
                )
            row[:] = values
    if (beyond := (counts.min(axis=1) < _COUNTS.min) | (counts.max(axis=1) > _COUNTS.max)).any():
        raise Excluded(
            Reason.UNREADABLE, f"lead {LEADS[beyond.argmax()]} has a value beyond 16 bits"
        )
    return counts.astype(np.int32)


def _integers(text: str, *, lead: str) -> np.ndarray:
    """Parse comma-separated integers.

    White space is removed first, because `np.fromstring` reads a field of only white space as 0. A
    comma after the last value is harmless. The type has 64 bits because `np.fromstring` wraps
    values that do not fit; the device's values have 16.
    """
    parts = text.split()
    if not all("," in (before[-1], after[0]) for before, after in pairwise(parts)):
        raise Excluded(Reason.UNREADABLE, f"lead {lead} has values without a comma between them")
    try:
        return np.fromstring("".join(parts), dtype=np.int64, sep=",")
    except (ValueError, DeprecationWarning):
        finite = not any(word in text.lower() for word in ("nan", "inf"))
        raise Excluded(
            Reason.UNREADABLE if finite else Reason.NOT_FINITE,
            f"lead {lead} is not a list of integers",
        ) from None


def _beats_ms(strip: etree._Element) -> tuple[float, ...]:
    times = [(_number(e), _unit(e)) for e in strip.findall("ArrhythmiaResults/Time")]
    return tuple(sorted(time for time, unit in times if time is not None and unit == "ms"))


def _number(element: etree._Element | None) -> float | None:
    """Read the finite number in an element; None if it has none (measurements can be blank)."""
    try:
        value = float(element.text or "") if element is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unit(element: etree._Element | None) -> str:
    return str(element.get("units", "")).strip().lower() if element is not None else ""


def _setting(element: etree._Element | None) -> bool | float | None:
    """Read a filter setting: Yes, No or a number."""
    text = (element.text or "").strip().lower() if element is not None else ""
    return {"yes": True, "no": False}[text] if text in ("yes", "no") else _number(element)
