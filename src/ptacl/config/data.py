"""Sections of the data: simulated cohort, participants, and preparation of the cine."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section


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
    incidence: Annotated[float, Field(ge=0.5)] = Field(
        description=(
            "factor of the incidence of AF and HF; 1 is as in UK Biobank, where a cohort of 2,000 "
            "people has too few events"
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
        description=(
            "folders with ECGs named EID_20205_I_A.xml (or .dcm, .scp, .edf, .hea, ...), searched "
            "two levels deep"
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
    interpolate_frames: tuple[Count, Count] | Literal["auto"] | None = Field(
        description=(
            "least and largest number of frames that are interpolated over the cardiac cycle to "
            "cmr.frames; null: cines with another number are excluded; auto: 20 to 60 with "
            "cohort.source: table, otherwise null"
        )
    )
    min_slices: Count = Field(description="fewer slices than this exclude the cine")
    middle_slice: Literal["auto", "stack", "segmentation"] = Field(
        description=(
            "middle of the whole stack, or of the slices with LV cavity at end-diastole; auto: "
            "the latter if segmented"
        )
    )
    resample_mm: Positive | Literal["auto"] | None = Field(
        description=(
            "size of the pixels to which cines are resampled, mm; null: pixels stay as they are; "
            "auto: 1.83, as in UK Biobank, with cohort.source: table, otherwise null"
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

    @field_validator("series")
    @classmethod
    def _check_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return patterns
