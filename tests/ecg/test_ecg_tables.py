"""Tables of numbers with a sidecar: what is read, and what is refused in which words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from other_formats import SIDECAR, SIGNAL_MV, table
from recordings import any_record

from ptacl import config
from ptacl.ecg.read import LEADS
from ptacl.exclusions import Excluded, Reason

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("name", ["a.csv", "a.npy"])
def test_a_table_with_its_sidecar(name: str, tmp_path: Path, settings: config.Ecg) -> None:
    np.testing.assert_allclose(
        any_record(table(tmp_path / name, SIGNAL_MV), settings=settings).signal_mv,
        SIGNAL_MV,
        atol=1e-6,
    )
    scaled = table(tmp_path / name, SIGNAL_MV * 1000, unit="uV")
    np.testing.assert_allclose(
        any_record(scaled, settings=settings).signal_mv, SIGNAL_MV, atol=1e-6
    )


BAD_TABLES: dict[str, tuple[Callable[[Path], object], Reason]] = {
    "no sidecar": (lambda p: p.with_suffix(".json").unlink(), Reason.UNREADABLE),
    "a sidecar without a rate": (
        lambda p: p.with_suffix(".json").write_text('{"unit": "mV", "leads": []}'),
        Reason.UNREADABLE,
    ),
    "a sidecar that is no object": (
        lambda p: p.with_suffix(".json").write_text("[1]"),
        Reason.UNREADABLE,
    ),
    "text": (lambda p: p.write_text("I,II\na,b\n"), Reason.UNREADABLE),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-3]), Reason.WRONG_LENGTH),
    "three leads": (lambda p: np.savetxt(p, SIGNAL_MV[:3].T, delimiter=","), Reason.MISSING_LEAD),
    "empty": (lambda p: p.write_text(""), Reason.MISSING_LEAD),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_excluded(case: str, tmp_path: Path, settings: config.Ecg) -> None:
    path = table(tmp_path / "a.csv", SIGNAL_MV)
    spoil, reason = BAD_TABLES[case]
    spoil(path)
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert error.value.reason in (reason, Reason.UNREADABLE)


def test_a_table_may_begin_with_numbers_in_any_notation(
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    """Neither 1e-3 nor 1E-3 is a line of names."""
    for number_format in ("%.9f", "%.9e", "%.9E"):
        path = table(tmp_path / "a.csv", SIGNAL_MV)
        np.savetxt(path, SIGNAL_MV.T, delimiter=",", fmt=number_format)
        np.testing.assert_allclose(
            any_record(path, settings=settings).signal_mv,
            SIGNAL_MV,
            atol=1e-6,
        )


def test_a_table_may_have_one_row_per_lead(tmp_path: Path, settings: config.Ecg) -> None:
    for values in (SIGNAL_MV, SIGNAL_MV.T):
        path = table(tmp_path / "a.npy", values)
        np.testing.assert_allclose(
            any_record(path, settings=settings).signal_mv,
            SIGNAL_MV,
            atol=1e-6,
        )


@pytest.mark.parametrize(
    ("spoil", "reason", "detail"),
    [
        (lambda p: p.with_suffix(".json").unlink(), Reason.UNREADABLE, SIDECAR),
        (
            lambda p: p.write_text("I,II\na,b\n"),
            Reason.UNREADABLE,
            "table: could not convert string to float: 'a'",
        ),
        (
            lambda p: np.savetxt(p, SIGNAL_MV[:3].T, delimiter=","),
            Reason.MISSING_LEAD,
            "a table of 5000x3 for 12 leads",
        ),
    ],
    ids=["no sidecar", "text", "three leads"],
)
def test_a_bad_table_says_what_is_wrong(
    spoil: Callable[[Path], object],
    reason: Reason,
    detail: str,
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    path = table(tmp_path / "a.csv", SIGNAL_MV)
    spoil(path)
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert error.value.reason is reason
    assert error.value.detail == detail


@pytest.mark.parametrize(
    "values",
    [SIGNAL_MV[None], SIGNAL_MV.astype(str), SIGNAL_MV.astype(complex)],
    ids=["three axes", "text", "complex"],
)
def test_an_array_that_is_no_table_of_numbers_is_refused(
    values: np.ndarray,
    tmp_path: Path,
    settings: config.Ecg,
) -> None:
    with pytest.raises(Excluded) as error:
        any_record(table(tmp_path / "a.npy", values), settings=settings)
    assert error.value.reason is Reason.MISSING_LEAD


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path, settings: config.Ecg) -> None:
    path = table(tmp_path / "a.npy", SIGNAL_MV)
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(Excluded) as error:
        any_record(path, settings=settings)
    assert error.value.detail.startswith("table: Object arrays cannot be loaded")


def test_a_file_larger_than_64_mib_is_not_read(tmp_path: Path, settings: config.Ecg) -> None:
    path = tmp_path / "a.csv"
    for size, detail in ((2**26 + 1, "larger than 64 MiB"), (2**26, SIDECAR)):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(Excluded) as error:
            any_record(path, settings=settings)
        assert error.value.reason is Reason.UNREADABLE
        assert error.value.detail == detail


@pytest.mark.parametrize(
    ("separator", "decimal"), [(";", ","), (";", "."), ("\t", ","), ("\t", ".")]
)
@pytest.mark.parametrize("named", [True, False])
def test_other_separators_and_decimal_commas(
    separator: str, decimal: str, named: bool, tmp_path: Path, settings: config.Ecg
) -> None:
    path = table(tmp_path / "a.csv", SIGNAL_MV)
    lines = [separator.join(f"{v:.6f}".replace(".", decimal) for v in row) for row in SIGNAL_MV.T]
    head = [separator.join(LEADS)] if named else []
    path.write_text("\n".join([*head, *lines]), encoding="utf-8-sig")
    np.testing.assert_allclose(any_record(path, settings=settings).signal_mv, SIGNAL_MV, atol=1e-6)
