import re
import shutil
import subprocess

import pandas as pd
import pytest
from tables import wide

from ptacl.report import cells, latex, paper, records, tables


@pytest.fixture(scope="module")
def texts(inputs, tmp_path_factory) -> dict[str, str]:
    """Both tables as the stage writes them."""
    folder = tmp_path_factory.mktemp("tables")
    paths = [folder / "new" / f"{name}.tex" for name in ("regression", "retrieval")]
    arguments = [
        "tables",
        "--regression",
        inputs / "regression.csv",
        "--retrieval",
        inputs / "retrieval.csv",
    ]
    arguments += [
        "--alignment",
        inputs / "alignment.json",
        "--summary",
        folder / "summary.md",
        "--out",
        *paths,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [str(word) for word in arguments])
        tables.main()
    return {path.stem: path.read_text(encoding="utf-8") for path in [*paths, folder / "summary.md"]}


def rows(text: str) -> list[str]:
    """Lines of the outer tabular that hold cells."""
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    return [line for line in body.splitlines() if line.endswith(r" \\")]


def width(row: str) -> int:
    """Columns that a row fills."""
    cells = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", row)
    spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", cells)]
    return len(re.findall(r"(?<!\\)&", cells)) + 1 + sum(spans)


@pytest.mark.parametrize(
    ("name", "columns", "lines"), [("regression", 15, 1 + 9), ("retrieval", 10, 1 + 55)]
)
def test_every_row_fills_every_column(texts, name, columns, lines):
    found = rows(texts[name])
    assert len(found) == lines
    assert {width(row) for row in found} == {columns}
    declared = re.search(r"\\begin\{tabular\}\{([lc]+)\}", texts[name]).group(1)
    assert len(declared) == columns


@pytest.mark.parametrize("name", ["regression", "retrieval"])
def test_groups_and_environments_are_balanced(texts, name):
    text = texts[name]
    opened = re.findall(r"\\begin\{(\w+\*?)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+\*?)\}", text))
    bare = re.sub(r"(?<!\\)\\[{}]", "", text)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count("$") % 2 == 0
    assert not re.search(r"\bnan\b", text) and text.isascii()


def test_numbers_are_those_of_the_csv(texts, inputs):
    table = wide(pd.read_csv(inputs / "regression.csv"))
    row = next(r for r in rows(texts["regression"]) if r.startswith("ECG & PTACL & LP"))
    ours = table[(table["method"] == "PTACL")].iloc[0]
    for name in [*paper.PHENOTYPES, "mean"]:
        value, low, high = (ours[f"{name}_R2{end}"] for end in ("", "_low", "_high"))
        assert re.search(
            rf"\\withinterval\{{(\\textbf\{{)?{value:.3f}\}}?\}}\{{{low:.2f}\}}\{{{high:.2f}\}}",
            row,
        ), name


def test_rows_of_the_paper_alone_are_left_out(texts):
    assert "Supervised" not in texts["regression"] and "SimCLR" not in texts["regression"]


def has_latex() -> bool:
    """Whether there is a LaTeX that knows booktabs."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode == 0


@pytest.mark.skipif(
    not has_latex(),
    reason="no LaTeX with booktabs here: install the package texlive-latex-recommended",
)
def test_latex_sets_both_tables_on_a_page_each(texts, tmp_path):
    for name in ("regression", "retrieval"):
        text = texts[name]
        (tmp_path / f"{name}.tex").write_text(text)
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "both.tex").write_text(
        head + r"\input{regression}\clearpage\input{retrieval}\end{document}"
    )
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "both"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Output written on both.pdf (2 pages" in run.stdout
    assert not re.search(r"Overfull|Float too large|undefined", run.stdout), run.stdout[-3000:]


def test_the_summary_holds_the_means_with_their_intervals(texts, inputs):
    probes = wide(pd.read_csv(inputs / "regression.csv"))
    ranks = wide(pd.read_csv(inputs / "retrieval.csv"))
    summary = texts["summary"].replace("\N{NO-BREAK SPACE}", " ")
    ours = probes[probes["method"] == "PTACL"].iloc[0]
    cells = [
        f"{ours['mean_R2']:.3f} [{ours['mean_R2_low']:.2f}, {ours['mean_R2_high']:.2f}]",
        f"p = {ours['mean_R2_p']:.2f}",
    ]
    line = next(line for line in summary.splitlines() if line.startswith("| ECG | PTACL | LP"))
    assert all(cell in line for cell in cells) and "Supervised" not in summary
    own = ranks[ranks["shown"] & (ranks["model"] == "ptacl_retrieval")].iloc[0]["own_MdR"]
    assert f"| {own:.1f} [" in summary and f"| {100 * own / 150:.1f} % |" in summary
    widths = [line.count("|") for line in summary.splitlines() if line.startswith("|")]
    assert sorted(set(widths)) == [8, 9, 10, 11] and "one seed" in summary


def test_a_difference_names_its_reference(inputs):
    table = records.read(inputs / "regression.csv")
    for column in ("method", "reference"):
        table[column] = table[column].replace("Global", "Other_method")
    text = tables.regression(records.records(table))
    assert r"{\tiny vs Other\_method}" in text
    assert r"{\tiny vs Global, whole ECG}" in text


def test_reserved_characters_are_escaped():
    assert latex.escape("a_b & 50 % {x} #1") == r"a\_b \& 50 \% \{x\} \#1"


def test_a_cell_without_an_interval_is_the_number_alone():
    nothing = float("nan")
    assert latex.cell(cells.Cell(0.5, nothing, nothing, None, 3, best=True)) == r"\textbf{0.500}"
    assert latex.cell(cells.Cell(nothing, nothing, nothing, 0.4, 3)) == "--"
