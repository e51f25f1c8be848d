"""Write the page of a frozen model on another cohort."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence

import pandas as pd

from ptacl.report import cells, figures, risk_figures, templates


def render(
    table: pd.DataFrame,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    model: str,
    modality: str,
    notes: Mapping[str, Mapping[str, int | str]],
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
    notes : mapping
        `reasons`: number of files that could not be used, by reason; `implausible`: number of
        values that were dropped, by phenotype. Small numbers are texts.
    confidence : float
        Coverage of the intervals.
    """
    targets = [name for name in dict.fromkeys(table["target"]) if name]
    outside = table[table["statistic"] == "out_of_distribution"].iloc[0]
    share = 100 * float(outside["value"])
    return (
        templates.environment()
        .get_template("external.html")
        .render(
            style=templates.style(),
            title=f"{model} on another cohort",
            model=model,
            modality=modality,
            num=int(outside["n"]),
            notes=notes,
            confidence=f"{100 * confidence:g}",
            outside=cells.number(share, digits=1) if math.isfinite(share) else "",
            few_outside=outside["cases"],
            outside_ends=[cells.number(100 * outside[name], digits=1) for name in ("low", "high")],
            tables=list(_tables(table[table["target"] != ""])),
            panels=_panels(table),
            curves=[_curve(name, curves[name]) for name in targets if name in curves],
        )
    )


def _tables(lines: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield one table for all targets with the same statistics, such as all phenotypes."""
    statistics = lines.groupby("target", sort=False)["statistic"].agg(tuple)
    for names in dict.fromkeys(statistics):
        rows = []
        for target in statistics.index[[found == names for found in statistics]]:
            of_target = lines[lines["target"] == target]
            numbers = [_cell(line) for line in of_target.to_dict("records")]
            first = of_target.iloc[0]
            rows.append((target, _count(first["n"]), _count(first["cases"]), numbers))
        shown = ["R²" if name == "R2" else name for name in names if name != "cases"]
        yield {"statistics": shown, "rows": rows, "cases": "R2" not in names}


def _cell(line: Mapping[Hashable, object]) -> cells.Cell:
    """Return a number, with that of the model's own cohort in the place of the paper's."""
    value, low, high, home = (float(str(line[name])) for name in ("value", "low", "high", "home"))
    return cells.Cell(value, low, high, home if math.isfinite(home) else None, 3)


def _count(value: object) -> str:
    """Format a count, which can be hidden (a text) or missing (None or NaN)."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    number = float(str(value))
    return f"{number:,.0f}" if math.isfinite(number) else ""


def _panels(table: pd.DataFrame) -> list[str]:
    """Draw the main statistics: R² of phenotypes, and AUROC and C of diseases."""
    panels = []
    for title, statistics in (("R²", ["R2"]), ("AUROC and C", ["AUROC", "C"])):
        lines = table[table["statistic"].isin(statistics)]
        marks = []
        for line in lines.to_dict("records"):
            marks.append(figures.Mark(str(line["target"]), "ecg", _cell(line)))
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
    return risk_figures.calibration(tenths, title=name, percent=is_risk)
