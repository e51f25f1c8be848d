"""How much an ECG can tell at best: a linear model on what the causes put into the ECG."""

import numpy as np

from ptacl import seeds
from ptacl.cohort.simulation import causes, electrical
from ptacl.cohort.simulation.causes import PHENOTYPES
from ptacl.cohort.simulation.nuisance import ECG, TABLE

_PERSONS = 6000  # half to fit, half to score: the standard error of an R2 is then about 0.01


def ceiling(seed: int) -> dict[str, float]:
    """Held-out R2 by phenotype of least squares on the electrical causes, in a population of its own.

    The model sees what generates the ECG before electrodes, breathing and noise, and predicts the phenotypes as the table has
    them: no linear probe of an ECG embedding is expected above it.
    """
    rng = seeds.generator(seed, "simulation", "ceiling")
    population = causes.draw(rng, size=(_PERSONS,))
    seen = electrical.draw(population, rng, nuisance=ECG).as_matrix()
    targets = causes.measure(population, rng, noise=TABLE)
    seen = (seen - seen.mean(0)) / seen.std(0)
    design = np.concatenate([seen, np.ones((_PERSONS, 1))], axis=1)
    half = _PERSONS // 2
    found = {}
    for name in PHENOTYPES:
        weights = np.linalg.lstsq(design[:half], targets[name][:half], rcond=None)[0]
        truth = targets[name][half:]
        error = np.square(truth - design[half:] @ weights).mean()
        found[name] = round(float(1 - error / truth.var()), 4)
    return found
