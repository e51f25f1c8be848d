"""The pictures of README.md, from a finished run: `python docs/pictures.py results`. Needs
Chromium. `python docs/pictures.py` draws the one of docs/data.md, which needs no run.
"""

import datetime
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from ptacl.cmr import nifti
from ptacl.cohort.simulation import visit

OUT = Path(__file__).parent / "pictures"
WIDTH, HEIGHT, COLOURS = 1000, 760, 96  # together they keep both below 300 KiB


def screenshot(page: Path, target: Path) -> None:
    """The top of a page as a browser of 1,400 pixels shows it."""
    browser = next(
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    )
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--window-size=1400,1064",
        f"--screenshot={target}",
    ]
    subprocess.run([browser, *options, page.resolve().as_uri()], check=True, capture_output=True)


def small(source: Path, target: Path) -> None:
    """The picture at the width of a README, with few colours."""
    image = Image.open(source).convert("RGB")
    image.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def view(target: Path) -> None:
    """One simulated cine as files can store it, and turned to the view of the pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        day = datetime.date(2019, 5, 2)
        order = visit.Order("9000003", 2, 0, as_zip=False, defect=None, timing="default", day=day)
        visit.write(order, Path(folder))
        (path,) = Path(folder).rglob("sa.nii.gz")
        stored = nifti.read(path)
    slices = stored.slices
    row, column = (slice(22, -22) for _ in range(2))
    files = {
        "DICOM": slices,
        "rows reversed (dcm2niix)": [frames[:, ::-1] for frames in slices],
        "columns reversed": [frames[..., ::-1] for frames in slices],
        "exchanged": [frames.swapaxes(1, 2) for frames in slices],
    }
    figure, axes = plt.subplots(1, 5, figsize=(11, 2.6), width_ratios=[1, 1, 1, 1, 1.25])
    middle = len(slices) // 2
    for place, (title, shown) in zip(axes, files.items(), strict=False):
        place.imshow(shown[middle][0][row, column], cmap="gray")
        place.set_title(title, fontsize=8)
    place = axes[-1]
    place.imshow(stored.turned().slices[middle][0][row, column], cmap="gray")
    place.set_title("the view of the pipeline", fontsize=8)
    for x, y, text in (
        (0.5, 0.95, "front and head"),
        (0.5, 0.05, "feet"),
        (0.09, 0.5, "right"),
        (0.9, 0.5, "left\nand back"),
    ):
        where = {"ha": "center", "va": "center", "transform": place.transAxes}
        place.text(x, y, text, color="yellow", fontsize=7, **where)
    for place in axes:
        place.axis("off")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def main(results: Path | None) -> None:
    """Write the pictures."""
    OUT.mkdir(exist_ok=True)
    view(OUT / "view.png")
    if results is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        screenshot(results / "report.html", shot)
        small(shot, OUT / "report.png")
    small(results / "figures" / "alignment.png", OUT / "alignment.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
