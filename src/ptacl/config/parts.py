"""Sections of the parts of models: encoders, decoder and head, augmentation, training runs."""

from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Positive, Section, Share

Modality = Literal["ecg", "cmr"]
Over = Literal["lead", "group", "sample", "cohort"]


class Encoder(Section):
    """A vision transformer over a grid of patches."""

    shape: list[int] = Field(description="input size, one number per axis")
    patch: list[int] = Field(description="patch size, one number per axis")
    width: Count = Field(description="token width")
    depth: Count = Field(description="transformer blocks")
    heads: Count = Field(description="attention heads")

    @model_validator(mode="after")
    def _check(self) -> "Encoder":
        if len(self.shape) != len(self.patch) or any(
            s % p for s, p in zip(self.shape, self.patch, strict=False)
        ):
            raise ValueError(f"patch {self.patch} does not divide shape {self.shape}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class ResNet(Section):
    """A ResNet-50 over three frames as channels: end-diastole, half way to end-systole,
    end-systole.
    """

    shape: list[int] = Field(description="3 x height x width")
    base_width: Count = Field(description="channels of the first convolution; 64 is ResNet-50")

    @property
    def depth(self) -> int:
        """Number of blocks that can be frozen."""
        return 16

    @model_validator(mode="after")
    def _check(self) -> "ResNet":
        if len(self.shape) != 3 or self.shape[0] != 3:
            raise ValueError(f"shape {self.shape} must be three frames, height and width")
        return self


AnyEncoder = Encoder | ResNet


class Maps(Section):
    """Plain copies of the stores on a local disk, from which trainings read; all jobs of a machine
    share them.
    """

    folder: str = Field(
        description=(
            "folder of the copies; can contain variables such as $TMPDIR; empty: recordings "
            "are read into memory"
        )
    )
    max_gb: float = Field(
        ge=0,
        description=(
            "largest size of all copies; the least recently used go first, and memory is used "
            "if one does not fit"
        ),
    )


class Storage(Section):
    """How many raw files may be lost before a run stops, because the storage may have failed.

    Up to five are always allowed, and 1 allows all.
    """

    lost_of_shard: Share = Field(
        description=(
            "largest share of the files of a preparation job that do not exist or cannot be read"
        )
    )
    lost_of_cohort: Share = Field(
        description="largest share of the files of a cohort that do not exist or cannot be read"
    )
    vanished: Share = Field(
        description=(
            "largest share of the visits of the last run that may be missing in the same folders "
            "without a withdrawal"
        )
    )


class Encoders(Section):
    """The two encoders, and the standardisation of their inputs."""

    zscore: Over = Field(
        description="samples over which an ECG is z-scored: each lead; each group of leads (I-III, "
        "aVR-aVF, V1-V6); the whole "
        "record, which keeps the ratios of leads; or the training cohort, which also keeps voltages"
    )
    ecg: Encoder = Field(description="ECG: leads x samples")
    cmr: Encoder = Field(description="CMR: frames x height x width")


class Inputs(Section):
    """The part of the section `encoders` that one model uses, so that settings of other modalities
    do not rerun it.
    """

    zscore: Over = Field(description="samples over which an ECG is z-scored")
    encoders: dict[Modality, AnyEncoder] = Field(description="encoders by modality")


class EcgAugmentation(Section):
    """Augmentation of an ECG, one draw per record."""

    random_crop: bool = Field(description="crop at a random start; otherwise the first samples")
    surrogate_magnitude: float = Field(
        ge=0,
        le=1,
        description="Fourier surrogate: Fourier phases shift by up to this share of a turn",
    )
    jitter: float = Field(ge=0, description="multiplicative noise: x + 0.6 x N(0, jitter)")
    rescaling: float = Field(
        ge=0, description="one factor exp(N(0, rescaling)) per record; the sign is kept"
    )
    probability: float = Field(
        ge=0, le=1, description="probability of surrogate, jitter and rescaling"
    )


class CmrAugmentation(Section):
    """Augmentation of a cine, one draw per sequence."""

    time_jitter: float = Field(
        ge=0,
        le=1,
        description="sampled frames move within this share of their stride, equally to both sides",
    )
    crop_scale: tuple[float, float] = Field(
        description="random resized crop: range of the area kept"
    )
    crop_ratio: tuple[float, float] = Field(
        description="random resized crop: range of the aspect ratio"
    )
    rotation_degrees: float = Field(ge=0, description="rotation by up to this angle")
    flip_probability: float = Field(ge=0, le=1, description="probability of a horizontal flip")
    brightness: float = Field(ge=0, description="brightness factor within 1 +- this")
    contrast: float = Field(ge=0, description="contrast factor within 1 +- this")
    blur_sigma: tuple[float, float] = Field(description="range of the Gaussian blur, pixels")
    noise: float = Field(ge=0, description="standard deviation of added noise, of a range of 1")
    probability: float = Field(
        ge=0, le=1, description="probability of each of rotation with crop, colour, blur and noise"
    )


class Training(Section):
    """One training run of `fit`."""

    epochs: Count = Field(description="passes over the training set")
    batch_size: Count = Field(description="samples per optimiser step, over all processes")
    accumulate: Count = Field(description="micro-batches per optimiser step")
    learning_rate: Positive = Field(
        description="peak learning rate of AdamW; it is never scaled by the batch size"
    )
    warmup_epochs: float = Field(
        ge=0, description="epochs of linear warm-up, before a cosine decay to zero"
    )
    weight_decay: float = Field(
        ge=0, description="AdamW weight decay, on tensors of two or more dimensions"
    )
    betas: tuple[float, float] = Field(description="AdamW betas")
    clip_norm: float = Field(ge=0, description="gradient norm limit; 0 for none")
    precision: Literal["float32", "bfloat16", "tf32"] = Field(
        description="type of matrix products; the losses are always computed in float32"
    )
    compile: bool = Field(description="torch.compile")
    recompute: bool = Field(
        default=False,
        description=(
            "recompute the activations of transformer blocks in the backward pass: less "
            "memory, more time"
        ),
    )
    select: Literal["last", "best"] = Field(
        description=(
            "weights to keep: the last, or those of the best validation loss (contrastive: of "
            "its global term)"
        )
    )
    patience: int = Field(
        ge=0, description="epochs without a better validation loss before stopping; 0 for never"
    )
    checkpoint_seconds: float = Field(
        ge=0, description="least time between two checkpoints, seconds; 0 for one per step"
    )

    @property
    def needs_validation(self) -> bool:
        """Whether the training needs validation participants."""
        return self.select == "best" or self.patience > 0

    @model_validator(mode="after")
    def _check(self) -> "Training":
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs:g} leave nothing of {self.epochs} "
                "epochs: lower warmup_epochs"
            )
        return self


class Augmentation(Section):
    """Augmentation of the modalities that a model is trained on; null keeps the evaluation view."""

    ecg: EcgAugmentation | None = Field(default=None, description="augmentation of the ECG")
    cmr: CmrAugmentation | None = Field(default=None, description="augmentation of the cine")


class Decoder(Section):
    """Decoder of the masked autoencoder."""

    width: Count = Field(description="token width")
    depth: Count = Field(description="transformer blocks")
    heads: Count = Field(description="attention heads")

    @model_validator(mode="after")
    def _check(self) -> "Decoder":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class Head(Section):
    """The head of a supervised model on its encoder; saved with the model."""

    width: Count = Field(description="token width")
    pool: Literal["mean", "attention"] = Field(
        description="how tokens become one vector before the linear layer"
    )
    heads: Count = Field(description="attention heads, for pool: attention")
    phenotypes: list[str] = Field(min_length=1, description="names of the outputs")
