"""Estimate the best result that an ECG can give, with a linear model on its electrical causes."""

import numpy as np

from ptacl import seeds
from ptacl.cohort.simulation import causes, electrical
from ptacl.cohort.simulation.causes import PHENOTYPES
from ptacl.cohort.simulation.nuisance import ECG, TABLE

_PERSONS = 6000  # half to fit and half to score; the standard error of R2 is about 0.01


def ceiling(seed: int, *, timing: str) -> dict[str, float]:
    """Return the held-out R2 of each phenotype for least squares on the electrical causes.

    The population is drawn for this purpose only, with the given level of timing
    (`electrical.TIMING`). The model sees the causes of the ECG without
    the effects of electrodes, breathing and noise, and predicts the phenotypes as they are in the
    table. A linear probe of an ECG embedding is not expected to exceed it.
    """
    rng = seeds.generator(seed, "simulation", "ceiling")
    population = causes.draw(rng, size=(_PERSONS,))
    share = electrical.TIMING[timing]
    seen = electrical.draw(population, rng, nuisance=ECG, share=share).as_matrix()
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
