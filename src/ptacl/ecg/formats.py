"""Read ECGs of any format: detect the format from the content, read the file and check it strictly.

CardioSoft files have their own reader (:mod:`ptacl.ecg.read`). A table (.csv, .npy) needs a sidecar
`NAME.json` with the facts that a table cannot hold: {"rate_hz": 500, "unit": "mV", "leads": ["I",
...]}. All other formats are read by ecgdatakit, an extra of this package
(:mod:`ptacl.ecg.other_devices`). Files of all formats but CardioSoft are checked by
:func:`ptacl.ecg.from_arrays.conform`.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from lxml import etree

from ptacl import config, raw
from ptacl.ecg import from_arrays, other_devices, read, xml_root
from ptacl.ecg.read import EcgRecord
from ptacl.exclusions import Excluded, Reason, explanation, from_file

_HEAD_BYTES = 4096
TABLES = (".csv", ".npy")


@dataclass(frozen=True)
class Opened:
    """A file whose kind is known.

    cardiosoft : the parsed document of a CardioSoft file, None for other formats. root : name of
    the root element of XML, None for other files. content : the bytes of the file.
    """

    cardiosoft: etree._Element | None
    root: str | None
    content: bytes = field(default=b"", compare=False, repr=False)


def open_file(path: Path) -> Opened:
    """Find out the format of a file, and parse it if it is of CardioSoft.

    XML is recognised by its root element. A file is read once. Raises Excluded(UNREADABLE) if the
    file cannot be read or is XML of an unknown kind, and Excluded(MISSING_FILE) if it does not
    exist.
    """
    content = raw.read(path, largest=other_devices.LARGEST_BYTES)
    if not (xml_root.is_xml(content[:_HEAD_BYTES]) or path.suffix.lower() == ".xml"):
        return Opened(None, None, content)
    root = xml_root.name(_chunks(content))
    if root == read.ROOT:
        return Opened(read.parse(content), root, content)
    if root not in other_devices.OF_ROOT:
        known = ", ".join([read.ROOT, *other_devices.OF_ROOT])
        raise Excluded(
            Reason.UNREADABLE, f"XML with root element {from_file(root)}, which is none of {known}"
        )
    return Opened(None, root, content)


def _chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _HEAD_BYTES):
        yield content[start : start + _HEAD_BYTES]


def record_of_other_format(path: Path, opened: Opened, *, settings: config.Ecg) -> EcgRecord:
    """Read a file of any format but CardioSoft; raises Excluded if it cannot be read or used."""
    if path.suffix.lower() in TABLES:
        return _table(path, opened.content, settings=settings)
    return other_devices.read(path, opened.content, root=opened.root, settings=settings)


def _table(path: Path, content: bytes, *, settings: config.Ecg) -> EcgRecord:
    try:
        facts = json.loads(raw.read(path.with_suffix(".json"), largest=other_devices.LARGEST_BYTES))
        rate_hz, unit, leads = (
            float(facts["rate_hz"]),
            str(facts["unit"]),
            [str(lead) for lead in facts["leads"]],
        )
    except (ValueError, KeyError, TypeError):  # Excluded is a ValueError
        detail = (
            'a table needs a file of the same name with .json: {"rate_hz": 500, "unit": "mV", '
            '"leads": ["I", ...]}'
        )
        raise Excluded(Reason.UNREADABLE, detail) from None
    try:
        numbers = (
            np.load(io.BytesIO(content), allow_pickle=False)
            if path.suffix.lower() == ".npy"
            else _numbers(content)
        )
    except (OSError, ValueError, EOFError) as error:
        raise Excluded(Reason.UNREADABLE, f"table: {explanation(error, path)}") from None
    if numbers.ndim != 2 or numbers.dtype.kind not in "iuf" or len(leads) not in numbers.shape:
        raise Excluded(
            Reason.MISSING_LEAD,
            f"a table of {'x'.join(map(str, numbers.shape))} for {len(leads)} leads",
        )
    signal = numbers if numbers.shape[0] == len(leads) else numbers.T
    return from_arrays.conform(
        np.asarray(signal), names=leads, rate_hz=rate_hz, unit=unit, settings=settings
    )


def _numbers(content: bytes) -> np.ndarray:
    """Read a CSV of numbers with one column per lead; a first line of names is skipped.

    Columns are separated by commas, tabs or semicolons. Between semicolons or tabs, numbers can
    have decimal commas.
    """
    with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig") as file:
        lines = [file.readline(), file.readline()]
    separator = next((s for s in (";", "\t") if s in lines[0] + lines[1]), ",")
    decimal = "," if separator != "," and "," in lines[1] else "."
    named = any(character.isalpha() and character not in "eE" for character in lines[0])
    table = pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        decimal=decimal,
        header=None,
        skiprows=int(named),
        dtype=np.float64,
        encoding="utf-8-sig",
    )
    return table.to_numpy()
