"""The configuration, typed once: one frozen model per section of config.yaml.

Every field has a description and no default, so that config.yaml shows every setting. A rule hands a stage only the section
that the stage uses, as the canonical JSON of :func:`dump`; the stage reads it back with the ``model_validate_json`` of its model.
"""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of the configuration: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Simulation(Section):
    """The simulated paired cohort."""

    participants: Count = Field(description="number of simulated participants")
    zip_fraction: Fraction = Field(description="share of cines written as DICOM zip, the rest as NIfTI")
    second_visit_fraction: Fraction = Field(description="share of participants with a repeat imaging visit (instance 3)")
    defects: int = Field(ge=0, description="defective files of each kind, written on purpose")


class Phenotype(Section):
    """A target of regression and retrieval."""

    name: str = Field(description="column name in the tables")
    field: int = Field(description="UK Biobank field id")
    unit: str = Field(description="unit of the field")
    low: float = Field(description="a value below this is implausible and counts as missing")
    high: float = Field(description="a value above this is implausible and counts as missing")


class Cohort(Section):
    """Which participants there are, where their files lie, and how they are divided."""

    source: Literal["simulated", "files"] = Field(description="simulated: make the input; files: read the folders below")
    ecg_folders: list[str] = Field(description="folders with ECG XML files, searched two levels deep")
    cmr_folders: list[str] = Field(description="folders with cine zips or converted NIfTI folders")
    phenotype_tables: list[str] = Field(description="CSV, TSV or parquet tables, any of the UK Biobank column conventions")
    withdrawals: list[str] = Field(description="withdrawal lists, one id a line, no header")
    instances: list[int] = Field(description="imaging visits to use: an ECG pairs with the cine of the same instance")
    default_instance: int = Field(description="instance of a NIfTI folder whose name gives none")
    shards: Count = Field(
        description="number of preparation jobs a modality; participants fall into shards by a hash of their id"
    )
    validation_fraction: Fraction = Field(description="share of participants for validation, carved from training")
    test_fraction: Fraction = Field(description="share of participants for testing")
    identity_tolerance: Positive = Field(
        description="largest relative error of SV = EDV - ESV and EF = SV / EDV before both are doubted"
    )
    phenotypes: list[Phenotype] = Field(description="the targets, in the order of the tables")

    @model_validator(mode="after")
    def _check(self) -> "Cohort":
        if self.source == "files" and not (self.ecg_folders and self.cmr_folders and self.phenotype_tables):
            raise ValueError("source: files needs ecg_folders, cmr_folders and phenotype_tables")
        if self.source == "simulated" and (self.ecg_folders or self.cmr_folders or self.phenotype_tables):
            raise ValueError("folders and tables are given, but source is simulated: set source to files, or take them away")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must leave something to train on")
        return self


class Wavelet(Section):
    """Denoising by zeroing bands of a discrete wavelet transform."""

    family: str = Field(description="wavelet family of PyWavelets")
    level: Count = Field(description="levels of decomposition")
    mode: str = Field(description="signal extension mode")
    zeroed: list[str] = Field(description="coefficients set to zero: A8 is the approximation, D1 the finest detail")


class RPeaks(Section):
    """R-peak detection and its quality gates."""

    method: Literal["sleepecg", "neurokit", "pantompkins1985", "kalidas2017", "emrich2023"] = Field(
        description="detector that places the R-peak within a beat; the beats are found in all leads"
    )
    lead: Literal["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"] = Field(
        description="lead that the detector sees"
    )
    min_likeness: float = Field(
        ge=-1, le=1, description="least correlation of the beats with one another; below it they are noise: excluded"
    )
    min_rate_bpm: Positive = Field(description="a mean heart rate below this excludes the record")
    max_rate_bpm: Positive = Field(description="a mean heart rate above this excludes the record")
    min_beats: Count = Field(description="fewer R-peaks than this exclude the record")
    max_rr_ratio: Positive = Field(
        description="longest over shortest RR interval above which the record is flagged as irregular, not excluded"
    )


class Ecg(Section):
    """Reading and preparation of the ECG."""

    rate_hz: Count = Field(description="sampling rate that a record must have")
    num_samples: Count = Field(description="samples a lead that a record must have")
    einthoven_tolerance_counts: Positive = Field(description="largest |I + III - II| and limb-lead error, in counts")
    wavelet: Wavelet = Field(description="denoising")
    rpeaks: RPeaks = Field(description="R-peak detection")


class Labels(Section):
    """Values of the segmentation."""

    lv: int = Field(description="left ventricular cavity")
    myocardium: int = Field(description="left ventricular myocardium")
    rv: int = Field(description="right ventricular cavity")


class Cmr(Section):
    """Reading and preparation of the cine."""

    frames: Count = Field(description="frames that a cine must have")
    min_slices: Count = Field(description="fewer slices than this exclude the cine")
    middle_slice: Literal["auto", "stack", "segmentation"] = Field(
        description="middle of the whole stack, or of the slices with LV cavity at end-diastole; auto: the latter if segmented"
    )
    size: Count = Field(description="side of the square crop, pixels")
    crop: Literal["auto", "segmentation", "motion"] = Field(
        description="source of the crop centre; auto: segmentation where there is one"
    )
    labels: Labels = Field(description="label values of seg_sa.nii.gz")
    density_g_per_ml: Positive = Field(description="density of myocardium")
    clip_percentiles: tuple[float, float] = Field(
        description="intensities clipped to these percentiles of the sequence before min-max"
    )


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


class Encoders(Section):
    """The two encoders, and what is done to a stored sample before them."""

    zscore: Literal["lead", "group", "sample"] = Field(
        description="axis of the ECG z-score: each lead, limb/augmented/chest group, or whole record"
    )
    ecg: Encoder = Field(description="ECG: leads x samples")
    cmr: Encoder = Field(description="CMR: frames x height x width")


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


class Decoder(Section):
    """Decoder of the masked autoencoder."""

    width: Count = Field(description="token width")
    depth: Count = Field(description="transformer blocks")
    heads: Count = Field(description="attention heads")


class EcgPretraining(Section):
    """Masked-autoencoder pre-training of the ECG encoder."""

    mask_ratio: Fraction = Field(description="share of tokens hidden from the encoder")
    decoder: Decoder = Field(description="decoder")
    augmentation: EcgAugmentation = Field(description="augmentation")
    training: Training = Field(description="training run")


class CmrPretraining(Section):
    """Masked-autoencoder pre-training of the CMR encoder."""

    mask_ratio: Fraction = Field(description="share of tokens hidden from the encoder")
    decoder: Decoder = Field(description="decoder")
    augmentation: CmrAugmentation = Field(description="augmentation")
    training: Training = Field(description="training run")


class Pretraining(Section):
    """Single-modality pre-training."""

    ecg: EcgPretraining = Field(description="ECG")
    cmr: CmrPretraining = Field(description="CMR")


class Experiment(Section):
    """One contrastive training of both encoders."""

    title: str = Field(description="name in tables and figures")
    initial: Literal["mae", "random"] = Field(description="weights to start from")
    frozen_layers: int = Field(ge=0, description="first blocks kept fixed, with patch embedding and positions; 0 freezes nothing")
    projection_width: Count = Field(description="width of the shared space of the global loss")
    direction_weight: float = Field(ge=0, le=1, description="weight of ECG to CMR; the rest goes to CMR to ECG")
    global_temperature: Positive = Field(description="temperature of the global loss")
    beta: float = Field(ge=0, description="weight of the local loss; 0 is the Global baseline")
    local_temperature: Positive = Field(description="temperature of the local loss")
    sigma: float = Field(ge=0, description="width of the temporal alignment, in cycles; 0 is one to one")
    ecg_augmentation: EcgAugmentation = Field(description="ECG augmentation")
    cmr_augmentation: CmrAugmentation = Field(description="CMR augmentation")
    training: Training = Field(description="training run")

    @model_validator(mode="after")
    def _check(self) -> "Experiment":
        if self.beta > 0 and self.ecg_augmentation.surrogate_magnitude > 0.15:
            raise ValueError(
                "surrogate_magnitude above 0.15 moves R-peaks, on which the local loss stands: lower it, or set beta to 0"
            )
        if self.initial == "random" and self.frozen_layers:
            raise ValueError("frozen_layers with initial: random would keep layers that never learnt: set frozen_layers to 0")
        if self.training.accumulate > 1:
            raise ValueError(
                "InfoNCE compares the pairs of a whole batch, which micro-batches would shrink: set accumulate to 1, and lower "
                "batch_size or use more GPUs if memory does not suffice"
            )
        if self.training.batch_size < 2:
            raise ValueError("InfoNCE tells the pairs of a batch apart: batch_size must be 2 or more")
        return self


class RegressionRow(Section):
    """One row of Table 2."""

    input: Literal["cmr", "ecg"] = Field(description="whose embedding is probed")
    method: str = Field(description="name of the row")
    model: str = Field(description="random, ecg_mae, cmr_mae or an experiment")


class Regression(Section):
    """Linear probes (Table 2)."""

    rows: list[RegressionRow] = Field(
        description="rows in order; the row named by reference is what the others are tested against"
    )
    reference: str = Field(description="method of the paired test")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Retrieval(Section):
    """Retrieval of participants with a like phenotype (Table 1)."""

    experiments: list[str] = Field(description="experiments to compare, the reference first")
    ks: list[Count] = Field(min_length=1, description="k of precision at k")
    band: Positive = Field(description="half width of a match, in standard deviations of the test set")
    own_cmr: bool = Field(description="leave the query's own CMR in the gallery of the table shown; both are computed")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Alignment(Section):
    """Cosine of ECG and CMR steps (Fig. 2)."""

    experiments: list[str] = Field(description="experiments to compare")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Embedding(Section):
    """Inference."""

    batch_size: Count = Field(description="samples a forward pass")


class Config(Section):
    """All of config.yaml."""

    seed: int = Field(description="the one seed of the project")
    seeds: list[int] = Field(min_length=1, description="seeds of the contrastive trainings")
    simulation: Simulation = Field(description="simulated cohort, used where cohort.source is simulated")
    cohort: Cohort = Field(description="participants")
    ecg: Ecg = Field(description="ECG preparation")
    cmr: Cmr = Field(description="CMR preparation")
    encoders: Encoders = Field(description="model sizes")
    pretraining: Pretraining = Field(description="masked autoencoders")
    experiments: dict[str, Experiment] = Field(description="contrastive trainings by name")
    embedding: Embedding = Field(description="inference")
    regression: Regression = Field(description="Table 2")
    retrieval: Retrieval = Field(description="Table 1")
    alignment: Alignment = Field(description="Fig. 2")

    @model_validator(mode="after")
    def _check(self) -> "Config":
        models = {"random", "ecg_mae", "cmr_mae", *self.experiments}
        named = {r.model for r in self.regression.rows} | set(self.retrieval.experiments) | set(self.alignment.experiments)
        if unknown := sorted(named - models):
            raise ValueError(f"regression, retrieval or alignment names {unknown}; known are {sorted(models)}")
        if self.regression.reference not in {row.method for row in self.regression.rows if row.input == "ecg"}:
            methods = [row.method for row in self.regression.rows if row.input == "ecg"]
            raise ValueError(f"regression.reference {self.regression.reference} is no ECG row of regression.rows: {methods}")
        depth = min(self.encoders.ecg.depth, self.encoders.cmr.depth)
        if deep := [name for name, e in self.experiments.items() if e.frozen_layers > depth]:
            raise ValueError(f"experiments {deep} freeze more layers than the {depth} that an encoder has: lower frozen_layers")
        return self._check_shapes()

    def _check_shapes(self) -> "Config":
        if self.encoders.ecg.shape[1] > self.ecg.num_samples:
            raise ValueError("encoders.ecg.shape is longer than a record: ecg.num_samples")
        if self.encoders.cmr.shape[0] > self.cmr.frames:
            raise ValueError("encoders.cmr.shape has more frames than a cine: cmr.frames")
        if self.encoders.cmr.shape[1:] != [self.cmr.size, self.cmr.size]:
            raise ValueError("encoders.cmr.shape does not fit cmr.size")
        return self


def parse(values: dict[str, Any]) -> Config:
    """Validate the settings; ValueError lists each wrong key by its full name."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}{_meant(e)}" for e in error.errors()]
        raise ValueError("the configuration has errors:\n" + "\n".join(lines)) from None


def _meant(error: Any) -> str:
    """A known name that resembles an unknown key."""
    names = sorted({name for section in Section.__subclasses__() for name in section.model_fields})
    close = difflib.get_close_matches(str(error["loc"][-1]), names, 1) if error["type"] == "extra_forbidden" else []
    return f"; did you mean {close[0]}?" if close else ""


def load(path: Path) -> Config:
    """Read and validate a configuration file."""
    return parse(yaml.safe_load(Path(path).read_text()))


def dump(*sections: Section, **named: Any) -> str:
    """One canonical JSON string of one section, or of several values by name: sorted keys, defaults resolved."""
    plain = sections[0].model_dump(mode="json") if sections else {}
    plain |= {k: v.model_dump(mode="json") if isinstance(v, Section) else v for k, v in named.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
