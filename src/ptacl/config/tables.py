"""Sections of the evaluation: which rows the tables and figures have, and how uncertain their numbers are."""

from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section


class Row(Section):
    """What every row of a table or figure has."""

    label: str = Field(description="name in tables and figures")
    model: str | None = Field(description="entry of the list of models")
    extra: bool = Field(default=False, description="shown, and its model trained, with rows: all alone")


Feature = Literal["ecg", "cmr", "sex", "age", "height_cm", "weight_kg", "measurements"]


class RegressionRow(Row):
    """One row of Table 2: a linear probe of embeddings or of other features, or what a supervised model predicts."""

    model: str | None = Field(default=None, description="entry of the list of models, where features or predictions are of one")
    features: list[Feature] = Field(
        default=[], description="what is probed: embeddings of modalities, covariates, ECG measurements, or several"
    )
    predictions: Literal["ecg", "cmr"] | None = Field(default=None, description="modality from which the model itself predicts")
    evaluation: str = Field(default="LP", description="how it is evaluated: LP linear probe, FN fine-tuned, AP attention pooling")
    paper: str | None = Field(default=None, description="method of the paper's row, where it has one")
    note: str = Field(default="", description="footnote")

    @property
    def input(self) -> str:
        """What is seen: cmr, ecg, or clinical where there is no embedding."""
        seen = [self.predictions, *self.features]
        return next((modality for modality in ("cmr", "ecg") if modality in seen), "clinical")

    @property
    def group(self) -> str:
        """The same as tables name it; an embedding beside other features is a group of its own."""
        clinical = not {"ecg", "cmr"}.issuperset(self.features)
        return "Clinical" if self.input == "clinical" else self.input.upper() + (" + clinical" if clinical else "")

    @model_validator(mode="after")
    def _check(self) -> "RegressionRow":
        if bool(self.features) == (self.predictions is not None):
            raise ValueError(f"row {self.label}: give either features (a linear probe) or predictions (a supervised model)")
        if (self.input != "clinical") != (self.model is not None):
            raise ValueError(f"row {self.label}: a model is needed for embeddings and predictions, and for nothing else")
        return self


class Regression(Section):
    """Phenotypes from embeddings (Table 2)."""

    rows: list[RegressionRow] = Field(
        description="rows in order; the row named by reference is what the others are tested against"
    )
    reference: str = Field(description="label of the ECG row of the paired test")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class PairRow(Row):
    """A row of a contrastive model."""

    model: str = Field(description="entry of the list of models")


class RetrievalRow(PairRow):
    """One row of Table 1."""

    paper: str | None = Field(default=None, description="method of the paper's row, where it has one")


class Retrieval(Section):
    """Retrieval of participants with a like phenotype (Table 1)."""

    rows: list[RetrievalRow] = Field(min_length=1, description="contrastive models to compare, the reference first")
    ks: list[Count] = Field(min_length=1, description="k of precision at k")
    band: Positive = Field(description="half width of a match, in standard deviations of the test set")
    own_cmr: bool = Field(description="leave the query's own CMR in the gallery of the table shown; both are computed")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Alignment(Section):
    """Cosine of ECG and CMR steps (Fig. 2)."""

    rows: list[PairRow] = Field(min_length=1, description="contrastive models to compare, the reference first")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Embedding(Section):
    """Inference."""

    batch_size: Count = Field(description="samples a forward pass")
