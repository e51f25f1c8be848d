"""Section of the ECG: reading, denoising, R-peaks and quality."""

from typing import Literal

from pydantic import Field, model_validator

from ptacl.config.section import Count, Fraction, Positive, Section

_STRIP_S = (8, 12)  # possible lengths of a resting ECG


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
        Field(
            description=(
                "lead on which the detector runs; another one is used where its QRS complex "
                "points down"
            )
        )
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
    """Limits for ECGs (ptacl.ecg.quality). Beyond those that begin with max, a record is excluded;
    beyond those that begin with doubtful, it has a flag.
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
