"""ECG preparation: this project against straightforward code, alternating on the same file.

The straightforward code uses the XML parser of the standard library, one `pywt.wavedec` and
`waverec` per lead, and `ecg_clean` and `ecg_peaks` of neurokit2 on lead II. It has no delineation
(PR, QRS, QT), so our code is measured both with and without it.
"""

import os
import sys
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import neurokit2
import numpy as np
import pywt
from common import Row, as_used, in_turns, of_processor

from ptacl import config
from ptacl.ecg.examine import examine

ROOT = Path(__file__).parents[1]
TURN = 20


def obvious(path: Path) -> np.ndarray:
    warnings.simplefilter("ignore")
    strip = ElementTree.parse(path).getroot().find("StripData")
    resolution_mv = float(strip.find("Resolution").text) / 1000
    leads = []
    for element in strip.findall("WaveformData"):
        lead_mv = np.array(element.text.split(","), dtype=int) * resolution_mv
        bands = pywt.wavedec(lead_mv, "db6", level=8)
        for band in (0, -2, -1):
            bands[band] = np.zeros_like(bands[band])
        leads.append(pywt.waverec(bands, "db6")[: len(lead_mv)])
    clean = neurokit2.ecg_clean(leads[1], sampling_rate=500)
    return neurokit2.ecg_peaks(clean, sampling_rate=500)[1]["ECG_R_Peaks"]


def again(way: Callable[[Path], object], path: Path) -> None:
    """Process several records in sequence, as a job does."""
    for _ in range(TURN):
        way(path)


def default_file(folder: Path) -> Path:
    """Return the real CardioSoft recording if it exists, otherwise a synthetic one."""
    real = (
        Path(os.environ.get("PTACL_REAL_DATA", ROOT.parent / "shared" / "data"))
        / "ecg"
        / "cardiosoft"
        / "example-XML1.xml"
    )
    if real.is_file():
        return real
    sys.path.insert(0, str(ROOT / "tests" / "ecg"))
    from recordings import beat_times, cardiosoft, counts, synthetic_mv

    path = folder / "synthetic.xml"
    path.write_text(
        cardiosoft(counts(synthetic_mv(beat_times(65), noise_mv=0.02))), encoding="latin-1"
    )
    return path


def rows(rounds: int) -> Iterator[Row]:
    settings = config.load(ROOT / "config.yaml").ecg
    alone = settings.model_copy(update={"delineation": "none"})
    with tempfile.TemporaryDirectory() as name:
        path = default_file(Path(name))
        for title, chosen, floor in (
            ("without delineation", alone, 3.0),
            ("with it", settings, None),
        ):
            with as_used(of_processor) as clocks:
                ways = [partial(again, way) for way in (partial(examine, settings=chosen), obvious)]
                ours, peer, ratio = in_turns(
                    *(partial(way, path) for way in ways), rounds=2 * rounds, clocks=clocks
                )
            yield Row(
                f"ECG preparation {title}, a record and core",
                1000 * ours / TURN,
                1000 * peer / TURN,
                "ms",
                ratio,
                floor,
            )
