"""Draw an ECG with a model's predictions, each in the distribution of the training participants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptacl import config
from ptacl.ecg import drawing
from ptacl.ecg.examine import examine
from ptacl.ecg.read import LEADS


def draw(
    path: Path,
    rows: Any,
    *,
    out_png: Path,
    phenotypes: Sequence[Mapping[str, Any]],
    settings: config.Ecg,
) -> None:
    """Draw one file with its predictions.

    rows : output of :meth:`ptacl.Model.predict`. phenotypes : those of the probe, with quantiles of
    the training split.
    """
    from matplotlib.figure import Figure

    examined = examine(path, settings=settings)
    figure = Figure(figsize=(15, 9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])  # type: ignore[misc]
    axes = left.subplots()
    drawing.draw_leads(axes, examined.arrays, names=LEADS, rate_hz=settings.rate_hz)
    axes.set_xlabel(drawing.NOTE)
    panels = right.subplots(len(phenotypes), 1)
    for panel, phenotype, row in zip(
        np.atleast_1d(panels), phenotypes, rows.itertuples(), strict=True
    ):
        _distribution(panel, phenotype, row)
    right.suptitle(
        "prediction (red) and interval in the distribution of the training people", fontsize=9
    )
    title = f"{examined.facts['heart_rate_bpm']:.0f} bpm"
    if rows["out_of_distribution"].any():
        title += "; outside the training distribution: do not trust the predictions"
    figure.suptitle(title)
    figure.savefig(out_png, dpi=80)


def _distribution(axes: Any, phenotype: Mapping[str, Any], row: Any) -> None:
    """Draw the density between quantiles, the prediction as a line, and its interval as a band."""
    quantiles = np.array(phenotype["distribution"])
    edges = np.linspace(quantiles[0], quantiles[-1], 25)
    density = np.diff(np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles))))
    axes.fill_between((edges[1:] + edges[:-1]) / 2, density, color="0.8")
    axes.axvspan(row.low, row.high, color="tab:red", alpha=0.15)
    axes.axvline(row.value, color="tab:red")
    axes.set_yticks([])
    axes.set_ylabel(row.phenotype, rotation=0, ha="right", va="center", fontsize=9)
    axes.set_title(
        f"{row.value:.4g} {row.unit}  ({row.low:.4g} to {row.high:.4g})",
        fontsize=8,
        loc="right",
        pad=1,
    )
    axes.tick_params(labelsize=7)
