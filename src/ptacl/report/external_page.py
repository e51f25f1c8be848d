"""Write the page of a frozen model on another cohort."""

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from ptacl.evaluation.summary import stated
from ptacl.report import cells, figures, risk_figures, templates

_HOME = ("home", "home_low", "home_high")


def render(
    table: pd.DataFrame,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    model: str,
    modality: str,
    num: int,
    reasons: Mapping[str, int | str],
    confidence: float,
) -> str:
    """Return the page as text.

    Parameters
    ----------
    table : DataFrame
        As :func:`ptacl.external.evaluate` returns it.
    curves : mapping
        Mean predicted and observed values by tenth of the predicted one, by phenotype or disease.
    model, modality : str
        Name of the model, and input.
    num : int
        Participants.
    reasons : mapping
        Number of files that could not be used, by reason.
    confidence : float
        Coverage of the intervals.
    """
    targets = [name for name in dict.fromkeys(table["target"]) if name]
    outside = table[table["statistic"] == "out_of_distribution"].iloc[0]
    return (
        templates.environment()
        .get_template("external.html")
        .render(
            style=templates.style(),
            title=f"{model} on another cohort",
            model=model,
            modality=modality,
            num=num,
            reasons=reasons,
            confidence=f"{100 * confidence:g}",
            outside=cells.number(100 * outside["value"], digits=1),
            outside_ends=[cells.number(100 * outside[name], digits=1) for name in ("low", "high")],
            rows=[_row(line) for line in table[table["target"] != ""].to_dict("records")],
            panels=_panels(table),
            curves=[_curve(name, curves[name]) for name in targets if name in curves],
        )
    )


def _row(line: Mapping[Hashable, object]) -> dict[str, object]:
    """Return what a line of the table shows."""
    here, home = (
        stated(float(str(line[name])) for name in names)
        for names in (("value", "low", "high"), _HOME)
    )
    return {
        "target": line["target"],
        "statistic": "R²" if line["statistic"] == "R2" else line["statistic"],
        "n": line["n"],
        "cases": _count(line["cases"]),
        "here": cells.cell(here, reference=None, digits=3),
        "home": cells.cell(home, reference=None, digits=3),
    }


def _count(value: object) -> str:
    """Format a count, which can be hidden (a text) or missing (NaN)."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if isinstance(value, float | int) and math.isfinite(value) else ""


def _panels(table: pd.DataFrame) -> list[str]:
    """Draw the main statistics: R² of phenotypes, and AUROC and C of diseases."""
    panels = []
    for title, statistics in (("R²", ["R2"]), ("AUROC and C", ["AUROC", "C"])):
        lines = table[table["statistic"].isin(statistics)]
        marks = []
        for line in lines.to_dict("records"):
            cell = cells.Cell(line["value"], line["low"], line["high"], line["home"], 3)
            marks.append(figures.Mark(line["target"], "ecg", cell))
        if marks:
            limits = figures.shared_range(
                [mark.cell for mark in marks],
                floor=-0.5 if title == "R²" else 0.3,
                include=[0.0, 0.1] if title == "R²" else [0.5],
            )
            panels.append(figures.dot_plot(marks, title=title, limits=limits, dashed=None))
    return panels


def _curve(name: str, tenths: Sequence[tuple[float, float]]) -> str:
    is_risk = " within " in name or name.endswith("at the visit")
    title = f"{name}: observed by predicted"
    return risk_figures.calibration(tenths, title=title, percent=is_risk)
