"""Show how the pipeline processes one ECG file, as JSON values and as a drawing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.ecg import faults, formats, read, rpeaks, sheet
from ptacl.ecg.denoise import denoise
from ptacl.exclusions import Excluded, Reason


@dataclass
class _Findings:
    """How far the preparation of a file came; fields of steps after an exclusion stay None."""

    header: read.Header
    cardiosoft: bool = True
    record: read.EcgRecord | None = None
    signal_mv: np.ndarray | None = None
    r_peaks: np.ndarray | None = None
    quality: dict[str, Any] = field(default_factory=dict)
    excluded: str | None = None


def describe(path: Path, *, settings: config.Ecg) -> dict[str, Any]:
    """Return facts about a file; `excluded` is null or the reason for the exclusion.

    Raises Excluded(UNREADABLE) if the file is not a readable ECG.
    """
    found = _examine(path, settings=settings)
    peaks = found.r_peaks if found.r_peaks is not None else np.zeros(0)
    return {
        "kind": "ecg",
        "format": "cardiosoft" if found.cardiosoft else path.suffix.lstrip(".").lower(),
        "leads": list(found.header.leads),
        "rate_hz": found.header.rate_hz,
        "num_samples": found.header.num_samples,
        "r_peaks_s": [round(float(peak) / settings.rate_hz, 4) for peak in peaks],
        "heart_rate_bpm": found.quality.get("heart_rate_bpm"),
        "quality": found.quality,
        "excluded": found.excluded,
    }


def draw(path: Path, out_png: Path, *, settings: config.Ecg) -> None:
    """Draw the twelve denoised leads with their R-peaks; if the file is excluded, the title gives
    the reason.
    """
    from matplotlib.figure import Figure

    found = _examine(path, settings=settings)
    figure = Figure(figsize=(14, 11), layout="constrained")
    axes = figure.subplots()
    if found.signal_mv is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no rhythm strip that can be drawn", ha="center", va="center")
    else:
        peaks = found.r_peaks if found.r_peaks is not None else np.zeros(0, np.int64)
        sheet.strip(
            axes,
            signal_mv=found.signal_mv,
            names=read.LEADS,
            r_peaks=peaks,
            rate_hz=settings.rate_hz,
        )
        axes.set_xlabel("time / s; blue bar 1 mV; red R-peaks")
    rate = found.quality.get("heart_rate_bpm")
    axes.set_title(
        f"excluded: {found.excluded}"
        if found.excluded
        else f"{rate:.0f} bpm, {found.quality['num_beats']} beats"
    )
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=100)


def _examine(path: Path, *, settings: config.Ecg) -> _Findings:
    """Run the steps of the preparation one by one, up to the one that excludes the file."""
    root = read.document(path) if formats.is_cardiosoft(path) else None
    found = _Findings(
        header=read.Header((), None, None) if root is None else read.header(root),
        cardiosoft=root is not None,
    )
    try:
        if root is None:
            record = formats.record(path, settings=settings)
            found.header = read.Header(record.leads, record.rate_hz, record.signal_mv.shape[1])
        else:
            record = read.record(root, settings=settings)
        found.record = record
        found.signal_mv = signal_mv = denoise(record.signal_mv, wavelet=settings.wavelet)
        found.r_peaks, found.quality = rpeaks.find(
            signal_mv,
            rate_hz=record.rate_hz,
            device_beats_ms=record.device_beats_ms,
            settings=settings.rpeaks,
        )
        found.quality["flags"] = faults.flags(
            found.quality,
            signal_mv=signal_mv,
            r_peaks=found.r_peaks,
            rate_hz=record.rate_hz,
            leads=record.leads,
            inside=record.participant,
            named=path.name.partition("_")[0],
        )
        rpeaks.check(found.quality, settings=settings.rpeaks)
    except Excluded as error:
        if error.reason is Reason.UNREADABLE and root is None:
            raise
        found.excluded = str(error)
    return found
