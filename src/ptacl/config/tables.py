"""Sections of the evaluation: rows of tables and figures, and uncertainty of their numbers."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section


class Intervals(Section):
    """How the uncertainty of a table or figure is computed."""

    bootstrap: Count = Field(description="bootstrap draws over participants")
    confidence: Fraction = Field(description="coverage of the intervals")


class TableRow(Section):
    """The settings that every row of a table or figure has."""

    label: str = Field(description="name in tables and figures")
    model: str | None = Field(description="entry of the list of models")


Feature = Literal[
    "ecg",
    "ecg_whole",
    "ecg_phases",
    "cmr",
    "predicted",
    "sex",
    "age",
    "height_cm",
    "weight_kg",
    "heart_rate",
    "measurements",
    "table",
]
# features that come from a model, by modality
EMBEDDINGS = {
    "ecg": "ecg",
    "ecg_whole": "ecg",
    "ecg_phases": "ecg",
    "predicted": "ecg",
    "cmr": "cmr",
}
_OF_WHOLE_ECG = {"ecg_whole", "ecg_phases", "predicted", "heart_rate", "measurements"}


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
            "of the whole record, ecg_phases of its phases, cmr), predicted (the phenotypes that "
            "the model's probe predicts from the whole ECG; only used for diseases), covariates, "
            "heart_rate (mean and standard deviation of the RR intervals), all ECG measurements, "
            "the columns of `table`, or several"
        ),
    )
    table: str | None = Field(
        default=None,
        description=(
            "CSV or parquet file with one row per visit, such as the embedding of another model: "
            "a column visit, and numbers"
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
        description=(
            "label of the ECG row with which this one is compared; null: that of the table"
        ),
    )

    @property
    def sees_whole_ecg(self) -> bool:
        """Whether a feature comes from the whole ECG, not only from its first samples."""
        return not _OF_WHOLE_ECG.isdisjoint(self.features)

    @property
    def input(self) -> str:
        """The modality of the input: cmr, ecg, table, or clinical without an embedding."""
        seen = {self.predictions, *(EMBEDDINGS.get(name, name) for name in self.features)}
        known = ("cmr", "ecg", "table")
        return next((modality for modality in known if modality in seen), "clinical")

    @property
    def group(self) -> str:
        """The input as tables name it: CMR, ECG, whole ECG or other embedding, each with or without
        other features, or only clinical features.
        """
        if self.input == "clinical":
            return "Clinical"
        of_ecg = self.input == "ecg" and "ecg" not in self.features
        name = "Whole ECG" if of_ecg and self.sees_whole_ecg else self.input.upper()
        if self.input == "table":
            name = "Other embedding"
        more = set(self.features) - set(EMBEDDINGS)
        if "table" in more and self.input != "table":
            return f"{name} + other"
        return f"{name} + clinical" if more - {"table"} else name

    @model_validator(mode="after")
    def _check(self) -> "RegressionRow":
        if bool(self.features) == (self.predictions is not None):
            raise ValueError(
                f"row {self.label}: give either features (a linear probe) or predictions "
                "(a supervised model)"
            )
        if (self.input in ("cmr", "ecg")) != (self.model is not None):
            raise ValueError(
                f"row {self.label}: a model is needed for embeddings and predictions, and "
                "only for these"
            )
        if ("table" in self.features) != (self.table is not None):
            raise ValueError(
                f"row {self.label}: `table` names a file, and `features: [table]` uses it; give "
                "both or neither"
            )
        if self.ridge and self.predictions is not None:
            raise ValueError(f"row {self.label}: ridge is for features, not for predictions")
        return self


class Regression(Intervals):
    """Phenotypes from embeddings (Table 2)."""

    rows: list[RegressionRow] = Field(
        description="rows in order; each is tested against its reference, an ECG row"
    )
    reference: str = Field(description="label of the row with which the others are compared")
    whole_reference: str | None = Field(
        default=None,
        description=(
            "label of the row with which rows that see the whole ECG are compared; null: reference"
        ),
    )

    def reference_of(self, row: RegressionRow) -> str:
        """Return the label of the row with which this one is compared."""
        of_table = self.whole_reference if row.sees_whole_ecg else None
        return row.reference or of_table or self.reference

    @model_validator(mode="after")
    def _check_references(self) -> "Regression":
        rows = [row for row in self.rows if "predicted" not in row.features]
        labels = [row.label for row in rows if row.input == "ecg"]
        for reference in (self.reference, *map(self.reference_of, self.rows)):
            if reference not in labels:
                raise ValueError(
                    f"the reference {reference} is not an ECG row of regression.rows: {labels}"
                )
        return self


class LabelFractions(Section):
    """Label efficiency: the rows of Table 2 with fewer training labels."""

    fractions: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, description="fractions of the training participants whose labels are used"
    )
    draws: Count = Field(
        description=(
            "draws of each fraction below 1; draw d of a fraction is a part of draw d of every "
            "larger one, and the same for all rows"
        )
    )


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


class Retrieval(Intervals):
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


class Alignment(Intervals):
    """Cosine between ECG and CMR phases (Fig. 2)."""

    rows: list[PairRow] = Field(
        min_length=1, description="contrastive models to compare, the reference first"
    )


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
