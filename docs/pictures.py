"""The pictures of README.md, from a finished run: `python docs/pictures.py results`. Needs
Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

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


def main(results: Path) -> None:
    """Write both."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        screenshot(results / "report.html", shot)
        small(shot, OUT / "report.png")
    small(results / "figures" / "alignment.png", OUT / "alignment.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
