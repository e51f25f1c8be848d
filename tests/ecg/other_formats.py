"""One ECG in other formats than CardioSoft's."""

import json
from pathlib import Path

import edfio
import numpy as np
from recordings import beat_times, synthetic_mv

from ptacl.ecg.read import LEADS

SIGNAL_MV = np.round(synthetic_mv(beat_times(60)), 4)


def edf(path: Path, *, rate_hz: int = 500, leads: tuple[str, ...] = LEADS) -> Path:
    grid = np.arange(10 * rate_hz) / rate_hz
    rows = [np.interp(grid, np.arange(5000) / 500, SIGNAL_MV[LEADS.index(lead)]) for lead in leads]
    signals = [
        edfio.EdfSignal(row, rate_hz, label=lead, physical_dimension="mV", physical_range=(-5, 5))
        for row, lead in zip(rows, leads, strict=True)
    ]
    edfio.Edf(signals).write(path)
    return path


def table(path: Path, values: np.ndarray, **facts: object) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        np.savetxt(path, values.T, delimiter=",", header=",".join(LEADS), comments="")
    path.with_suffix(".json").write_text(
        json.dumps({"rate_hz": 500, "unit": "mV", "leads": LEADS} | facts)
    )
    return path


EXAMPLE = '{"rate_hz": 500, "unit": "mV", "leads": ["I", ...]}'
SIDECAR = f"a table needs a file of the same name with .json: {EXAMPLE}"
