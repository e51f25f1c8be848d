"""Which rules an edited module reruns: everything that its code can change, and nothing else.

The `code` parameter of every rule is evaluated as Snakemake would, for all entries of the list of
models: once
with the sources as they are and once with another digest of one module.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import test_rules

from ptacl import config

ROOT = Path(__file__).parents[1]

CONTRASTIVE = {
    "global",
    "ptacl",
    "global_retrieval",
    "ptacl_retrieval",
    "ptacl_raw",
    "ptacl_cosine",
    "ptacl_edes",
    "ptacl_centred",
    "phasewise",
    "ptacl_phasewise",
    "eccl",
    "mmcl",
}
SUPERVISED = {"ecg_supervised", "cmr_supervised", "ptacl_fn", "eccl_fn", "mmcl_fn"}
SIMCLR = {"ecg_simclr", "cmr_simclr"}
MAE = {"ecg_mae", "cmr_mae"}
UNTRAINED = {"ecg_random", "cmr_random"}
EVERY = CONTRASTIVE | SUPERVISED | SIMCLR | MAE | UNTRAINED | {"cmae"}
TABLES = {"probe", "regression", "retrieval", "alignment"}
DISEASES = {"risks", "saved_risks"}


def train(*models: str) -> set[str]:
    return {f"train {model}" for model in models}


def embed(*models: str) -> set[str]:
    return {f"embed {model}" for model in models}


# An edited module, and all that runs again.
EDITS: dict[str, set[str]] = {
    # Code without an effect on any number.
    "stage": set(),
    "memory": set(),
    "config.models": set(),
    "models.card": set(),
    "learning.board": set(),
    "inference": set(),
    "cli": set(),
    # Files to stores.
    "cohort.simulation.electrical": {"simulate", "outcomes"},
    "cohort.phenotypes": {"manifest", "outcomes"},
    "cohort.outcomes": {"outcomes"},
    "cohort.flow": {"flow"},
    "ecg.denoise": {"prepare_ecg"},
    "ecg.rpeaks": {"prepare_ecg"},
    "cmr.crop": {"prepare_cmr"},
    "cmr.dicom.series": {"prepare_cmr"},
    # Models.
    "models.resnet": train("mmcl") | embed("mmcl"),
    "models.mae": train(*MAE, "cmae"),
    "models.vit": train(*EVERY) | embed(*EVERY),
    "learning.objectives.contrastive": train(*CONTRASTIVE),
    "learning.objectives.supervised": train(*SUPERVISED),
    "learning.objectives.reconstruction": train(*MAE),
    "learning.objectives.simclr": train(*SIMCLR),
    "learning.objectives.cross": train("cmae"),
    # The page tells how low a loss can get.
    "learning.losses": train(*CONTRASTIVE, *SIMCLR, "cmae") | {"page"},
    "learning.fit": train(*EVERY),
    "learning.augment": train(*EVERY) | embed(*EVERY),
    "learning.draws": train(*EVERY) | embed(*EVERY),
    "ecg.zscore": train(*EVERY) | embed(*EVERY),
    # Tables and pages.
    "evaluation.embed": embed(*EVERY),
    "evaluation.uncertainty": TABLES | {"labels"} | DISEASES,
    "evaluation.probes": {"probe", "regression", "labels", "risks"},
    "evaluation.feature_table": {"probe", "regression", "labels", "risks"},
    "evaluation.labels": {"labels"},
    "evaluation.strata": {"regression", "risks"},
    "disease.risk": {"outcomes"} | DISEASES,
    "disease.calibration": DISEASES,
    "evaluation.outcome_lines": {"risks"},
    "evaluation.saved_risk": {"saved_risks"},
    "evaluation.ranking": {"retrieval"},
    "evaluation.alignment": {"alignment"},
    "learning.collapse": {"page"},
    "report.verdict": {"page"},
    "report.outcomes": {"page"},
    "report.outcome_rows": {"outcome_table", "page"},
    "report.label_curves": {"page"},
    "report.comparison": {"tables", "page"},
    "report.flow": {"flow_figure"},
}


def codes(version: object, settings: config.Config) -> dict[str, str]:
    """The `code` parameter by rule, and by rule and model where it depends on the model."""
    functions = (ROOT / "workflow/rules/common.smk").read_text()
    names: dict[str, object] = {"CONFIG": settings, "schema": config, "code_version": version}
    names |= {"PRIVATE": "private", "ancient": str}
    exec(functions, names)
    found = {}
    for rule, expression in rules():
        value = eval(expression, names)
        if callable(value):
            of_model = {
                f"{rule} {model}": value(SimpleNamespace(model=model)) for model in settings.models
            }
            found.update(of_model)
        else:
            found[rule] = value
    return found


def rules() -> Iterator[tuple[str, str]]:
    """Name of each rule and the expression of its `code`."""
    for body in re.split(r"^\s*(?:rule|checkpoint) ", test_rules.TEXT, flags=re.M)[1:]:
        expression = re.search(r"^ {8,12}code=((?:.|\n)*?),\n {4,12}\w", body, flags=re.M)
        if expression:
            yield body.partition(":")[0], " ".join(expression.group(1).split())


@pytest.fixture(scope="module")
def settings() -> config.Config:
    return config.stack(ROOT / "config.yaml", ROOT / "workflow/config/rows.yaml")


@pytest.fixture(scope="module")
def version() -> ModuleType:
    return test_rules.code_version()


@pytest.fixture(scope="module")
def before(version: ModuleType, settings: config.Config) -> dict[str, str]:
    return codes(version, settings)


@pytest.mark.parametrize("module", EDITS)
def test_an_edit_reruns_what_it_can_change(
    module: str,
    version: ModuleType,
    before: dict[str, str],
    settings: config.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = version._own_digest
    edited = f"ptacl.{module}"
    assert version._path(edited)
    monkeypatch.setattr(
        version, "_own_digest", lambda name: "edited" if name == edited else digest(name)
    )
    after = codes(version, settings)
    assert {rule for rule in before if before[rule] != after[rule]} == EDITS[module]


def test_every_rule_has_a_code(settings: config.Config) -> None:
    found = {key.partition(" ")[0] for key in codes(test_rules.code_version(), settings)}
    stages = {
        "simulate",
        "manifest",
        "flow",
        "prepare_ecg",
        "prepare_cmr",
        "train",
        "embed",
        "flow_figure",
        "tables",
        "page",
    }
    assert found == stages | TABLES | DISEASES | {"labels", "outcomes", "outcome_table"}
