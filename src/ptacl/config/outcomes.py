"""Section of diseases and outcomes."""

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ptacl.config.section import Count, Positive, Section

Nation = Literal["England", "Scotland", "Wales"]


class Disease(Section):
    """A disease, by the date on which it was first recorded."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9 ()-]*$", description="name in tables and figures"
    )
    fields: list[int] = Field(
        default=[],
        description=(
            "UK Biobank fields with dates of first occurrence; the earliest counts. Not used with "
            "a table of another cohort"
        ),
    )
    only_before: bool = Field(
        default=False,
        description=(
            "leave out what happens after the visit, for diseases that hospitals record late, such "
            "as hypertension"
        ),
    )


SIMULATED_DISEASES = [
    Disease(name="AF", fields=[131350]),
    Disease(name="HF", fields=[131354]),
    Disease(name="Hypertension", fields=[131286], only_before=True),
    Disease(name="Diabetes", fields=[130708], only_before=True),
]
SIMULATED_ENDS: dict[Nation, str] = {
    "England": "2022-10-31",
    "Scotland": "2021-07-31",
    "Wales": "2018-02-28",
}


class Outcomes(Section):
    """Diseases before the visit, and outcomes after it."""

    diseases: list[Disease] | Literal["auto"] = Field(
        description=(
            "diseases, or auto: with the simulated cohort those it has, otherwise none; with an "
            "empty list, none of this is computed"
        )
    )
    follow_up_ends: dict[Nation, Annotated[str, Field(description="last day")]] = Field(
        description=(
            "last day of complete hospital data of your release by nation, such as 2022-10-31; "
            "needed with files, for diseases after the visit"
        )
    )
    horizon_years: Positive = Field(
        description="time after the visit up to which outcomes are evaluated"
    )
    least_events: Count = Field(
        description=(
            "training or test participants with a disease below which it is only counted; below "
            "100 test participants, results are marked as uncertain"
        )
    )
    baseline: str | None = Field(
        description=(
            "label of a row of regression.rows without an embedding, with which rows that add "
            "features to it are compared; null, or no such row: with their usual reference"
        )
    )

    @field_validator("follow_up_ends", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        """Take dates that YAML has read as dates."""
        if not isinstance(value, dict):
            return value
        return {k: v.isoformat() if isinstance(v, datetime.date) else v for k, v in value.items()}

    @field_validator("follow_up_ends")
    @classmethod
    def _check_dates(cls, value: dict[Nation, str]) -> dict[Nation, str]:
        for nation, day in value.items():
            try:
                datetime.date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{nation}: {day} is not a date like 2022-10-31") from None
        return value

    @field_validator("diseases")
    @classmethod
    def _check_names(
        cls, value: list[Disease] | Literal["auto"]
    ) -> list[Disease] | Literal["auto"]:
        if value == "auto":
            return value
        names = [disease.name for disease in value]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"diseases: the name {min(repeated)} occurs twice")
        return value

    def require(self, source: str) -> None:
        """Raise ValueError for what a cohort of this source needs in addition."""
        if source == "table":
            return
        for disease in self.listed:
            if not disease.fields:
                raise ValueError(f"outcomes.diseases: {disease.name}: name its date fields")
        if source == "files" and self.follow_up and not self.follow_up_ends:
            raise ValueError(
                "outcomes.follow_up_ends: give the last day of complete hospital data of your "
                "release for each nation, or set only_before for all diseases"
            )

    @property
    def follow_up(self) -> bool:
        """Whether any disease is evaluated after the visit."""
        return any(not disease.only_before for disease in self.listed)

    @property
    def listed(self) -> list[Disease]:
        """The diseases; `auto` means none, unless a configuration has resolved it."""
        return [] if self.diseases == "auto" else self.diseases
