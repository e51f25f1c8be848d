"""Sections of the evaluation: which rows the tables and figures have, and how uncertain their numbers are."""

from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section


class Row(Section):
    """What every row of a table or figure has."""

    label: str = Field(description="name in tables and figures")
    model: str = Field(description="entry of the list of models")
    extra: bool = Field(default=False, description="shown, and its model trained, with rows: all alone")


class RegressionRow(Row):
    """One row of Table 2: a linear probe of embeddings, or what a supervised model predicts."""

    features: Literal["ecg", "cmr"] | None = Field(default=None, description="modality whose embedding is probed")
    predictions: Literal["ecg", "cmr"] | None = Field(default=None, description="modality from which the model itself predicts")
    evaluation: str = Field(default="LP", description="how it is evaluated: LP linear probe, FN fine-tuned, AP attention pooling")
    paper: str | None = Field(default=None, description="method of the paper's row, where it has one")
    note: str = Field(default="", description="footnote")

    @property
    def input(self) -> str:
        """The modality that is seen."""
        return str(self.features or self.predictions)

    @model_validator(mode="after")
    def _check(self) -> "RegressionRow":
        if (self.features is None) == (self.predictions is None):
            raise ValueError(f"row {self.label}: give either features (a linear probe) or predictions (a supervised model)")
        return self


class Regression(Section):
    """Phenotypes from embeddings (Table 2)."""

    rows: list[RegressionRow] = Field(
        description="rows in order; the row named by reference is what the others are tested against"
    )
    reference: str = Field(description="label of the ECG row of the paired test")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class RetrievalRow(Row):
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

    rows: list[Row] = Field(min_length=1, description="contrastive models to compare, the reference first")
    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class Embedding(Section):
    """Inference."""

    batch_size: Count = Field(description="samples a forward pass")
