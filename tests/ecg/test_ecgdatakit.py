"""What ecgdatakit finds in a file is checked before it is used."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from other_formats import SIGNAL_MV
from recordings import any_record

from ptacl import config
from ptacl.ecg import read
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

pytestmark = pytest.mark.usefixtures("quiet")


def recorded(**changes: object) -> SimpleNamespace:
    """What ecgdatakit gives for a good recording, with other facts of lead V6."""
    facts = {
        "sampling_rate": 500,
        "units": "mV",
        "is_raw": False,
        "resolution": 2.0,
        "resolution_unit": "uV",
    }
    leads = []
    for lead, row in zip(LEADS, SIGNAL_MV, strict=True):
        leads.append(SimpleNamespace(label=lead, samples=row, **facts))
    for name, value in changes.items():
        setattr(leads[-1], name, value)
    return SimpleNamespace(leads=leads, raw_metadata={})


def by_ecgdatakit(
    found: SimpleNamespace,
    folder: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> read.EcgRecord:
    parser = SimpleNamespace(parse=lambda _: found)
    known = SimpleNamespace(detect_format=lambda _: {"parser_class": lambda: parser})
    monkeypatch.setitem(sys.modules, "ecgdatakit", SimpleNamespace(FileParser=known))
    path = folder / "a.edf"
    path.touch()
    return any_record(path, settings=settings)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"label": "V5"}, Reason.MISSING_LEAD, "a lead occurs twice"),
        (
            {"sampling_rate": 250},
            Reason.WRONG_RATE,
            "the twelve leads have different rates: 250, 500 Hz",
        ),
        (
            {"units": ""},
            Reason.WRONG_UNIT,
            "the unit of lead V6 is none, not one of mV, uV, V, nV",
        ),
        (
            {"is_raw": True, "resolution_unit": "Ohm"},
            Reason.WRONG_UNIT,
            "the unit of lead V6 is Ohm, not one of mV, uV, V, nV",
        ),
        ({"label": "V9"}, Reason.MISSING_LEAD, "missing lead V6; the others are V9"),
    ],
)
def test_what_a_reader_of_other_formats_finds_is_checked(
    change: dict[str, object],
    reason: Reason,
    detail: str,
    tmp_path: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Excluded) as error:
        by_ecgdatakit(recorded(**change), tmp_path, settings, monkeypatch)
    assert error.value.reason is reason
    assert error.value.detail == detail


@pytest.mark.parametrize(
    ("change", "resolution_mv"),
    [
        ({}, 0.002),
        ({"resolution": 4.0}, 0.004),
        ({"resolution": 0.004, "resolution_unit": "MV"}, 0.004),
        ({"resolution": 9.0, "resolution_unit": "furlong"}, 0.002),
        ({"resolution": -9.0}, 0.002),
    ],
)
def test_the_resolution_is_the_coarsest_that_a_lead_names(
    change: dict[str, object],
    resolution_mv: float,
    tmp_path: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = by_ecgdatakit(recorded(**change), tmp_path, settings, monkeypatch)
    assert found.resolution_mv == pytest.approx(resolution_mv)
    np.testing.assert_array_equal(found.signal_mv, SIGNAL_MV.astype(np.float32))


def test_without_a_named_resolution_it_is_that_of_the_device_of_uk_biobank(
    tmp_path: Path,
    settings: config.Ecg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = recorded()
    for lead in found.leads:
        lead.resolution = 0
    assert by_ecgdatakit(found, tmp_path, settings, monkeypatch).resolution_mv == 0.005
