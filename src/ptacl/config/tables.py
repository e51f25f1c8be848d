"""Sections of the evaluation: rows of tables and figures, and uncertainty of their numbers."""

from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section


class TableRow(Section):
    """The settings that every row of a table or figure has."""

    label: str = Field(description="name in tables and figures")
    model: str | None = Field(description="entry of the list of models")


Feature = Literal[
    "ecg",
    "ecg_whole",
    "ecg_phases",
    "cmr",
    "sex",
    "age",
    "height_cm",
    "weight_kg",
    "heart_rate",
    "measurements",
]
EMBEDDINGS = {"ecg": "ecg", "ecg_whole": "ecg", "ecg_phases": "ecg", "cmr": "cmr"}


class RegressionRow(TableRow):
    """One row of Table 2: a linear probe of embeddings or other features, or predictions of a
    supervised model.
    """

    model: str | None = Field(
        default=None,
        description="entry of the list of models, if the features or predictions come from one",
    )
    features: list[Feature] = Field(
        default=[],
        description=(
            "features to probe: embeddings (ecg of the first samples as in the paper, ecg_whole "
            "of the whole record, ecg_phases of its phases, cmr), covariates, heart_rate (mean "
            "and standard deviation of the RR intervals), all ECG measurements, or several"
        ),
    )
    predictions: Literal["ecg", "cmr"] | None = Field(
        default=None, description="modality from which the model itself predicts"
    )
    evaluation: str = Field(
        default="LP",
        description="kind of evaluation: LP linear probe, FN fine-tuned, AP attention pooling",
    )
    paper: str | None = Field(default=None, description="method of the paper's row, if it has one")
    note: str = Field(default="", description="footnote")
    ridge: bool = Field(
        default=False,
        description=(
            "ridge regression, whose strength is chosen on validation participants, instead of "
            "least squares"
        ),
    )
    reference: str | None = Field(
        default=None,
        description="label of the ECG row with which this one is compared, if not the table's",
    )

    @property
    def input(self) -> str:
        """The modality of the input: cmr, ecg, or clinical without an embedding."""
        seen = {self.predictions, *(EMBEDDINGS.get(name) for name in self.features)}
        return next((modality for modality in ("cmr", "ecg") if modality in seen), "clinical")

    @property
    def group(self) -> str:
        """The input as tables name it: CMR, ECG, whole ECG, each with or without clinical features,
        or clinical features alone.
        """
        if self.input == "clinical":
            return "Clinical"
        whole = not {"ecg_whole", "ecg_phases"}.isdisjoint(self.features)
        name = "Whole ECG" if whole else self.input.upper()
        clinical = not EMBEDDINGS.keys() >= set(self.features)
        return f"{name} + clinical" if clinical else name

    @model_validator(mode="after")
    def _check(self) -> "RegressionRow":
        if bool(self.features) == (self.predictions is not None):
            raise ValueError(
                f"row {self.label}: give either features (a linear probe) or predictions "
                "(a supervised model)"
            )
        if (self.input != "clinical") != (self.model is not None):
            raise ValueError(
                f"row {self.label}: a model is needed for embeddings and predictions, and "
                "only for these"
            )
        if self.ridge and self.predictions is not None:
            raise ValueError(f"row {self.label}: ridge is for features, not for predictions")
        return self


class Regression(Section):
    """Phenotypes from embeddings (Table 2)."""

    rows: list[RegressionRow] = Field(
        description="rows in order; the others are tested against the row named by reference"
    )
    reference: str = Field(description="label of the ECG row of the paired test")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class PairRow(TableRow):
    """A row of a contrastive model."""

    model: str = Field(description="entry of the list of models")


class RetrievalRow(PairRow):
    """One row of Table 1."""

    whole_ecg: bool = Field(
        default=False,
        description="use the whole ECG (ecg_whole), not only its first samples as in the paper",
    )
    paper: str | None = Field(default=None, description="method of the paper's row, if it has one")


class Retrieval(Section):
    """Retrieval of participants with a similar phenotype (Table 1)."""

    rows: list[RetrievalRow] = Field(
        min_length=1, description="contrastive models to compare, the reference first"
    )
    ks: list[Count] = Field(min_length=1, description="k of precision at k")
    band: Positive = Field(
        description="half width of a match, in standard deviations of the test set"
    )
    own_cmr: bool = Field(
        description=(
            "keep the query's own CMR in the gallery of the table that is shown; both tables "
            "are computed"
        )
    )
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Alignment(Section):
    """Cosine between ECG and CMR phases (Fig. 2)."""

    rows: list[PairRow] = Field(
        min_length=1, description="contrastive models to compare, the reference first"
    )
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Embedding(Section):
    """Inference."""

    batch_size: Count = Field(description="samples per forward pass")
    crops: Count = Field(
        description=(
            "crops of an ECG, evenly spaced over the record, whose embeddings are averaged for "
            "ecg_whole"
        )
    )
    phases: bool = Field(
        description=(
            "store the local embeddings of ECGs of contrastive models (ecg_phases), which take as "
            "many vectors per visit as there are phases"
        )
    )
