"""The paper's numbers: copied once, so held by properties that a slip of the pen would break."""

import re
from pathlib import Path

import pytest

from ptacl.report import paper


def test_every_row_of_the_method_is_there():
    rows = [(r.input, r.method.split(" (")[0], r.evaluation) for r in paper.REGRESSION]
    assert rows == [
        ("CMR", "Random init", "LP"),
        ("CMR", "SimCLR", "LP"),
        ("CMR", "MAE", "LP"),
        ("CMR", "Supervised", "FN"),
        ("ECG", "Random init", "LP"),
        ("ECG", "SimCLR", "LP"),
        ("ECG", "MAE", "LP"),
        ("ECG", "Supervised", "FN"),
        ("ECG", "ECCL", "FN"),
        ("ECG", "CMAE", "LP"),
        ("ECG", "MMCL", "FN + AP"),
        ("ECG", "PTACL without single-modality pre-training", "LP"),
        ("ECG", "PTACL with CosSim++", "LP"),
        ("ECG", "Global", "LP"),
        ("ECG", "PTACL", "LP"),
        ("ECG", "PTACL", "FN + AP"),
    ]
    assert all(len(r.r2) == 10 for r in paper.REGRESSION)


def test_means_that_the_project_aims_at():
    means = {(r.input, r.method): r.mean for r in paper.REGRESSION if r.evaluation == "LP"}
    assert means["ECG", "MAE"] == pytest.approx(0.37, abs=0.005)
    assert means["CMR", "MAE"] == pytest.approx(0.69, abs=0.005)
    assert abs(means["ECG", "Random init"]) < 1e-3
    assert (
        next(r for r in paper.REGRESSION if r.method.startswith("MMCL")).mean is None
    )  # without LVCO


def test_precision_falls_with_k_and_ptacl_leads_at_one():
    for model in ("Global", "PTACL"):
        for row in paper.RETRIEVAL[model].values():
            assert list(row[:5]) == sorted(row[:5], reverse=True)
    for phenotype in paper.PHENOTYPES:
        assert paper.RETRIEVAL["PTACL"][phenotype][0] > paper.RETRIEVAL["Global"][phenotype][0]
    assert paper.retrieval("Random", phenotype="mean", statistic="P@1") == pytest.approx(
        0.2897, abs=1e-4
    )
    assert paper.retrieval("Random", phenotype="mean", statistic="MnR") is None
    assert paper.retrieval("unknown", phenotype="LVEF", statistic="P@1") is None


def test_numbers_are_those_of_the_text(root):
    """Every number, against the text of the paper, if it is next to the project."""
    text = root.parent / "shared" / "paper.txt"
    if not text.is_file():
        pytest.skip("no text of the paper next to the project")
    lines = [
        re.sub(r"\\mathbf|\\bf|\\boldsymbol|[{}$~\\]", " ", line)
        for line in Path(text).read_text().splitlines()
    ]
    regression = [line for line in lines if re.match(r"\s*(CMR|ECG)\s*\t", line)]
    assert len(regression) == len(paper.REGRESSION)
    for row, line in zip(paper.REGRESSION, regression, strict=True):
        scale = 1e-5 if "times 10" in line else 1
        found = [
            None if cell.strip() == "-" else float(cell) * scale for cell in line.split("\t")[3:]
        ]
        assert row.r2 == pytest.approx(found)
    retrieval = [line for line in lines if line.count(" / ") >= 7]
    assert len(retrieval) == len(paper.PHENOTYPES)
    for phenotype, line in zip(paper.PHENOTYPES, retrieval, strict=True):
        cells = [[float(n) for n in re.findall(r"\d+\.\d+", cell)] for cell in line.split("\t")[1:]]
        for i, model in enumerate(("Global", "PTACL", "Random")):
            assert paper.RETRIEVAL[model][phenotype] == tuple(
                cell[i] if i < len(cell) else None for cell in cells
            )
