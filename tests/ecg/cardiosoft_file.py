"""A good CardioSoft file to change, and to write."""

from pathlib import Path

from recordings import beat_times, cardiosoft, counts, synthetic_mv

COUNTS = counts(synthetic_mv(beat_times(60), noise_mv=0.02))
TEXT = cardiosoft(COUNTS, beats_ms=[515, 1515])


def written(folder: Path, text: str, *, encoding: str = "latin-1") -> Path:
    path = folder / "9000001_20205_2_0.xml"
    path.write_bytes(text.encode(encoding))
    return path
