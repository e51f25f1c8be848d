"""Entries of the list of models, by kind, and their inheritance."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ptacl.config.parts import AnyEncoder, Augmentation, Decoder, Modality, Training
from ptacl.config.phase_losses import Local, Phasewise
from ptacl.config.section import Count, Fraction, Positive, Section

Layers = Annotated[int, Field(ge=0)] | Literal["all"]
_OBJECTIVES = "ptacl.learning.objectives."
_CLASS = r"^[\w.]+:\w+$"


class Entry(Section):
    """The settings that every entry of the list has; an absent value means none."""

    title: str = Field(description="name in the figures of the training")
    modalities: list[Modality] = Field(min_length=1, description="modalities of its encoders")
    encoders: dict[Modality, AnyEncoder] | None = Field(
        default=None, description="encoders of this entry; by default those of the section encoders"
    )
    seeds: list[int] | None = Field(
        default=None,
        min_length=1,
        description="seeds of this entry; by default those of the project",
    )

    @property
    def starts(self) -> dict[Modality, str]:
        """Entries whose encoders this one starts from."""
        return {}

    @property
    def labels(self) -> bool:
        """Whether the training uses phenotypes."""
        return False


class Untrained(Entry):
    """Encoders with their initial, random weights."""

    kind: Literal["untrained"] = Field(description="kind of entry")


class Trained(Entry):
    """The settings that every training has.

    `learns` names the class of its objective, as module:class. `takes` is its number of modalities,
    None for any. `whole_batches` says whether its loss compares the samples of a batch.
    """

    learns: ClassVar[str]
    takes: ClassVar[int | None] = None
    whole_batches: ClassVar[bool] = False

    start: dict[Modality, str | None] | None = Field(
        default=None,
        description=(
            "by modality, the entry whose encoder is the start, with the same seed if that "
            "entry has it"
        ),
    )
    frozen_layers: Layers | dict[Modality, Layers] = Field(
        default=0,
        description=(
            "number of first blocks to freeze, or all, with patch embedding and positions; 0 "
            "for none; or by modality"
        ),
    )
    augmentation: Augmentation = Field(description="augmentation by modality")
    training: Training = Field(description="training run")

    @property
    def starts(self) -> dict[Modality, str]:
        """Entries whose encoders this one starts from."""
        return {m: name for m, name in (self.start or {}).items() if name is not None}

    @property
    def objective_class(self) -> str:
        """The class of the objective, as module:class."""
        return self.learns

    @property
    def own_modules(self) -> list[str]:
        """Modules that only this entry uses: that of its objective, and of its own loss."""
        return [self.objective_class.partition(":")[0]]

    def frozen(self, modality: Modality) -> int | Literal["all"]:
        """Return the number of frozen layers of the encoder of a modality."""
        return (
            self.frozen_layers.get(modality, 0)
            if isinstance(self.frozen_layers, dict)
            else self.frozen_layers
        )

    @model_validator(mode="after")
    def _check_start(self) -> "Trained":
        named = {
            *self.starts,
            *(m for m in ("ecg", "cmr") if getattr(self.augmentation, m) is not None),
        }
        if strange := sorted(named - set(self.modalities)):
            raise ValueError(
                f"start or augmentation names {strange}, which is not among the modalities "
                f"{self.modalities}"
            )
        if any(self.frozen(m) and m not in self.starts for m in self.modalities):
            raise ValueError(
                "frozen_layers with a random start would keep layers that never learnt: "
                "set frozen_layers to 0"
            )
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> "Trained":
        if self.takes and (
            len(self.modalities) != self.takes or len(set(self.modalities)) != self.takes
        ):
            raise ValueError(
                f"it takes {self.takes} modalit{'y' if self.takes == 1 else 'ies'}, not "
                f"{self.modalities}"
            )
        if self.whole_batches and self.training.accumulate > 1:
            raise ValueError(
                "InfoNCE compares the samples of a whole batch, which micro-batches would "
                "shrink: set accumulate to 1, and lower "
                "batch_size or use more GPUs if memory does not suffice"
            )
        if self.whole_batches and self.training.batch_size < 2:
            raise ValueError(
                "InfoNCE compares the samples of a batch: batch_size must be 2 or more"
            )
        return self


class Autoencoder(Trained):
    """Masked autoencoder of one modality (Sec. 3.1)."""

    learns = _OBJECTIVES + "reconstruction:Reconstruction"
    takes = 1
    kind: Literal["mae"] = Field(description="kind of entry")
    mask_ratio: Fraction = Field(description="share of tokens hidden from the encoder")
    decoder: Decoder = Field(description="decoder")


class SimCLR(Trained):
    """Two views of each sample are told from those of other samples by NT-Xent (Chen et al. 2020);
    one modality.
    """

    learns = _OBJECTIVES + "simclr:SimCLRObjective"
    takes = 1
    whole_batches = True
    kind: Literal["simclr"] = Field(description="kind of entry")
    projection_width: Count = Field(
        description="width of the space of the loss; its two-layer projector is not kept"
    )
    temperature: Positive = Field(description="temperature of the loss")


class Supervised(Trained):
    """Regression of all phenotypes at once, one modality; full fine-tuning if it starts from
    another entry.
    """

    learns = _OBJECTIVES + "supervised:SupervisedObjective"
    takes = 1
    kind: Literal["supervised"] = Field(description="kind of entry")
    pool: Literal["mean", "attention"] = Field(
        description="how tokens become one vector before the linear head"
    )

    @property
    def labels(self) -> bool:
        """Whether the training uses phenotypes."""
        return True


class Contrastive(Trained):
    """Contrastive training of both encoders: global InfoNCE, and a local loss or none (Sec.
    3.2).
    """

    learns = _OBJECTIVES + "contrastive:ContrastiveObjective"
    takes = 2
    whole_batches = True
    kind: Literal["contrastive"] = Field(description="kind of entry")
    projection_width: Count = Field(description="width of the shared space of the global loss")
    projection_hidden: Count | None = Field(
        default=None,
        description=(
            "hidden width of two-layer projectors (Turgut et al. 2025); null: linear projectors"
        ),
    )
    direction_weight: float = Field(
        ge=0, le=1, description="weight of the direction ECG to CMR; CMR to ECG has the rest"
    )
    temperature: Positive = Field(description="temperature of the global loss")
    loss: str | None = Field(
        default=None,
        pattern=_CLASS,
        description=(
            "class of your own loss, as module:class, in place of the global InfoNCE "
            "(docs/add-a-method.md)"
        ),
    )
    options: dict[str, Any] = Field(default={}, description="arguments of `loss`")
    local: Local | None = Field(
        default=None, description="the local loss; null: the Global baseline"
    )
    phasewise: Phasewise | None = Field(
        default=None,
        description=(
            "at each phase, the ECG must find its cine among those of the batch; not in the paper"
        ),
    )

    @property
    def own_modules(self) -> list[str]:
        """Modules that only this entry uses: that of its objective, and of its own loss."""
        return [*super().own_modules, *([self.loss.partition(":")[0]] if self.loss else [])]

    @property
    def uses_phases(self) -> bool:
        """Whether a loss compares phases of the cycle, which need R-peaks."""
        return self.local is not None or self.phasewise is not None

    @model_validator(mode="after")
    def _check(self) -> "Contrastive":
        if (
            self.uses_phases
            and self.augmentation.ecg
            and self.augmentation.ecg.surrogate_magnitude > 0.15
        ):
            raise ValueError(
                "surrogate_magnitude above 0.15 moves R-peaks, on which the local and the "
                "phase-wise loss depend: lower it, or set local and phasewise to null"
            )
        return self


class CrossAutoencoder(Trained):
    """One autoencoder per modality with a shared latent space (Radhakrishnan et al. 2023)."""

    learns = _OBJECTIVES + "cross:CrossAutoencoderObjective"
    takes = 2
    whole_batches = True
    kind: Literal["cmae"] = Field(description="kind of entry")
    decoder: Decoder = Field(description="decoder of each modality")
    latent_width: Count = Field(description="width of the latent space")
    temperature: Positive = Field(description="temperature of the contrastive loss of the latents")
    contrastive_weight: Positive = Field(
        description="weight of the contrastive loss relative to the reconstruction losses"
    )


class Other(Trained):
    """A method from outside the package: see docs/add-a-method.md."""

    kind: Literal["other"] = Field(description="kind of entry")
    objective: str = Field(
        pattern=_CLASS,
        description="class of the objective, as module:class; Python must be able to import it",
    )
    options: dict[str, Any] = Field(
        default={}, description="settings of the method, which it checks itself"
    )

    @property
    def objective_class(self) -> str:
        """The class of the objective, as module:class."""
        return self.objective


Model = Annotated[
    Untrained | Autoencoder | SimCLR | Supervised | Contrastive | CrossAutoencoder | Other,
    Field(discriminator="kind"),
]
