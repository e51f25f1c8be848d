"""Draw a contact sheet: one strip per record with its R-peaks, to review the detector's work at a
glance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptacl.ecg.read import LEADS

_SHOWN = ("II", "V2", "V5")
_HEIGHT = 1.25
_WIDTH = 14


@dataclass(frozen=True, eq=False)
class Panel:
    """One record: signal_mv (12, T) denoised, and r_peaks as sample indices."""

    title: str
    signal_mv: np.ndarray
    r_peaks: np.ndarray
    rate_hz: int


def draw(panels: Sequence[Panel], *, out_png: Path) -> None:
    """Draw leads II, V2 and V5 of each record below one another; an empty page says so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, max(len(panels), 1) * _HEIGHT), layout="constrained")
    if not panels:
        figure.text(0.5, 0.5, "no usable record", ha="center", va="center")
    rows: list[Any] = (
        list(figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]) if panels else []
    )
    for axes, panel in zip(rows, panels, strict=True):
        signal_mv = panel.signal_mv[[LEADS.index(lead) for lead in _SHOWN]]
        strip(axes, signal_mv=signal_mv, names=_SHOWN, r_peaks=panel.r_peaks, rate_hz=panel.rate_hz)
        axes.set_title(panel.title, fontsize=7, loc="left", pad=2)
    figure.supxlabel("time / s; blue bar 1 mV; red R-peaks", fontsize=7)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, dpi=90)


def strip(
    axes: Any, *, signal_mv: np.ndarray, names: Sequence[str], r_peaks: np.ndarray, rate_hz: int
) -> None:
    """Draw leads (L, T) below one another on one pair of axes, with a line at each R-peak and a bar
    of 1 mV.
    """
    time_s = np.arange(signal_mv.shape[-1]) / rate_hz
    low, high = signal_mv.min(axis=-1), signal_mv.max(axis=-1)
    offset = 0.0
    for lead_mv, name, below, above in zip(signal_mv, names, low, high, strict=True):
        offset -= above
        axes.plot(time_s, lead_mv + offset, color="black", linewidth=0.5)
        axes.text(-0.05, offset, name, ha="right", va="center", fontsize=7)
        offset += below
    axes.vlines(r_peaks / rate_hz, offset, 0, color="tab:red", linewidth=0.8, alpha=0.6)
    axes.plot(
        [time_s[-1] + 0.05] * 2,
        [offset / 2 - 0.5, offset / 2 + 0.5],
        color="tab:blue",
        linewidth=2,
        solid_capstyle="butt",
    )
    axes.set(xlim=(-0.3, time_s[-1] + 0.15), yticks=[])
    axes.tick_params(labelsize=7)
    axes.spines[["left", "right", "top"]].set_visible(False)
