"""Format numbers and tables as LaTeX.

The files need the packages booktabs and graphicx. A table larger than the page is scaled down to
fit.
"""

import re
from collections.abc import Sequence

from ptacl.report import cells

_PREAMBLE = r"""% Written by ptacl.report.tables; needs \usepackage{booktabs,graphicx}.
\providecommand{\withinterval}[3]{%
  \begin{tabular}[c]{@{}c@{}}#1\\[-0.5ex]{\tiny [#2, #3]}\end{tabular}}
\providecommand{\fitpage}[1]{\sbox0{#1}%
  \ifdim\wd0>\textwidth\sbox0{\resizebox{\textwidth}{!}{\usebox0}}\fi
  \ifdim\dimexpr\ht0+\dp0\relax>.85\textheight\sbox0{\resizebox*{!}{.85\textheight}{\usebox0}}\fi
  \usebox0}
"""
_SPECIAL = re.compile(r"([&%$#_{}])")


def escape(text: str) -> str:
    """Escape the characters that LaTeX reserves."""
    return _SPECIAL.sub(r"\\\1", text).replace("²", "$^2$").replace("\N{MINUS SIGN}", "$-$")


def cell(value: cells.Cell) -> str:
    """Format a number with its interval, in bold if it is the best; an en dash if it is missing."""
    if not value.measured:
        return "--"
    text = escape(value.text)
    text = rf"\textbf{{{text}}}" if value.best else text
    if value.bounds is None:
        return text
    low, high = map(escape, value.bounds)
    return rf"\withinterval{{{text}}}{{{low}}}{{{high}}}"


def document(
    head: Sequence[str], body: Sequence[str], *, columns: str, caption: str, label: str
) -> str:
    """Return a table that floats over the width of the page."""
    lines = [
        _PREAMBLE + r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}\label{{{label}}}",
        r"\fitpage{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def difference(row: cells.MethodRow) -> str:
    """Format the difference of a row from its reference, with p."""
    if row.difference is None or not row.difference.measured:
        return "--"
    p = rf"{{\tiny $p {cells.probability(row.p)}$}}"
    lines = [cell(row.difference), p]
    if row.reference:
        lines.append(rf"{{\tiny vs {escape(row.reference)}}}")
    return r"\begin{tabular}[c]{@{}c@{}}" + r"\\".join(lines) + r"\end{tabular}"
