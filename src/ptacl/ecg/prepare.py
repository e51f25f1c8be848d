"""Stage: examine the ECGs of one shard, and write the usable ones to a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config, contact_sheet, preparation, stage, store
from ptacl.ecg import drawing
from ptacl.ecg.examine import MAX_PEAKS, examine
from ptacl.ecg.read import LEADS
from ptacl.preparation import Examined


class EcgPreparation(preparation.Modality[config.Ecg]):
    """The preparation of ECGs."""

    name = "ecg"
    files = ("ecg",)
    unit = "ECG"
    settings = config.Ecg
    sheet = contact_sheet.Layout(
        number=12,
        columns=1,
        panel_inches=(14, 1.25),
        empty="no usable record",
        note=drawing.NOTE,
    )

    def examine(self, paths: Mapping[str, str], settings: config.Ecg) -> Examined:
        """Examine the file in `ecg`."""
        return examine(Path(paths["ecg"]), settings=settings)

    def arrays(self, settings: config.Ecg) -> dict[str, store.Array]:
        """Return the arrays of a store: the denoised signal and the R-peaks."""
        return {
            "signal_mv": store.Array(
                dims=("lead", "sample"),
                shape=(len(LEADS), settings.num_samples),
                dtype="float32",
                unit="mV",
            ),
            "r_peaks": store.Array(
                dims=("beat",), shape=(MAX_PEAKS,), dtype="int32", unit="sample"
            ),
        }

    def attributes(self, settings: config.Ecg) -> dict[str, Any]:
        """Return the attributes of a store: settings, lead names and sampling rate."""
        return {
            **super().attributes(settings),
            "leads": list(LEADS),
            "rate_hz": settings.rate_hz,
        }

    def doubt(self, facts: Mapping[str, Any]) -> float:
        """Return how little the beats resemble one another."""
        return 1 - float(facts["likeness"])

    def caption(self, facts: Mapping[str, Any]) -> str:
        """Return the rhythm and how far the R-peaks can be trusted."""
        rhythm = f"{facts['heart_rate_bpm']:.0f} bpm{', irregular' if facts['irregular'] else ''}"
        likeness, agreement = facts["likeness"], facts["agreement"]
        return f"{rhythm}   likeness {likeness:.2f}   agreement {agreement:.2f}"

    def draw_panel(self, axes: Any, arrays: Mapping[str, np.ndarray], settings: config.Ecg) -> None:
        """Draw three leads with their R-peaks."""
        drawing.draw_panel(axes, arrays, rate_hz=settings.rate_hz)

    def draw(self, examined: Examined, out_png: Path, settings: config.Ecg) -> None:
        """Draw the twelve leads with their R-peaks."""
        drawing.draw(examined, out_png, rate_hz=settings.rate_hz)


ECG = EcgPreparation()


def main() -> None:
    """Prepare one shard from the command line."""
    preparation.run(ECG)


if __name__ == "__main__":
    stage.run(main)
