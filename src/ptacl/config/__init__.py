"""The typed configuration: one frozen model per section of config.yaml.

Every field has a description. A field only has a default if its absence has a meaning, so
config.yaml shows every setting. A rule passes a stage only the section that the stage uses, as the
canonical JSON of :func:`dump`; the stage reads it with the ``model_validate_json`` of the section's
model.
"""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ptacl.config.data import (
    Cmr,
    Cohort,
    Ecg,
    EcgFaults,
    Labels,
    Phenotype,
    RPeaks,
    Simulation,
    Wavelet,
)
from ptacl.config.models import (
    Autoencoder,
    Contrastive,
    CrossAutoencoder,
    Entry,
    Local,
    Model,
    Other,
    SimCLR,
    Supervised,
    Trained,
    Untrained,
    merge,
    resolve,
)
from ptacl.config.parts import (
    AnyEncoder,
    Augmentation,
    CmrAugmentation,
    Decoder,
    EcgAugmentation,
    Encoder,
    Encoders,
    Head,
    Inputs,
    Maps,
    Modality,
    ResNet,
    Training,
)
from ptacl.config.section import Section
from ptacl.config.tables import (
    Alignment,
    Embedding,
    Regression,
    RegressionRow,
    Retrieval,
    RetrievalRow,
    Row,
)

__all__ = [
    "Alignment",
    "AnyEncoder",
    "Augmentation",
    "Autoencoder",
    "Cmr",
    "CmrAugmentation",
    "Cohort",
    "Config",
    "Contrastive",
    "CrossAutoencoder",
    "Decoder",
    "Ecg",
    "EcgAugmentation",
    "EcgFaults",
    "Embedding",
    "Encoder",
    "Encoders",
    "Entry",
    "Head",
    "Inputs",
    "Labels",
    "Local",
    "Maps",
    "Modality",
    "Model",
    "Other", "Phenotype",
    "RPeaks",
    "Regression",
    "RegressionRow",
    "ResNet",
    "Retrieval",
    "RetrievalRow",
    "Row",
    "Section",
    "SimCLR",
    "Simulation",
    "Supervised",
    "Trained",
    "Training",
    "Untrained",
    "Wavelet",
    "dump",
    "load",
    "parse",
    "read",
    "stack",
]  # fmt: skip


class Config(Section):
    """All of config.yaml."""

    seed: int = Field(description="the one seed of the project")
    seeds: list[int] = Field(
        min_length=1, description="seeds of every model; an entry of models can have its own"
    )
    simulation: Simulation = Field(
        description="simulated cohort, used if cohort.source is simulated"
    )
    cohort: Cohort = Field(description="participants")
    ecg: Ecg = Field(description="ECG preparation")
    cmr: Cmr = Field(description="CMR preparation")
    encoders: Encoders = Field(description="model sizes")
    models: dict[str, Model] = Field(
        description=(
            "everything that is trained; an entry with `like` inherits from another, and null "
            "removes a setting"
        )
    )
    maps: Maps = Field(description="local copies of the stores, from which trainings read")
    tensorboard: bool = Field(
        description=(
            "write the curves of running trainings for TensorBoard, into results/tensorboard"
        )
    )
    embedding: Embedding = Field(description="inference")
    regression: Regression = Field(description="Table 2")
    retrieval: Retrieval = Field(description="Table 1")
    alignment: Alignment = Field(description="Fig. 2")

    def needed(self, rows: Iterable[Row]) -> list[str]:
        """Return the models that rows show, in their order, and the models they start from."""
        found, waiting = dict[str, None](), [row.model for row in rows if row.model]
        while waiting:
            name = waiting.pop(0)
            found.setdefault(name)
            waiting += self.models[name].starts.values()
        return list(found)

    def seeds_of(self, model: str) -> list[int]:
        """Return the seeds of an entry of `models`."""
        return self.models[model].seeds or self.seeds

    def inputs_of(self, model: str) -> Inputs:
        """Return the sizes of an entry's encoders, and the z-score of its inputs."""
        entry = self.models[model]
        found = {
            m: (entry.encoders or {}).get(m) or getattr(self.encoders, m) for m in entry.modalities
        }
        return Inputs(zscore=self.encoders.zscore, encoders=found)

    def start_of(self, model: str, seed: int) -> dict[Modality, tuple[str, int]]:
        """Return, by modality, the entry and seed of the model that a model starts from.

        The seed is the same if that entry has it, otherwise its first seed.
        """
        starts = self.models[model].starts
        return {
            m: (name, seed if seed in self.seeds_of(name) else self.seeds_of(name)[0])
            for m, name in starts.items()
        }

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if strange := [name for name in self.models if not name.isidentifier()]:
            raise ValueError(
                f"models {strange}: a name must consist of letters, digits and underscores"
            )
        for name, entry in self.models.items():
            self._check_start(name, entry)
        rows = [*self.regression.rows, *self.retrieval.rows, *self.alignment.rows]
        if unknown := sorted({row.model for row in rows if row.model} - set(self.models)):
            raise ValueError(
                f"regression, retrieval or alignment names {unknown}; models are "
                f"{sorted(self.models)}"
            )
        self._check_rows()
        return self._check_shapes()

    def _check_start(self, name: str, entry: Entry) -> None:
        for m in entry.modalities:
            frozen, depth = (
                entry.frozen(m) if isinstance(entry, Trained) else 0,
                self.inputs_of(name).encoders[m].depth,
            )
            if frozen != "all" and frozen > depth:
                raise ValueError(
                    f"models.{name} freezes more layers than the {depth} that an encoder "
                    "has: lower frozen_layers"
                )
        reached, waiting = set[str](), list(entry.starts.items())
        while waiting:
            modality, other = waiting.pop()
            if other not in self.models or modality not in self.models[other].modalities:
                raise ValueError(
                    f"models.{name} starts from {other}, which is not a model with an "
                    f"encoder for {modality.upper()}"
                )
            if other == name:
                raise ValueError(f"models.{name} starts from itself, through {sorted(reached)}")
            if other not in reached:
                reached.add(other)
                waiting += self.models[other].starts.items()

    def _check_rows(self) -> None:
        for row in self.regression.rows:
            if row.model is None:
                continue
            entry = self.models[row.model]
            if row.input not in entry.modalities or (
                row.predictions is not None and not isinstance(entry, Supervised)
            ):
                raise ValueError(
                    f"regression row {row.label}: {row.model} does not give "
                    f"{row.input.upper()} of that kind"
                )
        for pair in (*self.retrieval.rows, *self.alignment.rows):
            if not isinstance(self.models[pair.model], Contrastive | Other):
                raise ValueError(
                    f"row {pair.label} of retrieval or alignment: {pair.model} is not a "
                    "contrastive model"
                )
        labels = [row.label for row in self.regression.rows if row.input == "ecg"]
        if self.regression.reference not in labels:
            raise ValueError(
                f"regression.reference {self.regression.reference} is not an ECG row of "
                f"regression.rows: {labels}"
            )

    def _check_shapes(self) -> "Config":
        named = {f"encoders.{m}": (m, getattr(self.encoders, m)) for m in ("ecg", "cmr")}
        for name, entry in self.models.items():
            named |= {
                f"models.{name}.encoders.{m}": (m, encoder)
                for m, encoder in (entry.encoders or {}).items()
            }
        for name, (modality, encoder) in named.items():
            if modality == "ecg" and encoder.shape[1] > self.ecg.num_samples:
                raise ValueError(
                    f"{name}.shape is longer than a record: ecg.num_samples is "
                    f"{self.ecg.num_samples}"
                )
            if modality == "cmr" and encoder.shape[0] > self.cmr.frames:
                raise ValueError(
                    f"{name}.shape has more frames than a cine: cmr.frames is {self.cmr.frames}"
                )
            if modality == "cmr" and list(encoder.shape[1:]) != [self.cmr.size, self.cmr.size]:
                raise ValueError(f"{name}.shape does not fit cmr.size, {self.cmr.size}")
        return self


def parse(values: dict[str, Any]) -> Config:
    """Validate settings.

    Parameters
    ----------
    values : dict
        Nested settings, as in config.yaml. Entries of `models` can inherit by `like`.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a setting is wrong. The message lists each wrong key by its full name.
    """
    try:
        if isinstance(values.get("models"), dict):
            values = {**values, "models": resolve(values["models"])}
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}{_meant(e)}"
            for e in error.errors()
        ]
        raise ValueError("the configuration has errors:\n" + "\n".join(lines)) from None


def _meant(error: Any) -> str:
    """Suggest what to do about an unknown key.

    This is a known name that resembles it, or the removal of a setting that belongs to another kind
    of entry.
    """
    if error["type"] != "extra_forbidden":
        return ""
    names = sorted({name for section in _sections(Section) for name in section.model_fields})
    if (name := str(error["loc"][-1])) in names:
        return (
            f"; it belongs to another kind of entry: write {name}: null to remove an inherited one"
            if error["loc"][0] == "models"
            else ""
        )
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _sections(section: type[Section]) -> list[type[Section]]:
    return [found for below in section.__subclasses__() for found in (below, *_sections(below))]


def load(path: Path) -> Config:
    """Read and validate one configuration file.

    Parameters
    ----------
    path : path-like
        A YAML file that holds every setting, such as config.yaml.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a setting is wrong. The message lists each wrong key by its full name.
    """
    return parse(yaml.safe_load(Path(path).read_text()))


def stack(*paths: Path) -> Config:
    """Read and validate several configuration files, where later files override earlier ones.

    Mappings are merged, and other values are replaced, as Snakemake does with `--configfile`.

    Parameters
    ----------
    paths : path-like
        YAML files, for instance config.yaml and then your own file.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a file is not a YAML mapping, or if a setting is wrong.
    """
    return parse(read(*paths))


def read(*paths: Path) -> dict[str, Any]:
    """Merge configuration files like :func:`stack`, before validation and inheritance.

    Raises ValueError for a file that is not a YAML mapping.
    """
    values: dict[str, Any] = {}
    for path in paths:
        try:
            changes = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {error}") from None
        if not isinstance(changes, dict):
            raise ValueError(
                f"{path} contains no settings: it must be a YAML mapping, such as config.yaml"
            )
        values = merge(values, changes)
    return values


def dump(*sections: Section, **named: Any) -> str:
    """Serialise a section, or several values by name, to one canonical JSON string.

    Keys are sorted and defaults are resolved, so equal settings give equal strings.

    Parameters
    ----------
    sections : Section
        At most one section, whose settings become the keys.
    named : Any
        Further sections or JSON-able values, by key.

    Returns
    -------
    str
        The JSON, without white space between its parts.
    """
    plain = sections[0].model_dump(mode="json") if sections else {}
    plain |= {
        k: v.model_dump(mode="json") if isinstance(v, Section) else v for k, v in named.items()
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
