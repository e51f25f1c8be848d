import json
import math
import re
from html.parser import HTMLParser

import made_up
import pandas as pd
import pytest
from tables import wide

from ptacl.report import page

VOID = {"meta", "link", "img", "br", "line", "circle", "polyline", "polygon", "rect", "path"}


class Outline(HTMLParser):
    """Open elements, addresses and texts of a page; an end tag that closes nothing is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")
        ]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


@pytest.fixture(scope="module")
def text(report) -> str:
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(text) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    return parsed


def test_elements_are_closed_and_ids_unique(outline):
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_nothing_is_loaded_from_elsewhere(outline, text):
    assert outline.addresses
    anchors = [a for a in outline.addresses if a.startswith("#")]
    assert {a.removeprefix("#") for a in anchors} == set(outline.ids)
    assert all(a.startswith(("#", "data:")) for a in outline.addresses)
    assert (
        "<script" not in text and "@import" not in text and not re.search(r"url\((?!data:)", text)
    )
    assert "default-src 'none'" in text


def test_no_participant_is_on_the_page(outline, inputs):
    shown = " ".join(outline.texts)
    assert not re.search(r"(?<!\d)\d{7}(?!\d)", shown)
    ids = pd.read_csv(inputs / "private" / "participants.csv", dtype=str)["participant"]
    assert not any(participant in shown for participant in ids)


def test_a_page_with_a_visit_is_refused(inputs, tmp_path, monkeypatch):
    command = made_up.arguments(inputs, tmp_path / "report.html")
    table = pd.read_csv(inputs / "regression.csv")
    table["method"] = table["method"].replace("PTACL", "ECG of 9000001_2")
    table.to_csv(tmp_path / "regression.csv", index=False)
    command[command.index("--regression") + 1] = str(tmp_path / "regression.csv")
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(ValueError, match="more than aggregate numbers"):
        page.main()
    assert not (tmp_path / "report.html").exists()


def test_all_parts_are_there(outline, inputs):
    shown = re.sub(r"\s+", " ", " ".join(outline.texts))
    for part in (
        "Cohort",
        "Regression of cardiac phenotypes",
        "Retrieval of similar participants",
        "Temporal alignment",
        "Training",
    ):
        assert part in shown
    assert "simulated cohort" in shown and "UKB 0.514" in shown and "UK Biobank" in shown
    assert "10 rows of the paper that this run does not have" in shown and "Untrained" not in shown
    assert (
        "LVM: 3 cells not read (unit 2, not a number 1); LVEF: 1 implausible; LV: 2 visits whose"
        in shown
    )
    assert "4 values that occur twice and agree" in shown
    assert "Own partner" in shown and "Other people" in shown and "Phases permuted" in shown
    assert "Highest possible from an ECG" in shown and "0.550" in shown
    assert "without own CMR" in shown and "with own CMR" in shown
    assert "direction_weight" in shown and "prepare_ecg" in shown and "snakemake" in shown
    ours = (
        wide(pd.read_csv(inputs / "regression.csv"))
        .set_index(["input", "method"])
        .loc[("ECG", "PTACL")]
    )
    assert f"{ours['LVM_R2']:.3f}" in shown


def test_the_same_inputs_give_the_same_bytes(report, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", made_up.arguments(inputs, tmp_path / "again.html"))
    page.main()
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_files_of_participants_need_no_ceiling(inputs, tmp_path, monkeypatch):
    command = made_up.arguments(inputs, tmp_path / "real.html")
    del command[command.index("--ceiling") : command.index("--ceiling") + 2]
    chosen = made_up.settings()
    folders = {
        "source": "files",
        "ecg_folders": ["a"],
        "cmr_folders": ["b"],
        "phenotype_tables": ["c.csv"],
    }
    chosen = chosen.model_copy(update={"cohort": chosen.cohort.model_copy(update=folders)})
    command[command.index("--config") + 1] = chosen.model_dump_json()
    monkeypatch.setattr("sys.argv", command)
    page.main()
    text = (tmp_path / "real.html").read_text(encoding="utf-8")
    assert (
        "simulated cohort" not in text
        and "Highest possible from an ECG" not in text
        and 'dashed"></i>highest R²' not in text
    )
    assert "ecg_folders: 1, not shown" in text and "c.csv" not in text


def test_losses_that_were_hardly_learned_are_warnings_on_the_page(inputs, tmp_path, monkeypatch):
    command = made_up.arguments(inputs, tmp_path / "page.html")
    table = pd.read_csv(inputs / "training" / "ptacl-0.csv")
    table["validation_global"] = table["validation_global_chance"] * 0.999
    for split in ("train", "validation"):
        table[f"{split}_local"] = math.log(13) * (1 - 0.0086)
        table[f"{split}_local_chance"] = math.log(13)
    table.to_csv(tmp_path / "ptacl-0.csv", index=False)
    place = command.index("--metrics") + 1
    command[place] = json.dumps(
        json.loads(command[place]) | {"ptacl": {"0": str(tmp_path / "ptacl-0.csv")}}
    )
    monkeypatch.setattr("sys.argv", command)
    page.main()
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count('class="warning"') == 2
    assert (
        "PTACL, seed 0: the global loss is only 0.1 % below that of guessing, so it was "
        "hardly learned" in text
    )
    assert (
        "PTACL, seed 0: the local loss went 3.5 % of the way from guessing to its lowest "
        "possible value" in text
    )
    assert "3.5 % of the reachable range" in text  # below the curve
    assert '<span class="value">3.5 %</span>' in text  # in the table of Fig. 2
    assert "floor 1.933" in text
    assert "trainings that learned every loss term (PTACL did not)" in text


def test_text_from_the_config_is_escaped(inputs, tmp_path, monkeypatch):
    chosen = made_up.settings()
    models = dict(chosen.models)
    models["global"] = models["global"].model_copy(update={"title": "<script>alert(1)</script>"})
    command = made_up.arguments(inputs, tmp_path / "page.html")
    command[command.index("--config") + 1] = chosen.model_copy(
        update={"models": models}
    ).model_dump_json()
    monkeypatch.setattr("sys.argv", command)
    page.main()
    assert "<script" not in (tmp_path / "page.html").read_text(encoding="utf-8")
