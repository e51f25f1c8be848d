"""The schema, docs/configuration.md and `ptacl config`: in step with the models of the settings,
and true to them.
"""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ptacl import cli, config
from ptacl.config import reference
from ptacl.config.schema import schema

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "config.yaml", *sorted((ROOT / "workflow" / "config").glob("*.yaml"))]
VALIDATOR = jsonschema.Draft202012Validator(schema())


def told(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert cli.main(["config", *map(str, args)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "way"),
    [("workflow/config/schema.json", "--schema"), ("docs/configuration.md", "--reference")],
)
def test_what_is_written_from_the_models_is_in_step(
    name: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (ROOT / name).read_text() == told(capsys, way), (
        f"write it again: ptacl config {way} > {name}"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_settings_name_the_schema_and_fit_it(path: Path) -> None:
    first = path.read_text().partition("\n")[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first and (path.parent / named).samefile(
        ROOT / "workflow" / "config" / "schema.json"
    )
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


def test_schema_is_valid_and_takes_the_whole_configuration_and_that_of_the_tests(
    capsys: pytest.CaptureFixture[str],
) -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    VALIDATOR.validate(yaml.safe_load(told(capsys)))
    VALIDATOR.validate(yaml.safe_load((ROOT / "tests" / "tiny.yaml").read_text()))


@pytest.mark.parametrize(
    "values",
    [
        {"models": {"global": {"temperature": 0.2}}},
        {
            "models": {
                "mine": {
                    "like": "ptacl",
                    "title": "Mine",
                    "local": {"beta": 0.5},
                    "start": {"cmr": None},
                }
            }
        },
        {
            "models": {
                "mine": {
                    "like": "ecg_mae",
                    "kind": "mae",
                    "modalities": ["cmr"],
                    "augmentation": {"ecg": None},
                }
            }
        },
        {
            "models": {
                "mmcl": {"encoders": {"cmr": {"base_width": 64}}},
                "eccl": {"frozen_layers": {"cmr": "all"}},
            }
        },
        {"models": {"mine": {"kind": "other", "objective": "mine:Mine", "options": {"any": [1]}}}},
        {"ecg": {"wavelet": {"level": 7}}},
    ],
    ids=json.dumps,
)
def test_schema_takes_partial_sections_and_entries(values: dict[str, Any]) -> None:
    VALIDATOR.validate(values)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"ecgs": {}}, ""),
        ({"ecg": {"wavelet": {"levels": 7}}}, "ecg.wavelet"),
        ({"ecg": {"wavelet": {"level": "seven"}}}, "ecg.wavelet.level"),
        ({"cohort": {"test_fraction": 1.5}}, "cohort.test_fraction"),
        ({"cohort": {"phenotypes": [{"name": "LVM"}]}}, "cohort.phenotypes.0"),
        ({"cmr": {"pixel_mm": [1]}}, "cmr.pixel_mm"),
        ({"cohort": None}, "cohort"),
        ({"tensorboard": "yes"}, "tensorboard"),
        ({"models": {"mine": {"like": "ptacl", "temprature": 1}}}, "models.mine"),
        ({"models": {"mine": {"like": 3}}}, "models.mine.like"),
        ({"models": {"global": {"training": {"epochs": 0}}}}, "models.global.training.epochs"),
        (
            {"models": {"global": {"kind": "contrastive", "mask_ratio": 0.5}}},
            "models.global.mask_ratio",
        ),
        ({"models": {"global": {"kind": "contrast"}}}, "models.global.kind"),
        ({"models": {"global": {"start": {"ekg": "ecg_mae"}}}}, "models.global.start"),
        ({"models": {"mmcl": {"encoders": {"cmr": {"base": 64}}}}}, "models.mmcl.encoders"),
    ],
    ids=str,
)
def test_schema_refuses_unknown_keys_and_wrong_values(values: dict[str, Any], place: str) -> None:
    assert place in {
        ".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(values)
    }


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        (
            "ecg.wavelet.level",
            ["levels of decomposition", "type     whole number >= 1", "default  8 (config.yaml)"],
        ),
        ("tensorboard", ["write the curves", "type     true or false", "default  false"]),
        ("cohort.test_fraction", ["type     number >= 0 and < 1", "default  0.25"]),
        ("cohort.phenotypes", ["list of sections", "default  10 items", "cohort.phenotypes.low "]),
        ("cohort.phenotypes.low", ["number", "default  none: each item has its own"]),
        ("models.ptacl.local.beta", ["number > 0", "default  1.0 (config.yaml)"]),
        (
            "models.ptacl_retrieval.direction_weight",
            ["default  0.5, of models.global (config.yaml)"],
        ),
        (
            "models.ptacl_retrieval.temperature",
            ["temperature of the global loss", "default  0.07, of models.global_retrieval"],
        ),
        ("models.global.training.betas", ["default  [0.9, 0.95], of models.ecg_mae"]),
        (
            "models.global.local.beta",
            ["default  none: no such entry, or a section above it is null"],
        ),
        ("models.global.local", ["section or null", "default  null", "models.global.local.beta "]),
        ("models.ptacl.local.phases", ["all or ed_es", "default  all (config.yaml)"]),
        (
            "models.global.frozen_layers",
            ["or all", "default  0 (", "models.global.frozen_layers.ecg  of this modality"],
        ),
        ("models.ptacl.like", ["default  global (config.yaml)"]),
        ("models", ["everything that is trained", "models.ecg_mae ", "ECG MAE, mae"]),
    ],
)
def test_a_setting_is_explained(
    key: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, "--explain", key)
    assert text.startswith(key + "\n") and all(line in text for line in lines), text


def test_settings_of_a_file_of_ones_own_stand_beside_the_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "ecg: {wavelet: {level: 7}}\nmodels: {mine: {like: ptacl, local: {beta: 0.5}}, "
        "global: {temperature: 0.2}}\n"
    )
    again = tmp_path / "again.yaml"
    again.write_text("ecg: {wavelet: {level: 6}}\n")
    assert "default  8 (config.yaml)\n  here     7\n" in told(
        capsys, mine, "--explain", "ecg.wavelet.level"
    )
    assert "here     6\n" in told(capsys, mine, again, "--explain", "ecg.wavelet.level")
    assert "here     0.2, of models.global\n" in told(
        capsys, mine, "--explain", "models.mine.temperature"
    )
    assert "here" not in told(capsys, mine, "--explain", "models.ptacl.local.beta")
    whole = yaml.safe_load(told(capsys, mine))
    assert config.parse(whole) == config.stack(ROOT / "config.yaml", mine)
    assert (
        whole["models"]["mine"]["local"]["temperature"] == 1.0
        and "like" not in whole["models"]["mine"]
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("ecg.wavelt.level", "; did you mean ecg.wavelet.level?"),
        ("test_fraction", "; did you mean cohort.test_fraction?"),
        ("models.ptacl.local.betta", "; did you mean models.ptacl.local.beta?"),
        ("", "; ptacl config --reference lists all"),
        ("xyz", "; ptacl config --reference lists all"),
    ],
)
def test_an_unknown_key_names_the_nearest(
    key: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "--explain", key]) == 2
    said = capsys.readouterr()
    assert said.err == f"ptacl config: there is no setting {key}{meant}\n" and not said.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ecg: {", "is not valid YAML"),
        ("- ecg", "contains no settings"),
        ("ecg: {rate: 1}", "ecg.rate"),
        ("models: {a: {like: b}}", "like b"),
    ],
)
def test_a_wrong_file_is_named(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert cli.main(["config", str(tmp_path / "mine.yaml")]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml is missing" in capsys.readouterr().err


def comments(
    node: yaml.MappingNode, lines: list[str], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """By dotted key, the comment behind it."""
    for key, value in node.value:
        if found := re.search(r" # (.*)$", lines[key.start_mark.line]):
            yield prefix + key.value, found.group(1)
        if isinstance(value, yaml.MappingNode):
            yield from comments(value, lines, f"{prefix}{key.value}.")


def test_a_comment_that_repeats_a_description_has_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "config.yaml").read_text()
    described = {
        key: node.get("description", "")
        for key, (node, _) in reference._known(yaml.safe_load(text)).items()
    }
    pairs = [
        (key, comment, described.get(key, ""))
        for key, comment in comments(yaml.compose(text), text.splitlines())
    ]
    assert len(pairs) > 40
    near = [pair for pair in pairs if difflib.SequenceMatcher(None, *pair[1:]).ratio() > 0.7]
    assert not [pair for pair in near if pair[1] not in pair[2]]


def test_two_entries_are_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Inherited values count, and values of settings that only one kind has."""
    slow = {"like": "ptacl", "title": "Slow", "training": {"learning_rate": 1.0e-3}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"models": {"slow": slow}}))
    command = ["config", str(tmp_path / "my.yaml"), "--compare"]
    assert cli.main([*command, "ptacl", "slow"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["ptacl", "slow"],
        ["training.learning_rate", "0.003", "0.001"],
    ]
    assert cli.main([*command, "global", "ptacl"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:])
    assert rows["local.sigma"].split() == ["-", "0.1"]
    assert cli.main([*command, "global", "nothing"]) == 2
    assert "there is no model nothing; models are ecg_random" in capsys.readouterr().err
