import numpy as np
import pytest

from ptacl.ecg import zscore
from ptacl.ecg.zscore import Zscore


def standardised(signal_mv: np.ndarray, over: Zscore) -> np.ndarray:
    mean, sd = zscore.statistics(signal_mv, over)
    return (signal_mv - mean[:, None]) / sd[:, None]


@pytest.fixture
def record() -> np.ndarray:
    """Leads of different voltage and offset."""
    noise = np.random.default_rng(0).normal(2, 3, (12, 500))
    return (noise * np.arange(1, 13)[:, None]).astype(np.float32)


@pytest.mark.parametrize(
    ("over", "groups"),
    [
        ("lead", [[i] for i in range(12)]),
        ("group", [range(3), range(3, 6), range(6, 12)]),
        ("sample", [range(12)]),
    ],
)
def test_each_group_is_standardised_on_its_own(over, groups, record):
    found = standardised(record, Zscore(over))
    for group in groups:
        part = found[list(group)]
        assert abs(part.mean()) < 1e-5
        assert part.std() == pytest.approx(1, abs=1e-5)
    ratio = found[1].std() / found[0].std()
    assert np.isclose(ratio, 1) == (over == "lead")


def test_a_flat_record_becomes_zero():
    flat = np.ones((12, 50), np.float32)
    for over in ("lead", "group", "sample"):
        assert not standardised(flat, Zscore(over)).any()


def test_only_the_cohort_keeps_voltages(record):
    """A record of twice the voltage looks the same to the z-score of a record, and not to that of
    the cohort.
    """
    of_record = Zscore("sample")
    assert np.allclose(
        standardised(record, of_record), standardised(2 * record, of_record), atol=1e-5
    )
    of_cohort = zscore.of_cohort([record, 2 * record])
    one, two = (standardised(signal, of_cohort).std() for signal in (record, 2 * record))
    assert two == pytest.approx(2 * one, rel=1e-5)


def test_the_cohort_is_standardised_as_a_whole(record):
    signals = [record, 3 * record + 1, -record]
    found = zscore.of_cohort(iter(signals))
    together = np.stack(signals).astype(np.float64)
    assert found.mean_mv == pytest.approx(together.mean(), rel=1e-6)
    assert found.sd_mv == pytest.approx(together.std(), rel=1e-6)
    with pytest.raises(ValueError, match="no training ECG"):
        zscore.of_cohort([])
