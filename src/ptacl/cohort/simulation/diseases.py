"""Draw when each person falls ill and dies, and the dates that a phenotype table has of them.

Each disease, and death, has a clock that starts at 40 years. Its hazard at age a is
`rate * exp(slope * (a - 64) + eta)`, where eta depends on the causes of the person (Gompertz). A
disease before the visit and one after it therefore come from the same draw.

Effects on the hazard:

- Atrial fibrillation: 1.80 per SD of atrial remodelling, which is the root of the squared log
  hazards of left atrial volume (1.47 per SD) and emptying (1 / 0.64) in UK Biobank (PMC9365306);
  1.65 per five years of age and 1.5 for men in the Framingham Heart Study.
- Heart failure: 2.13 per ten points of ejection fraction lost (Yeboah et al. 2012), and 1.4 per ten
  percent of mass for body size (Bluemke et al. 2008, JACC 52:2148).

The effects of body mass index, and those on death, hypertension and diabetes, are decisions, not
from the literature. So are the rates. Those of atrial fibrillation and heart failure give the
incidence after imaging in UK Biobank, 1.7 and 0.8 % in five years.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ptacl.cohort.simulation.causes import Array, Causes

DEATH = "death"
FIELDS = {"AF": 131350, "HF": 131354, "Hypertension": 131286, "Diabetes": 130708}
MULTIPLIED = ("AF", "HF")  # their incidence is a setting, because they are rare
CENTRES = {11003: "Cardiff", 11004: "Glasgow", 11010: "Leeds"}  # codes and names of field 54

Cells = dict[tuple[str, int], str]  # dates and codes by name and instance

_START_AGE, _MEAN_AGE = 40.0, 64.0
_RATES = {  # per year at 64, and growth of the logarithm per year of age
    "AF": (0.0016, np.log(1.65) / 5),
    "HF": (0.0007, np.log(1.5) / 5),
    "Hypertension": (0.022, np.log(1.3) / 5),
    "Diabetes": (0.0030, np.log(1.3) / 5),
    DEATH: (0.0040, np.log(1.6) / 5),
}
_NATIONS = (0.05, 0.08)  # shares of people from Wales and Scotland; the others are from England
_FIRST_VISIT, _LAST_VISIT = datetime.date(2014, 5, 1), datetime.date(2020, 12, 31)
_EXPORTED = datetime.date(2023, 6, 30)  # later dates are not in the tables
_SPECIAL_SHARE = 0.02  # share of the recorded dates that are codes
_SPECIAL = ("1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "1909-09-09", "2037-07-07")
_LOST_SHARE = 0.01
_SECOND_CERTIFICATE_SHARE = 0.1
_DAYS_PER_YEAR = 365.25


def log_hazards(causes: Causes) -> dict[str, Array]:
    """Return eta, the log hazard beyond that of age, by disease and for death."""
    fat = (causes.bmi - 26.5) / 5
    male = causes.male - 0.48
    weak = (59 - 100 * causes.ef) / 10
    size = np.log(causes.bsa / np.where(causes.male == 1, 1.99, 1.73))
    mass = np.log(causes.mass_g / np.where(causes.male == 1, 102, 70)) - 0.93 * size
    etas = {
        "AF": np.log(1.8) * causes.atrial + np.log(1.5) * male + np.log(1.2) * fat,
        "HF": np.log(2.13) * weak + np.log(1.4) * mass / np.log(1.1) + np.log(1.2) * fat,
        "Hypertension": np.log(1.8) * causes.pressure + np.log(1.35) * fat,
        "Diabetes": np.log(1.2) * causes.pressure + np.log(1.9) * fat + np.log(1.5) * male,
        DEATH: np.log(1.32) * weak + np.log(1.4) * male,
    }
    return {name: np.asarray(eta) for name, eta in etas.items()}


def log_hazard_now(name: str, causes: Causes) -> Array:
    """Return the log hazard at the visit, relative to that of a mean person of 64 years.

    This is what a perfect model of a disease after the visit would know.
    """
    _, slope = _RATES[name]
    return np.asarray(log_hazards(causes)[name] + slope * (causes.age - _MEAN_AGE))


def log_hazard_so_far(name: str, causes: Causes) -> Array:
    """Return the logarithm of the cumulative hazard until the visit, up to a constant.

    This is what a perfect model of a disease before the visit would know.
    """
    _, slope = _RATES[name]
    passed = np.exp(slope * (causes.age - _MEAN_AGE)) - np.exp(slope * (_START_AGE - _MEAN_AGE))
    return np.asarray(log_hazards(causes)[name] + np.log(passed))


def onset_ages(
    causes: Causes,
    rng: np.random.Generator,
    *,
    incidence: float,
    alive_at: Array,
) -> dict[str, Array]:
    """Draw the age at each disease and at death, by name.

    `incidence` multiplies the rates of `MULTIPLIED`. Nobody dies before the age `alive_at`, because
    the dead are not imaged.
    """
    found = {}
    for name, eta in log_hazards(causes).items():
        rate, slope = _RATES[name]
        hazard = rate * (incidence if name in MULTIPLIED else 1.0) * np.exp(eta)
        start = alive_at if name == DEATH else _START_AGE
        passed = np.exp(slope * (start - _MEAN_AGE))
        # The cumulative hazard from the start to the onset is exponentially distributed.
        exponential = rng.exponential(size=np.shape(eta))
        onset = _MEAN_AGE + np.log(passed + slope * exponential / hazard) / slope
        found[name] = np.asarray(onset)
    return found


@dataclass(frozen=True)
class History:
    """What the phenotype tables say about a person.

    visits : dates by instance. cells : dates and codes of the tables, by name and instance.
    """

    visits: Mapping[int, datetime.date]
    cells: Cells


def draw(
    first: Causes, rng: np.random.Generator, *, ages: Mapping[int, float], incidence: float
) -> History:
    """Draw the dates of one person.

    `first` holds the causes at the first visit, and `ages` the age at each instance.
    """
    visits, born = _visits(ages, rng)
    last_age = np.asarray(float(max(ages.values())))
    onsets = onset_ages(first, rng, incidence=incidence, alive_at=last_age)
    days = {
        name: born + datetime.timedelta(_DAYS_PER_YEAR * float(a)) for name, a in onsets.items()
    }
    died = days.pop(DEATH)
    wales, scotland = _NATIONS
    centre = rng.choice([11003, 11004, 11010], p=[wales, scotland, 1 - wales - scotland])
    cells = {("visit_date", i): day.isoformat() for i, day in visits.items()}
    cells["centre", 0] = str(centre)
    recorded = min(died, _EXPORTED)
    for name, day in days.items():
        special, code = rng.random() < _SPECIAL_SHARE, rng.choice(_SPECIAL)
        if day <= recorded:
            cells[name, 0] = str(code) if special else day.isoformat()
    twice = rng.random() < _SECOND_CERTIFICATE_SHARE
    if died <= _EXPORTED:
        for instance in (0, 1) if twice else (0,):
            cells[DEATH, instance] = died.isoformat()
    last = max(visits.values())
    lost = last + rng.random() * (max(_EXPORTED, last) - last)
    if rng.random() < _LOST_SHARE and lost < died:
        cells["lost", 0] = lost.isoformat()
    return History(visits, cells)


def _visits(
    ages: Mapping[int, float], rng: np.random.Generator
) -> tuple[dict[int, datetime.date], datetime.date]:
    """Return the dates of the visits and of birth."""
    first = min(ages)
    day = _FIRST_VISIT + datetime.timedelta(
        int(rng.integers((_LAST_VISIT - _FIRST_VISIT).days + 1))
    )
    born = day - datetime.timedelta(_DAYS_PER_YEAR * ages[first])
    visits = {i: born + datetime.timedelta(_DAYS_PER_YEAR * age) for i, age in ages.items()}
    return visits | {first: day}, born
