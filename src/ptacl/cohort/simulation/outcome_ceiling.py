"""Estimate how well diseases of the simulated cohort can be known at best."""

import numpy as np

from ptacl import config, seeds
from ptacl.cohort.simulation import causes, diseases, electrical
from ptacl.cohort.simulation.causes import Array
from ptacl.cohort.simulation.nuisance import ECG
from ptacl.disease import discrimination, risk
from ptacl.disease.discrimination import CENSORED, DIED, EVENT

_PERSONS = 60_000  # half to fit and half to score; the standard error of a rare disease is 0.01
_FOLLOW_UP_YEARS = (2.0, 8.5)
_STRENGTH = 1e-3
_MOST_CASES = 1000  # of the people who are scored; the number of pairs grows with it

Ceiling = dict[str, dict[str, dict[str, float]]]


def ceiling(simulation: config.Simulation, outcomes: config.Outcomes, *, seed: int) -> Ceiling:
    """Return what can be known about each disease: AUROC before the visit, Uno's C after it.

    By disease of the settings and by `before` or `after`, there are three values: that of the
    simulated hazard itself (`truth`), of a linear model on the electrical causes (`ECG`), and of
    one that also has sex, age, height and weight (`ECG + demographics`). The models are fitted to
    one half of a population that is drawn for this purpose only, and measured on the other.
    Diseases that are not simulated have no ceiling.
    """
    rng = seeds.generator(seed, "simulation", "outcome ceiling")
    population = causes.draw(rng, size=(_PERSONS,))
    share = electrical.TIMING[simulation.timing]
    of_ecg = electrical.draw(population, rng, nuisance=ECG, share=share).as_matrix()
    onsets = diseases.onset_ages(
        population, rng, incidence=simulation.incidence, alive_at=population.age
    )
    end = rng.uniform(*_FOLLOW_UP_YEARS, _PERSONS)
    body = (population.male, population.age, population.height_cm, population.weight_kg)
    seen = {"ECG": of_ecg, "ECG + demographics": np.column_stack([of_ecg, *body])}
    died = onsets.pop(diseases.DEATH) - population.age
    found: Ceiling = {}
    for disease in outcomes.listed:
        name = disease.name
        if disease.fields != [diseases.FIELDS.get(name)]:
            continue
        truth = {
            "before": diseases.log_hazard_so_far(name, population),
            "after": diseases.log_hazard_now(name, population),
        }
        before, after = outcomes_of(onsets[name] - population.age, died=died, end=end)
        people = {"before": np.arange(_PERSONS), "after": np.flatnonzero(~before.positive)}
        known: dict[str, risk.Outcome] = {"before": before, "after": after}
        found[name] = {}
        for when in ("before",) if disease.only_before else ("before", "after"):
            chosen, horizon = people[when], outcomes.horizon_years
            outcome = known[when].of(chosen)
            values = {"truth": _measured(truth[when][chosen], outcome, horizon_years=horizon)}
            for features, x in seen.items():
                values[features] = _held_out(x[chosen], outcome, horizon_years=horizon)
            found[name][when] = values
    return found


def outcomes_of(onset: Array, *, died: Array, end: Array) -> tuple[risk.Before, risk.After]:
    """Return the outcomes of people; all times are in years from the visit."""
    years = np.minimum(np.minimum(onset, died), end)
    event = np.full(len(onset), float(CENSORED))
    event[years == died] = DIED
    event[years == onset] = EVENT
    return risk.Before(onset <= 0), risk.After(years, event)


def _held_out(features: Array, outcome: risk.Outcome, *, horizon_years: float) -> float:
    half = len(features) // 2
    first, second = np.arange(half), np.arange(half, len(features))
    model = risk.fit(features[first], outcome.of(first), strength=_STRENGTH)
    return _measured(model.score(features[second]), outcome.of(second), horizon_years=horizon_years)


def _measured(scores: Array, outcome: risk.Outcome, *, horizon_years: float) -> float:
    enough = int(np.searchsorted(np.cumsum(outcome.cases), _MOST_CASES)) + 1
    scores, outcome = scores[:enough], outcome.of(np.arange(len(scores)) < enough)
    once = np.ones((1, len(scores)))
    if isinstance(outcome, risk.Before):
        value = discrimination.auroc(scores, outcome.positive, counts=once)
    else:
        value = discrimination.uno(
            scores, outcome.years, outcome.event, horizon=horizon_years, counts=once
        )
    return round(float(value[0]), 4)
