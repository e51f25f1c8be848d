"""A few simulated persons."""

import numpy as np

from ptacl.cohort.simulation import causes
from ptacl.cohort.simulation.causes import Causes

PERSONS = 6


def draw(k: int) -> Causes:
    return causes.draw(np.random.default_rng(k), size=())
