"""Read ECGs of other devices with ecgdatakit, and check what it finds.

The library warns where this project excludes: of checksums that fail and of gaps. Only the twelve
leads are checked. Other channels of a file, such as respiration, can have any rate and unit.
"""

import dataclasses
import importlib
import math
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config, raw
from ptacl.ecg import from_arrays
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason, explanation, from_file

OF_ROOT = {  # readers of XML, by root element
    "RestingECG": "ge_muse_xml.GEMuseXMLParser",
    "AnnotatedECG": "hl7_aecg.HL7aECGParser",
    "restingecgdata": "sierra_xml.SierraXMLParser",
    "ECG": "mortara_el250.MortaraEL250Parser",
}
_HL7, _WFDB = "AnnotatedECG", "wfdb.WFDBParser"
LARGEST_BYTES = 2**26
_LEADS = {lead.lower() for lead in LEADS}


def read(path: Path, content: bytes, *, root: str | None, settings: config.Ecg) -> EcgRecord:
    """Read a file of known content, whose root element is `root` if it is XML.

    The library reads a copy on a local disk, which cannot fail as a mount can. Raises Excluded if
    the file cannot be used.
    """
    try:
        import ecgdatakit
    except ImportError:
        raise Excluded(
            Reason.UNREADABLE, "not a CardioSoft file; other formats need pip install ecgdatakit"
        ) from None
    with (
        _copy(path, content) as copy,
        _explained(copy),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        if root is not None:
            found = _parser(OF_ROOT[root]).parse(copy)
        elif copy.suffix.lower() == ".hea":
            found = _parser(_WFDB).parse(copy)
        else:
            known = ecgdatakit.FileParser.detect_format(copy)
            if known is None:
                raise Excluded(
                    Reason.UNREADABLE, "not an ECG format that docs/other-cohorts.md lists"
                )
            found = known["parser_class"]().parse(copy)
        leads = [lead for lead in found.leads if _is_used(lead)]
        if any(np.isnan(lead.samples).any() for lead in leads):
            leads = _with_ordinary_padding(copy, leads)
    _check_sums(caught, leads)
    _check_gaps(found, leads, settings=settings)
    if root == _HL7 and (bad := [lead.label for lead in leads if not lead.adc_resolution]):
        # The library takes 1 for a scale that it cannot read.
        raise Excluded(Reason.WRONG_UNIT, f"the scale of lead {bad[0]} is not a number")
    others = [str(lead.label) for lead in found.leads if not _is_used(lead)]
    return _record(leads, others=others, settings=settings)


def _is_used(lead: Any) -> bool:
    return str(lead.label).strip().lower() in _LEADS


def _parser(name: str) -> Any:
    module, _, kind = name.partition(".")
    return getattr(importlib.import_module(f"ecgdatakit.parsing.parsers.{module}"), kind)()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn any error of a reader into Excluded, with its explanation but without the file name."""
    try:
        yield
    except Excluded:
        raise
    except Exception as error:  # readers of a dozen formats raise anything on damaged bytes
        raise Excluded(Reason.UNREADABLE, explanation(error, path)) from None


def _check_sums(caught: Sequence[warnings.WarningMessage], leads: Sequence[Any]) -> None:
    """Exclude a file whose checksum fails, unless it is that of a channel that is not used."""
    for warning in caught:
        if warning.category.__name__ != "ChecksumWarning":
            continue
        text = str(warning.message)
        named = re.findall(r"'([^']*)'", text)  # WFDB has one checksum per signal
        if not named or {str(lead.label) for lead in leads} & set(named):
            where = ", ".join(named) or re.sub(r".* in:? ", "", text).partition(" of ")[0]
            raise Excluded(Reason.CHECKSUM, from_file(where))


def _check_gaps(found: Any, leads: Sequence[Any], *, settings: config.Ecg) -> None:
    """Exclude an EDF+D file with a gap within the ten seconds that are used."""
    onsets_s = found.raw_metadata.get("record_onsets") if leads else None
    if not onsets_s:
        return
    length_s = len(leads[0].samples) / leads[0].sampling_rate / len(onsets_s)
    missing_s = np.diff(onsets_s) - length_s
    gaps = np.flatnonzero(np.abs(missing_s) > 1e-6)
    if len(gaps):
        after_s = (gaps[0] + 1) * length_s
        if after_s < settings.num_samples / settings.rate_hz:
            detail = f"{missing_s[gaps[0]]:g} s are missing after {after_s:g} s"
            raise Excluded(Reason.GAP, detail)


def _with_ordinary_padding(path: Path, leads: Sequence[Any]) -> list[Any]:
    """Give samples with the padding value of a DICOM file their value back, if they are ordinary.

    The library makes them NaN. But some devices declare a padding value within the range of the
    signal, such as 0, and then every true zero has this value. A value outside this range remains
    missing.
    """
    import pydicom

    if not pydicom.misc.is_dicom(path):
        return list(leads)
    group = pydicom.dcmread(path).WaveformSequence[0]
    padding = int.from_bytes(group.WaveformPaddingValue[:2], "little", signed=True)
    found = []
    for lead in leads:
        missing = np.isnan(lead.samples)
        known = lead.samples[~missing]
        if lead.is_raw and len(known) and known.min() < padding < known.max():
            lead = dataclasses.replace(lead, samples=np.where(missing, padding, lead.samples))
        found.append(lead)
    return found


def _record(leads: Sequence[Any], *, others: Sequence[str], settings: config.Ecg) -> EcgRecord:
    """Check and convert the twelve leads; `others` are the names of the other channels."""
    by_name = {str(lead.label): lead for lead in leads}
    if len(by_name) != len(leads):
        raise Excluded(Reason.MISSING_LEAD, "a lead occurs twice")
    rates = sorted({float(lead.sampling_rate) for lead in leads})
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in rates)
        raise Excluded(Reason.WRONG_RATE, f"the twelve leads have different rates: {listed} Hz")
    samples = dict.fromkeys(others, np.empty(0))  # conform only uses their names
    samples |= {name: _millivolts(lead) for name, lead in by_name.items()}
    steps_mv = [
        lead.resolution * from_arrays.MV.get(str(lead.resolution_unit).lower(), math.nan)
        for lead in leads
    ]
    known = [step for step in steps_mv if math.isfinite(step) and step > 0]
    return from_arrays.conform(
        samples,
        rate_hz=rates[0] if rates else settings.rate_hz,
        unit="mV",
        resolution_mv=max(known, default=from_arrays.STEP_MV),
        settings=settings,
    )


def _millivolts(lead: Any) -> np.ndarray:
    """Return the samples of a lead in mV; raises Excluded if the file does not give the scale."""
    unit = str(lead.resolution_unit if lead.is_raw else lead.units)
    factor = from_arrays.MV.get(unit.lower())
    if factor is None or (lead.is_raw and not lead.resolution):
        shown = from_file(unit) or "none"
        detail = f"the unit of lead {lead.label} is {shown}, not one of mV, uV, V, nV"
        raise Excluded(Reason.WRONG_UNIT, detail)
    samples = np.asarray(lead.samples, np.float64)
    if lead.is_raw:
        samples = samples * lead.resolution + lead.offset
    return np.asarray(samples * factor)


@contextmanager
def _copy(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a copy of a file, and of the signal files of a WFDB header, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / f"record{path.suffix}"
        if path.suffix.lower() == ".hea":
            content = _plain_wfdb(path, content, folder=copy.parent)
        copy.write_bytes(content)
        yield copy


def _plain_wfdb(path: Path, content: bytes, *, folder: Path) -> bytes:
    """Return a WFDB header in the plainest form, and copy its signal files to `folder`.

    The record line keeps the number of signals, the rate and the number of samples. Record names
    with a suffix, times and dates in other orders, and folders in file names then do no harm.
    """
    lines = content.decode("utf-8", errors="replace").splitlines()
    stated = [line for line in lines if line.strip() and not line.startswith("#")]
    if not stated:
        return content
    if re.search(r"/\d+$", stated[0].split()[0]):
        raise Excluded(Reason.UNREADABLE, "a WFDB record of several segments")
    copies: dict[str, str] = {}
    plain = [" ".join(["record", *stated[0].split()[1:4]])]
    for line in stated[1:]:
        file, _, rest = line.partition(" ")
        source = (path.parent / file).resolve()
        if not source.is_relative_to(path.parent.resolve()):
            raise Excluded(Reason.UNREADABLE, "signal file outside the folder of the header")
        if file not in copies:
            copies[file] = f"signals{len(copies)}{source.suffix}"
            signals = raw.read(path.parent / file, largest=LARGEST_BYTES)
            (folder / copies[file]).write_bytes(signals)
        plain.append(f"{copies[file]} {rest}")
    return ("\n".join(plain) + "\n").encode()
