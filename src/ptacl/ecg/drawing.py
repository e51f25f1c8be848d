"""Draw ECGs: leads below one another, with their R-peaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptacl.ecg.read import LEADS
from ptacl.preparation import Examined

NOTE = "time / s; blue bar 1 mV; red R-peaks"
_SHOWN = ("II", "V2", "V5")


def draw(examined: Examined, out_png: Path, *, rate_hz: int) -> None:
    """Draw the twelve denoised leads with their R-peaks; the title of an excluded record gives the
    reason.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 11), layout="constrained")
    axes = figure.subplots()
    if examined.arrays:
        draw_leads(axes, examined.arrays, names=LEADS, rate_hz=rate_hz)
        axes.set_xlabel(NOTE)
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no rhythm strip that can be drawn", ha="center", va="center")
    if examined.excluded:
        axes.set_title(f"excluded: {examined.excluded}")
    else:
        facts = examined.facts
        axes.set_title(f"{facts['heart_rate_bpm']:.0f} bpm, {facts['num_beats']} beats")
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=100)


def draw_panel(axes: Any, arrays: Mapping[str, np.ndarray], *, rate_hz: int) -> None:
    """Draw leads II, V2 and V5 of a stored record."""
    draw_leads(axes, arrays, names=_SHOWN, rate_hz=rate_hz)
    axes.tick_params(labelsize=7)


def draw_leads(
    axes: Any, arrays: Mapping[str, np.ndarray], *, names: Sequence[str], rate_hz: int
) -> None:
    """Draw some leads of a stored record, with a line at each R-peak and a bar of 1 mV.

    arrays : `signal_mv` (12, T), and `r_peaks`, sample indices padded with -1.
    """
    signal_mv = arrays["signal_mv"][[LEADS.index(name) for name in names]]
    r_peaks = arrays["r_peaks"]
    time_s = np.arange(signal_mv.shape[-1]) / rate_hz
    offset = 0.0
    for lead_mv, name in zip(signal_mv, names, strict=True):
        offset -= lead_mv.max()
        axes.plot(time_s, lead_mv + offset, color="black", linewidth=0.5)
        axes.text(-0.05, offset, name, ha="right", va="center", fontsize=7)
        offset += lead_mv.min()
    peaks_s = r_peaks[r_peaks >= 0] / rate_hz
    axes.vlines(peaks_s, offset, 0, color="tab:red", linewidth=0.8, alpha=0.6)
    axes.plot(
        [time_s[-1] + 0.05] * 2,
        [offset / 2 - 0.5, offset / 2 + 0.5],
        color="tab:blue",
        linewidth=2,
        solid_capstyle="butt",
    )
    axes.set(xlim=(-0.3, time_s[-1] + 0.15), yticks=[])
    axes.spines[["left", "right", "top"]].set_visible(False)
