"""Read ECGs of any format: detect the format from the content, read the file and check it strictly.

CardioSoft files have their own reader (:mod:`ptacl.ecg.read`). A table (.csv, .npy) needs a sidecar
`NAME.json` with the facts that a table cannot hold: {"rate_hz": 500, "unit": "mV", "leads": ["I",
...]}. All other formats are read by ecgdatakit, an extra of this package
(:mod:`ptacl.ecg.other_devices`). Files of all formats but CardioSoft are checked by
:func:`ptacl.ecg.from_arrays.conform`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from lxml import etree

from ptacl import config
from ptacl.ecg import from_arrays, other_devices, read, xml_root
from ptacl.ecg.read import EcgRecord
from ptacl.exclusions import Excluded, Reason, explanation, from_file, require_file

_LARGEST_BYTES = 2**26
_HEAD_BYTES = 4096
TABLES = (".csv", ".npy")


@dataclass(frozen=True)
class Opened:
    """A file whose kind is known.

    cardiosoft : the parsed document of a CardioSoft file, None for other formats. root : name of
    the root element of XML, None for other files.
    """

    cardiosoft: etree._Element | None
    root: str | None


def open_file(path: Path) -> Opened:
    """Find out the format of a file, and parse it if it is of CardioSoft.

    XML is recognised by its root element. A CardioSoft file is opened once. Raises
    Excluded(UNREADABLE) if the file cannot be read, or is XML of an unknown kind.
    """
    require_file(path)
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not (xml_root.is_xml(head) or path.suffix.lower() == ".xml"):
                return Opened(None, None)
            root = xml_root.name(chain([head], _chunks(file)))
            if root == read.ROOT:
                file.seek(0)
                return Opened(read.parse(file.read(read.LARGEST_BYTES + 1)), root)
    except OSError as error:
        raise Excluded(Reason.UNREADABLE, type(error).__name__) from None
    if root not in other_devices.OF_ROOT:
        known = ", ".join([read.ROOT, *other_devices.OF_ROOT])
        raise Excluded(
            Reason.UNREADABLE, f"XML with root element {from_file(root)}, which is none of {known}"
        )
    return Opened(None, root)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the next parts of a file, up to the largest size of a file."""
    for _ in range(_LARGEST_BYTES // _HEAD_BYTES):
        if not (chunk := file.read(_HEAD_BYTES)):
            return
        yield chunk


def record_of_other_format(path: Path, opened: Opened, *, settings: config.Ecg) -> EcgRecord:
    """Read a file of any format but CardioSoft; raises Excluded if it cannot be read or used."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise Excluded(Reason.UNREADABLE, f"larger than {_LARGEST_BYTES // 2**20} MiB")
    if path.suffix.lower() in TABLES:
        return _table(path, settings=settings)
    return other_devices.read(path, root=opened.root, settings=settings)


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


def _numbers(path: Path) -> np.ndarray:
    """Read a CSV of numbers with one column per lead; a first line of names is skipped.

    Columns are separated by commas, tabs or semicolons. Between semicolons or tabs, numbers can
    have decimal commas.
    """
    with path.open(encoding="utf-8-sig") as file:
        lines = [file.readline(), file.readline()]
    separator = next((s for s in (";", "\t") if s in lines[0] + lines[1]), ",")
    decimal = "," if separator != "," and "," in lines[1] else "."
    named = any(character.isalpha() and character not in "eE" for character in lines[0])
    table = pd.read_csv(
        path,
        sep=separator,
        decimal=decimal,
        header=None,
        skiprows=int(named),
        dtype=np.float64,
        encoding="utf-8-sig",
    )
    return table.to_numpy()
