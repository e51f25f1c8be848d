"""Write both tables as LaTeX, and a summary of all results as Markdown.

Each number has its interval, and the best of each column is bold. Bold marks the best value and
does not imply a significant difference; the last column has the paired test. The LaTeX files need
the packages booktabs and graphicx. A table larger than the page is scaled down to fit.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ptacl import stage
from ptacl.evaluation.summary import MEAN
from ptacl.report import cells, comparison, latex, records
from ptacl.report.records import Record


def regression(found: Sequence[Record]) -> str:
    """Return Table 2 as LaTeX."""
    names = records.phenotypes(found)
    head = ["Input", "Method", "Eval", *map(latex.escape, names), "Mean", r"$\Delta$ mean"]
    body = []
    measured = [row for row in comparison.regression(found) if row.measured]
    for _, group in groupby(measured, key=lambda row: row.group):
        body.append(r"\midrule")
        for row in group:
            mean, *cells = row.cells
            fixed = [row.group, latex.escape(row.method), row.evaluation]
            body.append(
                " & ".join(
                    [*fixed, *map(latex.cell, cells), latex.cell(mean), latex.difference(row)]
                )
                + r" \\"
            )
    caption = (
        rf"$R^2$ on {found[0].n_test:,} test participants with "
        rf"{_percent(found)}\,\% intervals. LP linear "
        r"probe, FN full fine-tuning, AP attention pooling. $\Delta$: difference of the mean from "
        r"that of the row named below it, with $p$ over the same draws. Bold: "
        r"largest value above zero within "
        r"each input, which does not imply a significant difference."
    )
    return latex.document(
        head, body, columns="lll" + "c" * (len(names) + 2), caption=caption, label="tab:regression"
    )


def retrieval(found: Sequence[Record]) -> str:
    """Return Table 1 as LaTeX, for the direction and gallery that the settings choose."""
    statistics = records.statistics(found)
    arrows = [r" $\uparrow$" if s.startswith("P@") else r" $\downarrow$" for s in statistics]
    head = [
        "Phenotype",
        "Method",
        *(s + arrow for s, arrow in zip(statistics, arrows, strict=True)),
        rf"$\Delta$ {comparison.decisive(found)}",
    ]
    body = []
    for phenotype, group in groupby(comparison.retrieval(found), key=lambda row: row.group):
        body.append(r"\midrule")
        for i, row in enumerate(group):
            first = (
                ""
                if i
                else latex.escape(phenotype.capitalize() if phenotype == MEAN else phenotype)
            )
            body.append(
                " & ".join(
                    [
                        first,
                        latex.escape(row.method),
                        *map(latex.cell, row.cells),
                        latex.difference(row),
                    ]
                )
                + r" \\"
            )
    gallery = found[0].gallery
    caption = (
        r"Retrieval of participants with a similar phenotype, ECG to CMR, "
        rf"{found[0].n_test:,} test participants, "
        rf"gallery {latex.escape(gallery)}, with {_percent(found)}\,\% intervals. MnR and MdR: "
        r"mean and median rank of the "
        rf"first match. $\Delta$: difference of {comparison.decisive(found)} from the "
        r"first method that sees the same part of the ECG, with $p$ over the same "
        r"draws. Intervals resample the queries and keep the gallery. Bold: best value, "
        r"which does not imply a "
        r"significant difference."
    )
    return latex.document(
        head,
        body,
        columns="ll" + "c" * (len(statistics) + 1),
        caption=caption,
        label="tab:retrieval",
    )


def markdown(
    regression: Sequence[Record], retrieval: Sequence[Record], *, alignment: Mapping[str, Any]
) -> str:
    """Return a summary to paste into a document, with intervals.

    It has the means over phenotypes of both tables, the ranks of the own partner, and the
    alignment.
    """
    probes = comparison.regression(regression)
    body = [
        [
            r.group,
            r.method,
            r.evaluation,
            _plain(r.cells[0]),
            _plain(r.difference),
            r.p_text,
            r.reference,
        ]
        for r in probes
        if r.measured
    ]
    parts = [
        f"{_seeds(regression)}; {regression[0].n_train:,} training and "
        f"{regression[0].n_test:,} test "
        f"participants; {_percent(regression)} % intervals.",
        _grid(["Input", "Method", "Eval", "Mean R²", "Δ", "p", "Δ vs"], body),
    ]
    statistics = records.statistics(retrieval)
    means = [r for r in comparison.retrieval(retrieval) if r.group == MEAN]
    gallery = retrieval[0].gallery
    body = [[r.method, *map(_plain, r.cells), _plain(r.difference), r.p_text] for r in means]
    head = ["Method", *statistics, f"Δ {comparison.decisive(retrieval)}", "p"]
    parts += [f"Retrieval, ECG to CMR, gallery {gallery}, mean over phenotypes:", _grid(head, body)]
    partners = comparison.own_partners(retrieval)
    head = ["Direction", "Method", "Median rank", "Share of the gallery", *partners[0].recalls]
    body = [
        [
            o.direction,
            o.method,
            _plain(o.rank),
            f"{100 * o.share:.1f} %",
            *map(_plain, o.recalls.values()),
        ]
        for o in partners
    ]
    parts += ["The query's own partner, in the whole gallery:", _grid(head, body)]
    head = [
        "Model",
        "Near the diagonal",
        "Other people's cines",
        "Δ others",
        "Still image",
        "Δ still",
        "Phases permuted",
    ]
    names = [
        "share",
        "other_share",
        "beyond_other_difference",
        "still_share",
        "beyond_still_difference",
        "permuted_share",
    ]
    if all("shift_correlation" in entry for entry in alignment["models"].values()):
        head.append("Correlation with the true shift")
        names.append("shift_correlation")
    body = []
    for entry in alignment["models"].values():
        body.append([entry["title"], *[_share(entry, name) for name in names]])
    parts += [
        f"Share of ECG phases within one phase of the diagonal (chance {alignment['chance']:.3f}):",
        _grid(head, body),
    ]
    return "\n\n".join(parts) + "\n"


def _grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def _plain(cell: cells.Cell | None) -> str:
    return f"{cell.text} {cell.interval}".strip() if cell is not None and cell.measured else ""


def _share(entry: Mapping[str, Any], name: str) -> str:
    if entry[name] is None:
        return ""
    digits = 3 if name.endswith("_difference") else 2
    cell = cells.Cell(
        entry[name], entry[f"{name}_low"], entry[f"{name}_high"], None, 3, interval_digits=digits
    )
    return _plain(cell)


def _seeds(found: Sequence[Record]) -> str:
    most = max(record.seeds for record in found)
    return "one seed" if most == 1 else f"up to {most} seeds per method"


def _percent(found: Sequence[Record]) -> str:
    return f"{100 * found[0].confidence:g}"


def main() -> None:
    """Write both tables and the summary."""
    parser = argparse.ArgumentParser(
        description="Write both tables as LaTeX, and a summary of all results as Markdown."
    )
    parser.add_argument("--regression", required=True, type=Path, help="regression.csv")
    parser.add_argument("--retrieval", required=True, type=Path, help="retrieval.csv")
    parser.add_argument("--alignment", required=True, type=Path, help="alignment.json")
    parser.add_argument("--summary", required=True, type=Path, help="summary to write (Markdown)")
    parser.add_argument(
        "--out",
        required=True,
        nargs=2,
        type=Path,
        metavar=("REGRESSION", "RETRIEVAL"),
        help="files to write",
    )
    args = parser.parse_args()
    probes = records.records(records.read(args.regression))
    ranks = records.records(records.read(args.retrieval))
    summary = markdown(probes, ranks, alignment=json.loads(args.alignment.read_text()))
    for path, text in zip(
        [*args.out, args.summary], [regression(probes), retrieval(ranks), summary], strict=True
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
