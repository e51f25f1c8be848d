"""Section of diseases and outcomes."""

import datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from ptacl.config.section import Section

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


class Outcomes(Section):
    """Diseases before the visit, and outcomes after it."""

    diseases: list[Disease] = Field(
        description="diseases; with an empty list, none of this is computed"
    )
    follow_up_ends: dict[Nation, str] = Field(
        description=(
            "last day of complete hospital data of your release by nation, such as 2022-10-31; "
            "needed with files, for diseases after the visit"
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
    def _check_names(cls, value: list[Disease]) -> list[Disease]:
        names = [disease.name for disease in value]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"diseases: the name {min(repeated)} occurs twice")
        return value

    def require(self, source: str) -> None:
        """Raise ValueError for what a cohort of this source needs in addition."""
        if source == "table":
            return
        for disease in self.diseases:
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
        return any(not disease.only_before for disease in self.diseases)
