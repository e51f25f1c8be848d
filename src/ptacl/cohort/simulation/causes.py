"""Draw the causes: body, and anatomy and function of the heart, before any file is written.

Means and spreads by sex follow the UK Biobank reference ranges: Petersen et al. 2017 (JCMR 19:18,
Caucasians of 45 to 74 years: LV EDV 166 +- 32 and 124 +- 21 mL, ESV 69 +- 16 and 49 +- 11 mL, EF
58 +- 5 and 61 +- 5 %, mass 103 +- 21 and 70 +- 13 g, RV EDV 182 +- 36 and 130 +- 24 mL, RV EF 54
+- 6 and 58 +- 6 % in men and women). Volumes and mass grow with body size and shrink with age
(Bai et al. 2020, Nat Med 26:1654). Systolic intervals follow Weissler et al. 1968 (Circulation
37:149), and their dependence on the ejection fraction follows Garrard et al. 1970 (Circulation
42:455). Because real cohorts are not free of disease, some participants have a dilated,
hypertrophic or weak heart, or a weak right ventricle, of random severity.

Two causes act on the diseases of a person (`diseases.py`). Atrial remodelling shows in the P wave
and drives atrial fibrillation. It is partly due to the load of a large ventricle. Blood pressure
thickens the ventricle.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ptacl.cohort.simulation.nuisance import MeasurementNoise

Array = NDArray[np.float64]

PHENOTYPES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVCO", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")
DENSITY_G_PER_ML = 1.05

_MEN_SHARE = 0.48
_DISEASE = {
    "dilated": 0.06,
    "hypertrophic": 0.07,
    "weak": 0.05,
    "right": 0.03,
}  # share of the cohort
# atrial remodelling: mean and SD of log EDV + log ESV (mL), and the correlation with it
_VOLUMES_LOG = (9.06, 0.53)
_ATRIAL_SHARE = 0.39
_REPEAT_ATRIAL = 0.2  # change between two visits, SD
_REPEAT_LOG = 0.04  # change of volumes and mass between two visits, SD of the logarithm


@dataclass(frozen=True)
class Causes:
    """Drawn causes.

    All fields have the same shape: () for one person, (n,) for a population.
    """

    male: Array
    age: Array
    height_cm: Array
    weight_kg: Array
    heart_rate_bpm: Array
    edv_ml: Array
    esv_ml: Array
    mass_g: Array
    rv_edv_ml: Array
    rv_esv_ml: Array
    systole_ms: Array  # electromechanical systole: R-peak to end-systole, shared by QT and cine
    ejection_delay_ms: Array  # R-peak to the start of ejection
    pressure: Array  # blood pressure and other load, standardised
    atrial: Array  # atrial remodelling, standardised

    @property
    def bmi(self) -> Array:
        """Body mass index, kg/m2."""
        return np.asarray(self.weight_kg / (self.height_cm / 100) ** 2)

    @property
    def bsa(self) -> Array:
        """Body surface area, m2 (Mosteller)."""
        return np.asarray(np.sqrt(self.height_cm * self.weight_kg / 3600))

    @property
    def ef(self) -> Array:
        """LV ejection fraction, as a fraction of 1."""
        return np.asarray(1 - self.esv_ml / self.edv_ml)


def draw(rng: np.random.Generator, *, size: tuple[int, ...]) -> Causes:
    """Draw participants at their first imaging visit."""
    normal = _normals(rng, size)
    male = (rng.random(size) < _MEN_SHARE).astype(float)
    age = 45 + 37 * rng.beta(2.2, 2.0, size)
    height = np.where(male, 176.5, 163.0) + 6.4 * normal()
    bmi = np.clip(
        np.where(male, 27.0, 26.2) * np.exp(np.where(male, 0.135, 0.165) * normal()), 17, 48
    )
    weight = bmi * (height / 100) ** 2
    bsa = np.sqrt(height * weight / 3600)
    size_log = np.log(bsa / np.where(male, 1.99, 1.73))
    severity = {name: _severity(rng, share, size) for name, share in _DISEASE.items()}
    rate = np.clip(
        61.0 * np.exp(0.15 * normal()) + 2.0 * (1 - male) + 3 * severity["weak"], 40, 105
    )

    volume_log = 0.95 * size_log - 0.0045 * (age - 64) - 0.25 * np.log(rate / 62) + 0.135 * normal()
    edv = np.where(male, 163.0, 122.0) * np.exp(
        volume_log + 0.16 * severity["dilated"] + 0.05 * severity["weak"]
    )
    pressure = normal()
    ef = np.where(male, 0.585, 0.610) - 0.055 * volume_log - 0.012 * pressure + 0.042 * normal()
    ef = (
        ef
        - 0.055 * severity["dilated"]
        + 0.012 * severity["hypertrophic"]
        - 0.065 * severity["weak"]
    )
    ef = np.clip(ef, 0.20, 0.76)
    mass_log = 0.72 * volume_log + 0.25 * size_log + 0.065 * pressure + 0.085 * normal()
    mass_log = (
        mass_log
        + 0.10 * severity["dilated"]
        + 0.17 * severity["hypertrophic"]
        + 0.04 * severity["weak"]
    )
    mass = np.where(male, 102.0, 70.0) * np.exp(mass_log)

    rv_sv = edv * ef * np.exp(0.035 * normal())  # the ventricles pump the same blood
    rv_ef = (
        np.where(male, 0.535, 0.575)
        + 0.55 * (ef - np.where(male, 0.585, 0.610))
        - 0.04 * volume_log
    )
    rv_ef = np.clip(rv_ef + 0.034 * normal() - 0.05 * severity["right"], 0.22, 0.74)
    rv_edv = rv_sv / rv_ef
    systole, delay = _systole(rng, male=male, rate=rate, ef=ef)
    mean, sd = _VOLUMES_LOG
    load = (np.log(edv) + np.log(edv * (1 - ef)) - mean) / sd
    atrial = _ATRIAL_SHARE * load + np.sqrt(1 - _ATRIAL_SHARE**2) * normal()
    return Causes(
        male,
        age,
        height,
        weight,
        rate,
        edv,
        edv * (1 - ef),
        mass,
        rv_edv,
        rv_edv - rv_sv,
        systole,
        delay,
        pressure,
        atrial,
    )


def repeat(first: Causes, rng: np.random.Generator) -> Causes:
    """Return the same person at the repeat visit, two to four years later."""
    shape = np.shape(first.male)
    normal = _normals(rng, shape)
    years = rng.uniform(2, 4, shape)
    edv = first.edv_ml * np.exp(_REPEAT_LOG * normal())
    ef = np.clip(first.ef + 0.018 * normal(), 0.2, 0.78)
    rv_sv = edv * ef * np.exp(0.02 * normal())
    rv_ef = np.clip(1 - first.rv_esv_ml / first.rv_edv_ml + 0.018 * normal(), 0.22, 0.76)
    rate = np.clip(first.heart_rate_bpm * np.exp(0.08 * normal()), 40, 105)
    systole, delay = _systole(rng, male=first.male, rate=rate, ef=ef)
    return Causes(
        first.male,
        first.age + years,
        first.height_cm,
        first.weight_kg * np.exp(0.03 * normal()),
        rate,
        edv,
        edv * (1 - ef),
        first.mass_g * np.exp(_REPEAT_LOG * normal()),
        rv_sv / rv_ef,
        rv_sv / rv_ef - rv_sv,
        systole,
        delay,
        first.pressure,
        first.atrial + _REPEAT_ATRIAL * normal(),
    )


def phenotypes(causes: Causes) -> dict[str, Array]:
    """Return the ten targets without error (mL, %, L/min, g), ordered as fields 24100 to 24109."""
    return derive(
        causes.edv_ml,
        causes.esv_ml,
        causes.mass_g,
        causes.rv_edv_ml,
        causes.rv_esv_ml,
        heart_rate_bpm=causes.heart_rate_bpm,
    )


def measure(
    causes: Causes, rng: np.random.Generator, *, noise: MeasurementNoise
) -> dict[str, Array]:
    """Return the targets as in a phenotype table.

    Volumes and mass have a measurement error, and the other values are derived from them.
    """
    shape = np.shape(causes.male)
    spreads = (noise.lv_volume, noise.lv_volume, noise.mass, noise.rv_volume, noise.rv_volume)
    true = (causes.edv_ml, causes.esv_ml, causes.mass_g, causes.rv_edv_ml, causes.rv_esv_ml)
    measured = [
        value * np.exp(spread * rng.normal(size=shape))
        for value, spread in zip(true, spreads, strict=True)
    ]
    return derive(*measured, heart_rate_bpm=causes.heart_rate_bpm)


def derive(
    edv_ml: Array,
    esv_ml: Array,
    mass_g: Array,
    rv_edv_ml: Array,
    rv_esv_ml: Array,
    *,
    heart_rate_bpm: Array,
) -> dict[str, Array]:
    """Derive SV = EDV - ESV, EF = SV / EDV and CO = SV x heart rate."""
    sv, rv_sv = edv_ml - esv_ml, rv_edv_ml - rv_esv_ml
    output = sv * heart_rate_bpm / 1000
    values = (
        edv_ml,
        esv_ml,
        sv,
        sv / edv_ml * 100,
        output,
        mass_g,
        rv_edv_ml,
        rv_esv_ml,
        rv_sv,
        rv_sv / rv_edv_ml * 100,
    )
    return dict(zip(PHENOTYPES, values, strict=True))


def as_row(causes: Causes) -> dict[str, float]:
    """Return the causes of one person as plain numbers."""
    return {f.name: float(getattr(causes, f.name)) for f in fields(causes)}


def _systole(
    rng: np.random.Generator, *, male: Array, rate: Array, ef: Array
) -> tuple[Array, Array]:
    """Return the length of electromechanical systole and the delay of ejection, in ms.

    A weak ventricle starts to eject late and ejects for a short time.
    """
    normal = _normals(rng, np.shape(male))
    length = (
        np.where(male, 546 - 2.1 * rate, 549 - 2.0 * rate) - 18 + 12 * normal() + 60 * (ef - 0.6)
    )
    ratio = np.clip(
        1.125 - 1.25 * ef + 0.03 * normal(), 0.2, 0.9
    )  # pre-ejection period over ejection time
    length = np.clip(length, 240, 0.62 * 60000 / rate)
    return np.asarray(length), np.asarray(length * ratio / (1 + ratio) - 28)


def _severity(rng: np.random.Generator, share: float, size: tuple[int, ...]) -> Array:
    return np.asarray(
        np.where(rng.random(size) < share, 0.6 + np.minimum(rng.exponential(0.9, size), 3.0), 0.0)
    )


def _normals(rng: np.random.Generator, size: tuple[int, ...]) -> Callable[[], Array]:
    """Return a function that draws standard normal values of the given shape."""
    return lambda: np.asarray(rng.standard_normal(size))
