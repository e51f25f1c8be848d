"""Numbers of a report: how they are rounded, written and marked."""

import math
from dataclasses import dataclass

from ptacl.evaluation.summary import Summary


@dataclass(frozen=True)
class Cell:
    """A number with its interval, the paper's number, and whether it is the best of its column.

    Missing numbers and intervals are NaN; a missing number of the paper is None.
    """

    value: float
    low: float
    high: float
    paper: float | None
    digits: int
    best: bool = False
    interval_digits: int = 2

    @property
    def measured(self) -> bool:
        """Whether this run has the number."""
        return math.isfinite(self.value)

    @property
    def text(self) -> str:
        """The number, or an en dash."""
        return number(self.value, digits=self.digits) if self.measured else "\N{EN DASH}"

    @property
    def bounds(self) -> tuple[str, str] | None:
        """Both ends of the interval, None if it is missing.

        They get more digits if rounding would hide a sign.
        """
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return None
        return ends(self.low, self.high, digits=self.interval_digits)

    @property
    def interval(self) -> str:
        """The interval as text, empty if it is missing."""
        return span(*self.bounds) if self.bounds else ""

    @property
    def paper_text(self) -> str:
        """The paper's number as text, empty if it is missing."""
        return "" if self.paper is None else number(self.paper, digits=self.digits)


@dataclass(frozen=True)
class MethodRow:
    """A row of a table: its cells, and how much its mean differs from that of `reference`."""

    group: str
    method: str
    evaluation: str
    cells: tuple[Cell, ...]
    difference: Cell | None = None
    p: float = math.nan
    note: str = ""
    reference: str = ""

    @property
    def measured(self) -> bool:
        """Whether this run has the row; otherwise only the paper has it."""
        return any(cell.measured for cell in self.cells)

    @property
    def p_text(self) -> str:
        """The p value as text, empty if it is missing."""
        return (
            ""
            if math.isnan(self.p)
            else f"p {probability(self.p)}".replace(" ", "\N{NO-BREAK SPACE}")
        )


def number(value: float, *, digits: int) -> str:
    """Format a number with a true minus sign, and without a sign before zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def ends(low: float, high: float, *, digits: int = 2) -> tuple[str, str]:
    """Both ends of an interval as text, each with as many digits as its sign needs."""
    return _signed(low, digits=digits), _signed(high, digits=digits)


def _signed(value: float, *, digits: int) -> str:
    """A number that looks like zero only if it is zero, or has no digit among the first five."""
    if value and not round(value, digits) and digits < 5:
        return _signed(value, digits=digits + 1)
    return number(value, digits=digits)


def span(low: str, high: str) -> str:
    """Format an interval."""
    return f"[{low}, {high}]".replace(" ", "\N{NO-BREAK SPACE}")


def probability(p: float) -> str:
    """Format a p value with an equals sign: three decimals below 0.01, two from there on."""
    return f"= {p:.3f}" if p < 0.01 else f"= {p:.2f}"


def cell(found: Summary, *, reference: float | None, digits: int) -> Cell:
    """Return a number; its interval has one decimal less, but at least one."""
    ends_digits = max(1, digits - 1)
    return Cell(found.value, found.low, found.high, reference, digits, interval_digits=ends_digits)


def difference(found: Summary) -> Cell:
    """Return a difference; its interval has as many decimals as the number.

    Readers check whether the interval excludes zero, so its ends must be precise.
    """
    return Cell(found.value, found.low, found.high, None, 3, interval_digits=3)
