"""Records to judge the quality of: a synthetic one and real ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from recordings import beat_times, counts, synthetic_mv, wfdb_counts

GOOD = np.stack(list(counts(synthetic_mv(beat_times(60), noise_mv=0.02)).values()))


def real(real_data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and (12, 5000) millivolts of LUDB and the challenge of 2021."""
    for path in sorted((real_data / "ecg" / "ludb").rglob("*.hea")):
        yield f"ludb {path.stem}", wfdb_counts(path) / 1000
    for path in sorted((real_data / "ecg" / "cinc2021").glob("*.mat")):
        yield path.stem, np.frombuffer(path.read_bytes()[24:], "<i2").reshape(-1, 12).T / 1000
