import re

import pandas as pd
import pytest

from ptacl.report import comparison, paper, tables


@pytest.fixture(scope="module")
def texts(inputs, tmp_path_factory) -> dict[str, str]:
    """Both tables as the stage writes them."""
    folder = tmp_path_factory.mktemp("tables")
    paths = [folder / "new" / f"{name}.tex" for name in ("regression", "retrieval")]
    arguments = ["tables", "--regression", inputs / "regression.csv", "--retrieval", inputs / "retrieval.csv", "--out", *paths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [str(word) for word in arguments])
        tables.main()
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def rows(text: str) -> list[str]:
    """Lines of the outer tabular that hold cells."""
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    return [line for line in body.splitlines() if line.endswith(r" \\")]


def width(row: str) -> int:
    """Columns that a row fills."""
    cells = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", row)
    spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", cells)]
    return len(re.findall(r"(?<!\\)&", cells)) + 1 + sum(spans)


@pytest.mark.parametrize(("name", "columns", "lines"), [("regression", 15, 1 + 16), ("retrieval", 10, 1 + 33)])
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
    table = pd.read_csv(inputs / "regression.csv")
    row = next(r for r in rows(texts["regression"]) if r.startswith("ECG & PTACL & LP"))
    ours = table[(table["method"] == "PTACL")].iloc[0]
    for name in [*paper.PHENOTYPES, "mean"]:
        value, low, high = (ours[f"{name}_R2{end}"] for end in ("", "_low", "_high"))
        assert re.search(rf"\\withinterval\{{(\\textbf\{{)?{value:.3f}\}}?\}}\{{{low:.2f}\}}\{{{high:.2f}\}}", row), name


def test_rows_still_to_come_say_so_and_hold_no_number_of_the_paper(texts):
    text = texts["regression"]
    assert text.count(r"\emph{to come}") == 10
    supervised = next(r for r in rows(text) if r.startswith("ECG & Supervised"))
    assert not re.search(r"0\.\d", supervised)


def test_the_caption_names_the_reference(inputs):
    table = pd.read_csv(inputs / "regression.csv")
    table["method"] = table["method"].replace("Global", "Other_method")
    assert r"difference of the mean from Other\_method" in tables.regression(table)


def test_reserved_characters_are_escaped():
    assert tables.escape("a_b & 50 % {x} #1") == r"a\_b \& 50 \% \{x\} \#1"


def test_a_cell_without_an_interval_is_the_number_alone():
    nothing = float("nan")
    assert tables.cell(comparison.Cell(0.5, nothing, nothing, None, 3, best=True)) == r"\textbf{0.500}"
    assert tables.cell(comparison.Cell(nothing, nothing, nothing, 0.4, 3)) == "--"
