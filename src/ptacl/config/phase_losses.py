"""Settings of the losses that compare phases of the cardiac cycle."""

from typing import Literal

from pydantic import Field

from ptacl.config.section import Positive, Section


class Local(Section):
    """The local loss (Sec. 3.2)."""

    loss: Literal["infonce", "cosine"] = Field(
        description=(
            "infonce: Eq. 3; cosine: only the mean cosine of matching phases, without "
            "negatives (CosSim++)"
        )
    )
    beta: Positive = Field(description="weight relative to the global loss")
    temperature: Positive = Field(description="temperature; cosine does not use it")
    sigma: float = Field(
        ge=0, description="width of the temporal alignment, in cycles; 0 matches phases one to one"
    )
    phases: Literal["all", "ed_es"] = Field(
        default="all",
        description="all phases of the cycle, or only end-diastole and end-systole, one to one",
    )
    centre: bool = Field(
        default=False,
        description=(
            "subtract the mean over the phases of each record first; without this, as in the "
            "paper, the phases of a record start with nearly equal embeddings"
        ),
    )


class Phasewise(Section):
    """Contrast between people at each phase of the cardiac cycle (docs/method.md)."""

    beta: Positive = Field(description="weight relative to the global loss")
    temperature: Positive = Field(description="temperature")
