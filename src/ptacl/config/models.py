"""Sections of the models: encoders, augmentation, training, and the kinds of entries of the one list of models."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section

Modality = Literal["ecg", "cmr"]
Layers = Annotated[int, Field(ge=0)] | Literal["all"]
_OBJECTIVES = "ptacl.learning.objectives."


class Encoder(Section):
    """A vision transformer over a grid of patches."""

    shape: list[int] = Field(description="input size, one number an axis")
    patch: list[int] = Field(description="patch size, one number an axis")
    width: Count = Field(description="token width")
    depth: Count = Field(description="transformer blocks")
    heads: Count = Field(description="attention heads")

    @model_validator(mode="after")
    def _check(self) -> "Encoder":
        if len(self.shape) != len(self.patch) or any(s % p for s, p in zip(self.shape, self.patch, strict=False)):
            raise ValueError(f"patch {self.patch} does not divide shape {self.shape}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class ResNet(Section):
    """A ResNet-50 over three frames as channels: end-diastole, half way to end-systole, end-systole."""

    shape: list[int] = Field(description="3 x height x width")
    base_width: Count = Field(description="channels of the first convolution; 64 is ResNet-50")

    @property
    def depth(self) -> int:
        """Blocks that can be frozen."""
        return 16

    @model_validator(mode="after")
    def _check(self) -> "ResNet":
        if len(self.shape) != 3 or self.shape[0] != 3:
            raise ValueError(f"shape {self.shape} must be three frames, height and width")
        return self


AnyEncoder = Encoder | ResNet


class Encoders(Section):
    """The two encoders, and what is done to a stored sample before them."""

    zscore: Literal["lead", "group", "sample"] = Field(
        description="axis of the ECG z-score: each lead, limb/augmented/chest group, or whole record"
    )
    ecg: Encoder = Field(description="ECG: leads x samples")
    cmr: Encoder = Field(description="CMR: frames x height x width")


class Inputs(Section):
    """What one model takes of the section `encoders`: the settings of another modality must not rerun it."""

    zscore: Literal["lead", "group", "sample"] = Field(description="axis of the ECG z-score")
    encoders: dict[Modality, AnyEncoder] = Field(description="encoders by modality")


class EcgAugmentation(Section):
    """Augmentation of an ECG, one draw a record."""

    random_crop: bool = Field(description="crop at a random start; otherwise the first samples")
    surrogate_magnitude: float = Field(ge=0, le=1, description="Fourier surrogate: phases shift by up to this share of a turn")
    jitter: float = Field(ge=0, description="multiplicative noise: x + 0.6 x N(0, jitter)")
    rescaling: float = Field(ge=0, description="one factor N(1, rescaling) a record")
    probability: float = Field(ge=0, le=1, description="probability of surrogate, jitter and rescaling")


class CmrAugmentation(Section):
    """Augmentation of a cine, one draw a sequence."""

    time_jitter: float = Field(
        ge=0, le=1, description="sampled frames move within this share of their stride, to both sides alike"
    )
    crop_scale: tuple[float, float] = Field(description="random resized crop: range of the area kept")
    crop_ratio: tuple[float, float] = Field(description="random resized crop: range of the aspect ratio")
    rotation_degrees: float = Field(ge=0, description="rotation by up to this angle")
    flip_probability: float = Field(ge=0, le=1, description="probability of a horizontal flip")
    brightness: float = Field(ge=0, description="brightness factor within 1 +- this")
    contrast: float = Field(ge=0, description="contrast factor within 1 +- this")
    blur_sigma: tuple[float, float] = Field(description="range of the Gaussian blur, pixels")
    noise: float = Field(ge=0, description="standard deviation of added noise, of a range of 1")
    probability: float = Field(ge=0, le=1, description="probability of each of rotation with crop, colour, blur and noise")


class Training(Section):
    """One training run of `fit`."""

    epochs: Count = Field(description="passes over the training set")
    batch_size: Count = Field(description="samples a step, over all processes")
    accumulate: Count = Field(description="micro-batches a step")
    learning_rate: Positive = Field(description="peak learning rate of AdamW, never derived from the batch")
    warmup_epochs: float = Field(ge=0, description="linear warm-up; cosine decay to zero afterwards")
    weight_decay: float = Field(ge=0, description="AdamW weight decay, on matrices alone")
    betas: tuple[float, float] = Field(description="AdamW betas")
    clip_norm: float = Field(ge=0, description="gradient norm limit; 0 for none")
    precision: Literal["float32", "bfloat16"] = Field(description="autocast type")
    compile: bool = Field(description="torch.compile")
    select: Literal["last", "best"] = Field(
        description="weights kept: the last, or those of the best validation loss (contrastive: of its global term)"
    )
    patience: int = Field(ge=0, description="epochs without a better validation loss before stopping; 0 for never")
    checkpoint_seconds: float = Field(ge=0, description="least time between two checkpoints; 0 for one a step")

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} leave nothing of {self.epochs} epochs: lower them")
        return self


class Augmentation(Section):
    """Augmentation of the modalities that a model is trained on; none leaves the evaluation view."""

    ecg: EcgAugmentation | None = Field(default=None, description="of the ECG")
    cmr: CmrAugmentation | None = Field(default=None, description="of the cine")


class Entry(Section):
    """What every entry of the list has. An absent value means: none."""

    title: str = Field(description="name in figures of the training")
    modalities: list[Modality] = Field(min_length=1, description="modalities whose encoders it has")
    encoders: dict[Modality, AnyEncoder] | None = Field(
        default=None, description="encoders of this entry; those of the section encoders otherwise"
    )
    seeds: list[int] | None = Field(default=None, min_length=1, description="seeds of this entry; those of the project otherwise")

    @property
    def starts(self) -> dict[Modality, str]:
        """Entries whose encoders this one starts from."""
        return {}

    @property
    def labels(self) -> bool:
        """Whether it learns from phenotypes."""
        return False


class Untrained(Entry):
    """Encoders with the weights that training would start from."""

    kind: Literal["untrained"] = Field(description="kind of entry")


class Trained(Entry):
    """What every training has. `objective` names the class of what is learned, as module:class."""

    objective: ClassVar[str]

    start: dict[Modality, str | None] | None = Field(
        default=None, description="by modality, the entry whose encoder is taken over, of the same seed where that has it"
    )
    frozen_layers: Layers | dict[Modality, Layers] = Field(
        default=0,
        description="first blocks kept fixed, or all, with patch embedding and positions; 0 freezes nothing; or by modality",
    )
    augmentation: Augmentation = Field(description="augmentation by modality")
    training: Training = Field(description="training run")

    @property
    def starts(self) -> dict[Modality, str]:
        """Entries whose encoders this one starts from."""
        return {m: name for m, name in (self.start or {}).items() if name is not None}

    def frozen(self, modality: Modality) -> int | Literal["all"]:
        """Frozen layers of the encoder of a modality."""
        return self.frozen_layers.get(modality, 0) if isinstance(self.frozen_layers, dict) else self.frozen_layers

    @model_validator(mode="after")
    def _check_start(self) -> "Trained":
        named = {*self.starts, *(m for m in ("ecg", "cmr") if getattr(self.augmentation, m) is not None)}
        if strange := sorted(named - set(self.modalities)):
            raise ValueError(f"start or augmentation names {strange}, which the modalities {self.modalities} do not hold")
        if any(self.frozen(m) and m not in self.starts for m in self.modalities):
            raise ValueError("frozen_layers with a random start would keep layers that never learnt: set frozen_layers to 0")
        return self


def _demand(entry: Trained, *, modalities: int, whole_batches: bool = False) -> None:
    """What an objective needs of its entry; ValueError says what is wrong."""
    if len(entry.modalities) != modalities or len(set(entry.modalities)) != modalities:
        raise ValueError(f"{entry.kind} takes {modalities} modalit{'y' if modalities == 1 else 'ies'}, not {entry.modalities}")  # type: ignore[attr-defined]
    if whole_batches and entry.training.accumulate > 1:
        raise ValueError(
            "InfoNCE compares the samples of a whole batch, which micro-batches would shrink: set accumulate to 1, and lower "
            "batch_size or use more GPUs if memory does not suffice"
        )
    if whole_batches and entry.training.batch_size < 2:
        raise ValueError("InfoNCE tells the samples of a batch apart: batch_size must be 2 or more")


class Decoder(Section):
    """Decoder of the masked autoencoder."""

    width: Count = Field(description="token width")
    depth: Count = Field(description="transformer blocks")
    heads: Count = Field(description="attention heads")


class Autoencoder(Trained):
    """Masked autoencoder of one modality (Sec. 3.1)."""

    objective = _OBJECTIVES + "reconstruction:Reconstruction"
    kind: Literal["mae"] = Field(description="kind of entry")
    mask_ratio: Fraction = Field(description="share of tokens hidden from the encoder")
    decoder: Decoder = Field(description="decoder")

    @model_validator(mode="after")
    def _check(self) -> "Autoencoder":
        _demand(self, modalities=1)
        return self


class SimCLR(Trained):
    """Two views of each sample told from those of others by NT-Xent (Chen et al. 2020), one modality."""

    objective = _OBJECTIVES + "simclr:SimCLR"
    kind: Literal["simclr"] = Field(description="kind of entry")
    projection_width: Count = Field(description="width of the space of the loss; its projector, two layers, is not kept")
    temperature: Positive = Field(description="temperature of the loss")

    @model_validator(mode="after")
    def _check(self) -> "SimCLR":
        _demand(self, modalities=1, whole_batches=True)
        return self


class Head(Section):
    """What a supervised model puts on its encoder; saved with the model."""

    width: Count = Field(description="token width")
    pool: Literal["mean", "attention"] = Field(description="how tokens become one vector before the linear layer")
    heads: Count = Field(description="attention heads, for pool: attention")
    phenotypes: list[str] = Field(min_length=1, description="names of the outputs")


class Supervised(Trained):
    """Regression of all phenotypes at once, one modality; also full fine-tuning, where it starts from another entry."""

    objective = _OBJECTIVES + "supervised:Supervised"
    kind: Literal["supervised"] = Field(description="kind of entry")
    pool: Literal["mean", "attention"] = Field(description="how tokens become one vector before the linear head")

    @property
    def labels(self) -> bool:
        """Whether it learns from phenotypes."""
        return True

    @model_validator(mode="after")
    def _check(self) -> "Supervised":
        _demand(self, modalities=1)
        return self


class Local(Section):
    """The local loss (Sec. 3.2)."""

    loss: Literal["infonce", "cosine"] = Field(
        description="infonce: Eq. 3; cosine: the mean cosine of matching steps alone, without negatives (CosSim++)"
    )
    beta: Positive = Field(description="weight beside the global loss")
    temperature: Positive = Field(description="temperature; cosine has none and leaves it unused")
    sigma: float = Field(ge=0, description="width of the temporal alignment, in cycles; 0 is one to one")
    phases: Literal["all", "ed_es"] = Field(
        default="all", description="all steps of the cycle, or those of end-diastole and end-systole alone, one to one"
    )


class Contrastive(Trained):
    """Contrastive training of both encoders: global InfoNCE, and a local loss or none (Sec. 3.2)."""

    objective = _OBJECTIVES + "contrastive:Contrastive"
    kind: Literal["contrastive"] = Field(description="kind of entry")
    projection_width: Count = Field(description="width of the shared space of the global loss")
    direction_weight: float = Field(ge=0, le=1, description="weight of ECG to CMR; the rest goes to CMR to ECG")
    temperature: Positive = Field(description="temperature of the global loss")
    local: Local | None = Field(default=None, description="the local loss; none is the Global baseline")

    @model_validator(mode="after")
    def _check(self) -> "Contrastive":
        _demand(self, modalities=2, whole_batches=True)
        if self.local and self.augmentation.ecg and self.augmentation.ecg.surrogate_magnitude > 0.15:
            raise ValueError(
                "surrogate_magnitude above 0.15 moves R-peaks, on which the local loss stands: lower it, or set local to null"
            )
        return self


class CrossAutoencoder(Trained):
    """An autoencoder a modality with a shared latent space (Radhakrishnan et al. 2023)."""

    objective = _OBJECTIVES + "cross:CrossAutoencoder"
    kind: Literal["cmae"] = Field(description="kind of entry")
    decoder: Decoder = Field(description="decoder of each modality")
    latent_width: Count = Field(description="width of the latent space")
    temperature: Positive = Field(description="temperature of the contrastive loss of the latents")
    contrastive_weight: Positive = Field(description="its weight beside the reconstruction losses")

    @model_validator(mode="after")
    def _check(self) -> "CrossAutoencoder":
        _demand(self, modalities=2, whole_batches=True)
        return self


Model = Annotated[Untrained | Autoencoder | SimCLR | Supervised | Contrastive | CrossAutoencoder, Field(discriminator="kind")]


def resolve(entries: dict[str, Any]) -> dict[str, Any]:
    """Entries with what they inherit: `like: NAME` takes over the settings of that entry, and what stands beside it changes them.

    Mappings are merged, all else replaced; null takes a mapping away. ValueError for an unknown name or a circle.
    """
    return {name: _resolved(name, entries, ()) for name in entries}


def _resolved(name: str, entries: dict[str, Any], path: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    base, path = entry["like"], (*path, name)
    if base not in entries or base in path:
        why = "which inherits from it" if base in path else "which there is not"
        raise ValueError(f"models.{name} is like {base}, {why}")
    return _merge(_resolved(base, entries, path), {key: value for key, value in entry.items() if key != "like"})


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return {**base, **{key: _merge(base.get(key), value) for key, value in changes.items()}}
