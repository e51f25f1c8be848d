"""Sections of the data: simulated cohort, participants, and preparation of ECG and CMR."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section

_STRIP_S = (8, 12)  # possible lengths of a resting ECG


class Simulation(Section):
    """The simulated paired cohort."""

    participants: Count = Field(description="number of simulated participants")
    zip_fraction: Fraction = Field(
        description="share of cines written as DICOM zip; the rest are NIfTI"
    )
    second_visit_fraction: Fraction = Field(
        description="share of participants with a repeat imaging visit (instance 3)"
    )
    timing: Literal["none", "default", "strong"] = Field(
        description=(
            "how much an ECG tells about the timing of one heart: share of the spread of QRS width "
            "and T onset that comes from the delay of ejection (0, 0.25 or 0.75)"
        )
    )
    defects: int = Field(ge=0, description="defective files of each kind, written on purpose")


class Phenotype(Section):
    """A target of regression and retrieval."""

    name: str = Field(description="column name in the tables")
    field: int | None = Field(
        default=None, description="UK Biobank field id; not used with a table of another cohort"
    )
    unit: str = Field(description="unit of the field")
    low: float = Field(description="a value below this is implausible and counts as missing")
    high: float = Field(description="a value above this is implausible and counts as missing")


class Cohort(Section):
    """The participants, the locations of their files, and the split."""

    source: Literal["simulated", "files", "table"] = Field(
        description=(
            "simulated: simulate the input; files: read the folders below; table: another "
            "cohort (docs/other-cohorts.md)"
        )
    )
    table: str | None = Field(
        default=None, description="path of the table, for source: table (docs/other-cohorts.md)"
    )
    ecg_folders: list[str] = Field(
        description="folders with ECG XML files, searched two levels deep"
    )
    ecg_format: Literal["cardiosoft", "auto"] = Field(
        description=(
            "cardiosoft: only EID_20205_I_A.xml; auto: files of any format with such names, "
            "detected by content"
        )
    )
    cmr_folders: list[str] = Field(description="folders with cine zips or converted NIfTI folders")
    phenotype_tables: list[str] = Field(
        description="CSV, TSV or parquet tables, with any of the UK Biobank column conventions"
    )
    withdrawals: list[str] = Field(description="withdrawal lists, one id per line, no header")
    unpaired: Literal["exclude", "pretrain"] = Field(
        description=(
            "visits with only an ECG or a cine; pretrain: they join the pre-training of their "
            "modality, and nothing else"
        )
    )
    instances: list[int] = Field(
        description="imaging visits to use: an ECG pairs with the cine of the same instance"
    )
    default_instance: int = Field(description="instance of a NIfTI folder whose name gives none")
    shards: Count = Field(
        description=(
            "preparation jobs per modality; participants are divided into shards by a hash of "
            "their id"
        )
    )
    validation_fraction: Fraction = Field(
        description="share of participants for validation, taken from training"
    )
    test_fraction: Fraction = Field(description="share of participants for testing")
    identity_tolerance: Positive = Field(
        description=(
            "largest relative error of SV = EDV - ESV and EF = SV / EDV; beyond it, these "
            "values count as missing"
        )
    )
    phenotypes: list[Phenotype] = Field(description="targets, in the order of the tables")

    def require_paths(self) -> None:
        """Raise FileNotFoundError for the first folder or file that does not exist, with its
        setting.
        """
        for setting in ("ecg_folders", "cmr_folders", "phenotype_tables", "withdrawals", "table"):
            value = getattr(self, setting) or []
            for path in [value] if isinstance(value, str) else value:
                if not Path(path).exists():
                    raise FileNotFoundError(
                        f"cohort.{setting}: there is no {path}; correct the path, or mount "
                        "its file system"
                    )

    @model_validator(mode="after")
    def _check(self) -> "Cohort":
        if self.source == "files" and not (
            self.ecg_folders and self.cmr_folders and self.phenotype_tables
        ):
            raise ValueError("source: files needs ecg_folders, cmr_folders and phenotype_tables")
        if self.source != "files" and (
            self.ecg_folders or self.cmr_folders or self.phenotype_tables
        ):
            raise ValueError(
                f"folders and tables are given, but source is {self.source}: set source to "
                "files, or remove them"
            )
        if (self.source == "table") != (self.table is not None):
            raise ValueError("source: table needs table, a path; and table is only for that source")
        if self.source != "table" and (
            none := [p.name for p in self.phenotypes if p.field is None]
        ):
            raise ValueError(
                f"phenotypes {', '.join(none)}: source {self.source} needs a field id for each"
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                "validation_fraction + test_fraction must be below 1, to leave "
                "participants to train on"
            )
        return self


class Wavelet(Section):
    """Denoising by zeroing bands of a discrete wavelet transform."""

    family: str = Field(description="wavelet family of PyWavelets")
    level: Count = Field(description="levels of decomposition")
    mode: str = Field(description="signal extension mode")
    zeroed: list[str] = Field(
        description="bands set to zero: A8 is the approximation, D1 the finest detail"
    )


class RPeaks(Section):
    """R-peak detection and its quality gates."""

    method: Literal["sleepecg", "neurokit", "pantompkins1985", "kalidas2017", "emrich2023"] = Field(
        description=(
            "detector that places the R-peak within a beat; the beats themselves are found in "
            "all leads"
        )
    )
    lead: Literal["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"] = (
        Field(description="lead on which the detector runs")
    )
    min_likeness: float = Field(
        ge=-1,
        le=1,
        description=(
            "least correlation of the beats with one another; below it, they are noise, and "
            "the record is excluded"
        ),
    )
    min_rate_bpm: Positive = Field(description="a mean heart rate below this excludes the record")
    max_rate_bpm: Positive = Field(description="a mean heart rate above this excludes the record")
    min_device_agreement: Fraction = Field(
        description=(
            "least agreement (Dice) with the device's beat list, if it has one; below it, the "
            "record is excluded"
        )
    )
    min_beats: Count = Field(description="fewer R-peaks than this exclude the record")
    max_rr_ratio: Positive = Field(
        description=(
            "longest over shortest RR interval; above it, the rhythm is flagged as irregular, "
            "not excluded"
        )
    )


EcgFlag = Literal[
    "saturated lead",
    "noise in a lead",
    "irregular rhythm",
    "arm electrodes look exchanged",
    "another participant in the ECG file than in its name",
]


class EcgFaults(Section):
    """Limits for ECGs, beyond all real records that were examined (ptacl.ecg.quality); outside, a
    record is excluded.
    """

    max_constant_s: Positive = Field(
        description="longest stretch in which a lead keeps one value, seconds"
    )
    max_equal_share: Fraction = Field(
        description="largest share of samples in which two leads are equal"
    )
    doubtful_extreme_share: Fraction = Field(
        description="share of samples at the highest or the lowest value of a lead, for a flag"
    )
    max_extreme_share: Fraction = Field(description="the same, for an exclusion")
    max_range_mv: Positive = Field(
        description="largest difference between the highest and the lowest value of a lead, mV"
    )
    doubtful_noise_mv: Positive = Field(
        description=(
            "standard deviation of the noise above a quarter of the sampling rate, mV, for a flag"
        )
    )
    max_noise_mv: Positive = Field(description="the same, for an exclusion")


class Ecg(Section):
    """Reading and preparation of the ECG."""

    rate_hz: Count = Field(description="sampling rate that a record must have")
    num_samples: Count = Field(description="samples per lead that a record must have")
    einthoven_tolerance_counts: Positive = Field(
        description="largest |I + III - II| and limb-lead error, in counts"
    )
    faults: EcgFaults = Field(
        description="limits beyond which a signal cannot be an ECG at rest, or is doubtful"
    )
    exclude: list[EcgFlag] = Field(
        description="flags that exclude a record; without this, it is only counted and shown"
    )
    wavelet: Wavelet = Field(description="denoising")
    rpeaks: RPeaks = Field(description="R-peak detection")
    delineation: Literal["prominence", "dwt", "peak", "cwt", "none"] = Field(
        description=(
            "method of NeuroKit2 for our own intervals, in addition to the device's; none: "
            "only the device's"
        )
    )

    @model_validator(mode="after")
    def _check(self) -> "Ecg":
        if not _STRIP_S[0] <= (seconds := self.num_samples / self.rate_hz) <= _STRIP_S[1]:
            raise ValueError(
                f"{self.num_samples} samples at {self.rate_hz} Hz are {seconds:g} s: set "
                "both for 8 to 12 s"
            )
        return self


class Labels(Section):
    """Values of the segmentation."""

    lv: int = Field(description="left ventricular cavity")
    myocardium: int = Field(description="left ventricular myocardium")
    rv: int = Field(description="right ventricular cavity")


class Cmr(Section):
    """Reading and preparation of the cine."""

    series: list[str] = Field(
        description=(
            "patterns of the names of DICOM series that can be the short-axis cine; empty: those "
            "of UK Biobank, otherwise chosen by the properties of the images"
        )
    )
    frames: Count = Field(description="frames that a cine must have")
    min_slices: Count = Field(description="fewer slices than this exclude the cine")
    middle_slice: Literal["auto", "stack", "segmentation"] = Field(
        description=(
            "middle of the whole stack, or of the slices with LV cavity at end-diastole; auto: "
            "the latter if segmented"
        )
    )
    size: Count = Field(description="side of the square crop, pixels")
    crop: Literal["auto", "segmentation", "motion"] = Field(
        description="source of the crop centre; auto: the segmentation if one exists, else motion"
    )
    labels: Labels = Field(description="label values of seg_sa.nii.gz")
    density_g_per_ml: Positive = Field(description="density of the myocardium, g/mL")
    clip_percentiles: tuple[float, float] = Field(
        description=(
            "percentiles of the sequence to which intensities are clipped before min-max scaling"
        )
    )
    hot_ratio: Positive = Field(
        description=(
            "range over that of 99.9 % of the pixels; beyond it, the few above are clipped and "
            "counted as hot"
        )
    )
    pixel_mm: tuple[float, float] = Field(
        description="least and largest distance between rows and between columns, mm"
    )
    slice_mm: tuple[float, float] = Field(
        description="least and largest distance between slices, mm"
    )
