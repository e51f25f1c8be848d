"""The whole configuration, and the conditions between its sections."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from ptacl.config.data import Cmr, Cohort, Simulation
from ptacl.config.ecg import Ecg
from ptacl.config.models import (
    Contrastive,
    Entry,
    Model,
    Other,
    Supervised,
    Trained,
)
from ptacl.config.outcomes import SIMULATED_DISEASES, SIMULATED_ENDS, Outcomes
from ptacl.config.parts import (
    AnyEncoder,
    Encoders,
    Inputs,
    Maps,
    Modality,
    Storage,
)
from ptacl.config.section import Section
from ptacl.config.tables import (
    Alignment,
    Embedding,
    LabelFractions,
    Regression,
    Retrieval,
    TableRow,
)

# What `auto` means in the section `cmr` for a cohort from a table; otherwise it means null.
FROM_A_TABLE = {"resample_mm": 1.83, "interpolate_frames": [20, 60]}


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
    smallest_count: int = Field(
        ge=0,
        description=(
            "counts of visits and participants below this are hidden outside results/private, "
            "unless the cohort is simulated; 0 shows all"
        ),
    )
    storage: Storage = Field(description="how many raw files may be lost before a run stops")
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
    labels: LabelFractions = Field(
        description="label efficiency: the rows of Table 2 with fewer labels"
    )
    outcomes: Outcomes = Field(description="diseases before the visit, and outcomes after it")
    retrieval: Retrieval = Field(description="Table 1")
    alignment: Alignment = Field(description="Fig. 2")

    def needed(self, rows: Iterable[TableRow]) -> list[str]:
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

    @model_validator(mode="before")
    @classmethod
    def _resolve_auto(cls, values: Any) -> Any:
        names = ("cohort", "cmr", "outcomes")
        cohort, cmr, outcomes = (values.get(name) for name in names)
        if not all(isinstance(section, dict) for section in (cohort, cmr, outcomes)):
            return values
        simulated = cohort.get("source") == "simulated"
        if outcomes.get("diseases") == "auto":
            listed = [disease.model_dump() for disease in SIMULATED_DISEASES]
            outcomes = outcomes | {"diseases": listed if simulated else []}
        if simulated and not outcomes.get("follow_up_ends"):
            outcomes = outcomes | {"follow_up_ends": SIMULATED_ENDS}
        from_table = cohort.get("source") == "table"
        resolved = {
            name: value if from_table else None
            for name, value in FROM_A_TABLE.items()
            if cmr.get(name) == "auto"
        }
        return {**values, "cmr": {**cmr, **resolved}, "outcomes": outcomes}

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
        self.outcomes.require(self.cohort.source)
        return self._check_shapes()

    def _check_start(self, name: str, entry: Entry) -> None:
        for m in entry.modalities:
            frozen = entry.frozen(m) if isinstance(entry, Trained) else 0
            depth = self.inputs_of(name).encoders[m].depth
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
            if "ecg_phases" in row.features and not isinstance(entry, Contrastive | Other):
                raise ValueError(
                    f"regression row {row.label}: {row.model} has no ecg_phases, which only "
                    "contrastive models have"
                )
        for pair in (*self.retrieval.rows, *self.alignment.rows):
            if not isinstance(self.models[pair.model], Contrastive | Other):
                raise ValueError(
                    f"row {pair.label} of retrieval or alignment: {pair.model} is not a "
                    "contrastive model"
                )
        of_phases = [row.label for row in self.regression.rows if "ecg_phases" in row.features]
        if of_phases and not self.embedding.phases:
            raise ValueError(
                f"regression rows {', '.join(of_phases)} need ecg_phases: set embedding.phases to "
                "true, or remove them"
            )

    def _check_shapes(self) -> "Config":
        for modality in ("ecg", "cmr"):
            self._check_shape(f"encoders.{modality}", modality, getattr(self.encoders, modality))
        for name, entry in self.models.items():
            for modality, encoder in (entry.encoders or {}).items():
                self._check_shape(f"models.{name}.encoders.{modality}", modality, encoder)
        return self

    def _check_shape(self, name: str, modality: str, encoder: AnyEncoder) -> None:
        shape, size, frames = encoder.shape, self.cmr.size, self.cmr.frames
        if modality == "ecg":
            if shape[1] > self.ecg.num_samples:
                raise ValueError(
                    f"{name}.shape is longer than a record: ecg.num_samples is "
                    f"{self.ecg.num_samples}"
                )
        elif shape[0] > frames:
            raise ValueError(f"{name}.shape has more frames than a cine: cmr.frames is {frames}")
        elif list(shape[1:]) != [size, size]:
            raise ValueError(f"{name}.shape does not fit cmr.size, {size}")
