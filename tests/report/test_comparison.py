import pandas as pd
import pytest
from tables import change, wide

from ptacl.report import cells, comparison, paper, records, verdict


@pytest.fixture(scope="module")
def regression(inputs) -> pd.DataFrame:
    return records.read(inputs / "regression.csv")


@pytest.fixture(scope="module")
def retrieval(inputs) -> pd.DataFrame:
    return records.read(inputs / "retrieval.csv")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.1234, 3, "0.123"),
        (-0.1234, 2, "\N{MINUS SIGN}0.12"),
        (-0.0004, 3, "0.000"),
        (-3.9e-4, 3, "0.000"),
        (2.96, 1, "3.0"),
    ],
)
def test_numbers_have_a_true_minus_and_none_before_zero(value, digits, text):
    assert cells.number(value, digits=digits) == text


def test_rows_still_to_come_keep_the_papers_numbers(regression):
    rows = comparison.regression(records.records(regression))
    of_paper = [(r.input, r.method, r.evaluation) for r in paper.REGRESSION]
    whole = [("Whole ECG", f"{name}, whole ECG", "LP") for name in ("MAE", "Global", "PTACL")]
    assert [(r.group, r.method, r.evaluation) for r in rows] == of_paper + whole
    measured = {(r.group, r.method) for r in rows if r.measured and r.group != "Whole ECG"}
    expected = {
        ("CMR", "Random init"),
        ("CMR", "MAE"),
        ("ECG", "Random init"),
        ("ECG", "MAE"),
        ("ECG", "Global"),
        ("ECG", "PTACL"),
    }
    assert measured == expected
    assert sum(not r.measured for r in rows) == 10
    supervised = next(r for r in rows if r.method == "Supervised" and r.group == "ECG")
    assert supervised.cells[1].text == "\N{EN DASH}" and supervised.cells[1].paper_text == "0.458"


def test_our_own_rows_come_after_those_of_the_paper(regression):
    ours = regression["method"] == "PTACL"
    more = regression.assign(
        method=regression["method"].mask(ours, "Age and sex"),
        paper=regression["paper"].mask(ours, float("nan")),
    )
    rows = comparison.regression(records.records(more))
    of_ecgs = [r for r in rows if r.group == "ECG"]
    assert [r.method for r in rows].count("Age and sex") == 1
    assert of_ecgs[-1].method == "Age and sex"
    assert of_ecgs[-1].cells[1].paper is None
    assert not next(r for r in rows if (r.method, r.evaluation) == ("PTACL", "LP")).measured


def test_the_best_of_each_input_is_marked(regression):
    rows = comparison.regression(records.records(regression))
    for group in ("CMR", "ECG", "Whole ECG"):
        of_group = [r for r in rows if r.group == group and r.measured]
        for c in range(11):
            best = max(of_group, key=lambda r: r.cells[c].value)
            assert best.cells[c].best
            assert {r.method for r in of_group if r.cells[c].best} == {
                r.method for r in of_group if r.cells[c].text == best.cells[c].text
            }


def test_ties_as_shown_are_both_best(regression):
    table = regression.copy()
    change(table, table["method"] == "PTACL", phenotype="LVEF", value=0.71234)
    change(table, table["method"] == "Global", phenotype="LVEF", value=0.71199)
    column = 1 + records.phenotypes(records.records(table)).index("LVEF")
    best = [
        r.method
        for r in comparison.regression(records.records(table))
        if r.group == "ECG" and r.cells[column].best
    ]
    assert best == ["Global", "PTACL"]


def test_rows_name_the_row_that_they_are_compared_with(regression):
    rows = comparison.regression(records.records(regression))
    of_whole = {r.method: r.reference for r in rows if r.group == "Whole ECG"}
    assert of_whole == {
        "MAE, whole ECG": "Global, whole ECG",
        "Global, whole ECG": "",
        "PTACL, whole ECG": "Global, whole ECG",
    }
    of_first = {r.method: r.reference for r in rows if r.group == "ECG" and r.measured}
    assert of_first == {"Random init": "Global", "MAE": "Global", "Global": "", "PTACL": "Global"}


def test_random_retrieval_is_never_best_and_ranks_are_best_low(retrieval):
    table = retrieval.copy()
    random = (table["model"] == "random") & (table["statistic"] == "P@1")
    table.loc[random, "value"] = 0.99
    rows = comparison.retrieval(records.records(table))
    assert len(rows) == 11 * 5 and rows[0].group == "mean"
    assert not any(cell.best for r in rows if r.method == "Random" for cell in r.cells)
    rank = records.statistics(records.records(table)).index("MnR")
    for start in range(0, len(rows), 5):
        methods = rows[start : start + 4]
        assert min(methods, key=lambda r: r.cells[rank].value).cells[rank].best


def test_the_other_gallery_has_other_numbers(retrieval):
    retrieval = records.records(retrieval)
    views = comparison.views(retrieval)
    assert [d for d, _ in views] == ["ECG to CMR"] * 2 + ["CMR to ECG"] * 2
    shown, other, turned, _ = (comparison.retrieval(retrieval, view) for view in views)
    assert turned[0].cells[0].value != shown[0].cells[0].value and turned[0].cells[0].paper is None
    assert shown[0].cells[0].value < other[0].cells[0].value  # the own CMR helps
    assert records.statistics(retrieval) == ["P@1", "P@3", "P@5", "P@10", "P@15", "MnR", "MdR"]


def test_intervals_are_written_the_same_everywhere():
    assert cells.span("0.40", "0.60") == "[0.40,\N{NO-BREAK SPACE}0.60]"


def test_nothing_below_zero_is_best(regression):
    table = regression.copy()
    for group, values in (("CMR", [-0.3, -0.1]), ("ECG", [-0.3, -0.2, 0.1, -0.1])):
        of_group = table["input"] == group
        for method, value in zip(table[of_group]["method"].unique(), values, strict=True):
            change(table, of_group & (table["method"] == method), phenotype="LVEF", value=value)
    column = 1 + records.phenotypes(records.records(table)).index("LVEF")
    assert [
        r.cells[column].value
        for r in comparison.regression(records.records(table))
        if r.cells[column].best and r.group != "Whole ECG"
    ] == [0.1]


def test_own_partners_come_with_their_share_of_the_gallery_and_recall(retrieval):
    partners = comparison.own_partners(records.records(retrieval))
    trained = ["Global (retrieval)", "PTACL (retrieval)"]
    methods = [*trained, *(f"{name}, whole ECG" for name in trained), "Random"]
    assert [(o.direction, o.method) for o in partners] == [
        (d, m) for d in ("ECG to CMR", "CMR to ECG") for m in methods
    ]
    assert partners[4].rank.value == 75.5 and partners[4].share == pytest.approx(75.5 / 150)
    assert partners[4].recalls["R@15"].value == pytest.approx(15 / 150)
    for own in (*partners[:4], *partners[5:9]):
        values = [cell.value for cell in own.recalls.values()]
        assert (
            own.rank.low <= own.rank.value <= own.rank.high
            and own.rank.value < 75
            and values == sorted(values)
        )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.01, 0.03, ("\N{MINUS SIGN}0.01", "0.03")),
        (-0.0049, 0.027, ("\N{MINUS SIGN}0.005", "0.03")),  # two digits would read [0.00, 0.03]
        (0.0004, 0.031, ("0.0004", "0.03")),
        (0.0, 0.0, ("0.00", "0.00")),
        (-1e-9, 0.5, ("0.00000", "0.50")),
    ],
)
def test_an_interval_has_the_digits_that_show_its_signs(low, high, expected):
    assert cells.ends(low, high) == expected


def test_headline_and_table_show_the_same_interval(regression):
    table = regression.copy()
    leading = table["method"] == "PTACL"
    change(table, leading, difference=True, low=-0.005, high=0.027)
    row = next(
        r
        for r in comparison.regression(records.records(table))
        if (r.group, r.method, r.evaluation) == ("ECG", "PTACL", "LP")
    )
    assert row.difference.bounds == ("\N{MINUS SIGN}0.005", "0.027")
    sentence = next(
        v.sentence
        for v in verdict.of_regression(records.records(table), unlearned=[])
        if v.method == "PTACL"
    )
    assert "CI \N{MINUS SIGN}0.005 to 0.027" in sentence


def test_differences_of_retrieval_go_by_precision_at_ten(retrieval):
    found = records.records(retrieval)
    assert comparison.decisive(found) == "P@10"
    row = comparison.retrieval(found)[1]
    assert row.method == "PTACL (retrieval)"
    table = wide(retrieval)
    expected = table[(table["method"] == row.method) & table["shown"]].iloc[0]
    assert row.difference.value == expected["mean_P@10_difference"]
    few = retrieval[~retrieval["statistic"].isin(["P@10", "P@15"])]
    assert comparison.decisive(records.records(few)) == "P@5"
