"""Read ECGs of any format: detect the format from the content, read the file and check it strictly.

CardioSoft files have their own reader (:mod:`ptacl.ecg.read`). A table (.csv, .npy) needs a sidecar
`NAME.json` with the facts that a table cannot hold: {"rate_hz": 500, "unit": "mV", "leads": ["I",
...]}. All other formats are read by ecgdatakit, an extra of this package, and checked by
:func:`ptacl.ecg.from_arrays.conform`.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from ptacl import config
from ptacl.ecg import from_arrays, read
from ptacl.ecg.read import EcgRecord
from ptacl.exclusions import Excluded, Reason, require_file

_LARGEST_BYTES = 2**26
_HEAD_BYTES = 4096
TABLES = (".csv", ".npy")


def read_cardiosoft(path: Path) -> etree._Element | None:
    """Parse a CardioSoft file, or XML that no other reader recognises; None for other formats.

    The file is opened once. Raises Excluded(UNREADABLE) if it cannot be read or parsed.
    """
    require_file(path)
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not _is_cardiosoft(path, head.replace(b"\0", b"")):  # drop the zeros of UTF-16
                return None
            data = head + file.read(read.LARGEST_BYTES + 1 - len(head))
    except OSError as error:
        raise Excluded(Reason.UNREADABLE, type(error).__name__) from None
    return read.parse(data)


def record_of_other_format(path: Path, *, settings: config.Ecg) -> EcgRecord:
    """Read a file of any format but CardioSoft; raises Excluded if it cannot be read or used."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise Excluded(Reason.UNREADABLE, f"larger than {_LARGEST_BYTES // 2**20} MiB")
    if path.suffix.lower() in TABLES:
        return _table(path, settings=settings)
    return _by_ecgdatakit(path, settings=settings)


def _is_cardiosoft(path: Path, head: bytes) -> bool:
    return b"<CardiologyXML" in head or b"<!DOCTYPE" in head or not _is_other(path, head)


def _is_other(path: Path, head: bytes) -> bool:
    """Return whether another reader may know the file.

    That is so for every file without the suffix .xml, and for XML with one of the root elements of
    other devices.
    """
    roots = (b"<RestingECG", b"<AnnotatedECG", b"<restingecgdata", b"<ECG ", b"<ECG>")
    return Path(path).suffix.lower() != ".xml" or any(root in head for root in roots)


def _table(path: Path, *, settings: config.Ecg) -> EcgRecord:
    sidecar = path.with_suffix(".json")
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
        rate_hz, unit, leads = (
            float(facts["rate_hz"]),
            str(facts["unit"]),
            [str(lead) for lead in facts["leads"]],
        )
    except (OSError, ValueError, KeyError, TypeError):
        detail = (
            'a table needs a file of the same name with .json: {"rate_hz": 500, "unit": "mV", '
            '"leads": ["I", ...]}'
        )
        raise Excluded(Reason.UNREADABLE, detail) from None
    try:
        numbers = (
            np.load(path, allow_pickle=False) if path.suffix.lower() == ".npy" else _numbers(path)
        )
    except (OSError, ValueError, EOFError) as error:
        raise Excluded(Reason.UNREADABLE, f"table: {type(error).__name__}") from None
    if numbers.ndim != 2 or numbers.dtype.kind not in "iuf" or len(leads) not in numbers.shape:
        raise Excluded(
            Reason.MISSING_LEAD,
            f"a table of {'x'.join(map(str, numbers.shape))} for {len(leads)} leads",
        )
    signal = numbers if numbers.shape[0] == len(leads) else numbers.T
    return from_arrays.conform(
        np.asarray(signal), names=leads, rate_hz=rate_hz, unit=unit, settings=settings
    )


def _numbers(path: Path) -> np.ndarray:
    """Read a CSV of numbers with one column per lead; a first line of names is skipped."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    named = any(character.isalpha() and character not in "eE" for character in first)
    return np.loadtxt(path, delimiter=",", skiprows=int(named), ndmin=2)


def _by_ecgdatakit(path: Path, *, settings: config.Ecg) -> EcgRecord:
    try:
        import ecgdatakit
    except ImportError:
        raise Excluded(
            Reason.UNREADABLE, "not a CardioSoft file; other formats need pip install ecgdatakit"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = ecgdatakit.FileParser().parse(path)
    except ecgdatakit.UnsupportedFormatError:
        raise Excluded(Reason.UNREADABLE, "not an ECG format that docs/formats.md lists") from None
    except Exception as error:  # readers of a dozen formats raise anything on damaged bytes
        raise Excluded(Reason.UNREADABLE, f"ecgdatakit: {type(error).__name__}") from None
    leads = {str(lead.label): lead for lead in found.leads}
    if len(leads) != len(found.leads):
        raise Excluded(Reason.MISSING_LEAD, "a lead occurs twice")
    if len(rates := {float(lead.sampling_rate) for lead in leads.values()}) != 1:
        raise Excluded(Reason.WRONG_RATE, f"the leads have {len(rates)} different rates")
    if any(lead.units.lower() != "mv" or lead.is_raw for lead in leads.values()):
        raise Excluded(Reason.WRONG_UNIT, "the file does not give the size of a count")
    steps = [
        lead.resolution * from_arrays.MV.get(lead.resolution_unit.lower(), np.nan)
        for lead in leads.values()
    ]
    known = [step for step in steps if np.isfinite(step) and step > 0]
    return from_arrays.conform(
        {name: np.asarray(lead.samples, np.float64) for name, lead in leads.items()},
        rate_hz=rates.pop(),
        unit="mV",
        resolution_mv=max(known, default=from_arrays.STEP_MV),
        settings=settings,
    )
