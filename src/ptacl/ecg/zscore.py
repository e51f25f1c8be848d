"""Standardise an ECG: the mean and standard deviation of each lead of a record.

Stores hold millivolts. The z-score is applied when a batch is made, and a model folder records the
z-score of its training.

Shape letters: N records, L leads, S samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Over = Literal["lead", "group", "sample", "cohort"]

_GROUPS = {
    "lead": [slice(i, i + 1) for i in range(12)],
    "group": [slice(0, 3), slice(3, 6), slice(6, 12)],  # I to III, aVR to aVF, V1 to V6
    "sample": [slice(0, 12)],
}
_LEAST_SD_MV = 1e-6  # a flat lead becomes zero, not infinite


@dataclass(frozen=True)
class Zscore:
    """The samples over which a record is standardised.

    Parameters
    ----------
    over : each lead, each group of leads, the whole record (which keeps the ratios of leads and
        loses voltages), or the cohort (one mean and standard deviation for all records, which keeps
        voltages).
    mean_mv, sd_mv : mean and standard deviation of the training records, in mV; only for `cohort`.
    """

    over: Over
    mean_mv: float | None = None
    sd_mv: float | None = None


def of_cohort(signals: Iterable[NDArray[np.float32]]) -> Zscore:
    """Compute the z-score over all samples of all leads of these records.

    signals : records (L, S) in mV. Raises ValueError without any record.
    """
    count, total, squares = 0, 0.0, 0.0
    for signal_LS in signals:
        count += signal_LS.size
        total += float(signal_LS.sum(dtype=np.float64))
        squares += float(np.square(signal_LS, dtype=np.float64).sum())
    if not count:
        raise ValueError(
            "there is no training ECG, which encoders.zscore: cohort needs; use more "
            "participants or zscore: sample"
        )
    mean = total / count
    variance = max(squares / count - mean**2, 0.0)
    return Zscore("cohort", mean, max(variance**0.5, _LEAST_SD_MV))


def statistics(signal_LS: NDArray[np.float32], zscore: Zscore) -> NDArray[np.float32]:
    """Compute the mean and standard deviation of each lead in mV: (2, L) float32.

    Parameters
    ----------
    signal_LS : a whole record of 12 leads, mV.
    zscore : samples over which to standardise; `cohort` brings its own mean and standard deviation.
    """
    found = np.empty((2, len(signal_LS)), np.float32)
    if zscore.over == "cohort":
        assert zscore.mean_mv is not None
        assert zscore.sd_mv is not None
        found[0] = zscore.mean_mv
        found[1] = zscore.sd_mv
        return found
    for leads in _GROUPS[zscore.over]:
        part = signal_LS[leads]
        mean = part.mean(dtype=np.float64)
        found[0, leads] = mean
        found[1, leads] = max((part - np.float32(mean)).std(dtype=np.float64), _LEAST_SD_MV)
    return found
