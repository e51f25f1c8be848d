"""Stage: examine the cines of one shard, and write the usable ones to a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config, contact_sheet, preparation, stage, store
from ptacl.cmr import drawing
from ptacl.cmr.examine import ExaminedCine, examine
from ptacl.preparation import Examined


class CmrPreparation(preparation.Modality[config.Cmr]):
    """The preparation of short-axis cines."""

    name = "cmr"
    files = ("cmr", "segmentation")
    unit = "cine"
    settings = config.Cmr
    sheet = contact_sheet.Layout(
        number=24, columns=6, panel_inches=(2.6, 1.6), empty="no usable cine"
    )

    def examine(self, paths: Mapping[str, str], settings: config.Cmr) -> ExaminedCine:
        """Examine the file or folder in `cmr`, with the `segmentation` if there is one."""
        segmentation = paths.get("segmentation")
        return examine(
            Path(paths["cmr"]),
            segmentation=Path(segmentation) if segmentation else None,
            settings=settings,
        )

    def arrays(self, settings: config.Cmr) -> dict[str, store.Array]:
        """Return the arrays of a store: the cropped frames and end-systole."""
        return {
            "frames": store.Array(
                dims=("frame", "row", "column"),
                shape=(settings.frames, settings.size, settings.size),
                dtype="uint8",
                unit="1/255 of the range",
            ),
            "systole": store.Array(dims=(), shape=(), dtype="int32", unit="frame of end-systole"),
        }

    def doubt(self, facts: Mapping[str, Any]) -> float:
        """Return the number of flags."""
        return len(facts["flags"])

    def caption(self, facts: Mapping[str, Any]) -> str:
        """Return the source of the place of the crop."""
        return str(facts["crop"]["source"])

    def draw_panel(self, axes: Any, arrays: Mapping[str, np.ndarray], settings: config.Cmr) -> None:
        """Draw the crop at end-diastole and at end-systole."""
        drawing.draw_panel(axes, arrays)

    def draw(self, examined: Examined, out_png: Path, settings: config.Cmr) -> None:
        """Draw the middle slice with the crop window, the crop, and one row of it over time."""
        assert isinstance(examined, ExaminedCine)
        drawing.draw(examined, out_png, size=settings.size)


CMR = CmrPreparation()


def main() -> None:
    """Prepare one shard from the command line."""
    preparation.run(CMR)


if __name__ == "__main__":
    stage.run(main)
