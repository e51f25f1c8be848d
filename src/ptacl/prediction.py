"""Turn embeddings into predicted phenotypes and risks of diseases, with the probes of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ptacl.evaluation import probes, saved_probe, saved_risk

PROBABILITY = "probability"  # unit of risks


def table(
    embedded: pd.DataFrame, *, probe: Mapping[str, Any], risks: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Return one row per input and phenotype or disease.

    Parameters
    ----------
    embedded : DataFrame
        As :meth:`ptacl.Model.embed` returns it.
    probe : mapping
        The stored probe of the modality, from probe.json.
    risks : sequence of mapping
        The stored models of diseases of the modality, from risk.json. They can be empty.

    Returns
    -------
    DataFrame
        As :meth:`ptacl.Model.predict` describes it.
    """
    features = embedded.drop(columns="reason").to_numpy(np.float64)
    usable = np.isfinite(features).all(axis=1)
    outside = pd.Series(saved_probe.is_outside(features, stored=probe), dtype="boolean")
    outside = outside.where(usable)
    of_phenotypes, names = probes.of_json(probe)
    residuals = np.array([phenotype["residual"] for phenotype in probe["phenotypes"]])
    values = of_phenotypes.predict(features)
    units = [phenotype["unit"] for phenotype in probe["phenotypes"]]
    columns = [(names, units, values, values + residuals[:, 0], values + residuals[:, 1])]
    for stored in risks:
        probability = saved_risk.probabilities(stored, features)[:, None]
        unknown = np.full_like(probability, np.nan)
        columns.append(([disease(stored)], [PROBABILITY], probability, unknown, unknown))
    num = len(embedded)
    pieces = []
    for some_names, some_units, value, low, high in columns:
        pieces.append(
            pd.DataFrame(
                {
                    "place": np.repeat(np.arange(num), len(some_names)),
                    "input": np.repeat(embedded.index, len(some_names)),
                    "phenotype": some_names * num,
                    "unit": some_units * num,
                    "value": value.ravel(),
                    "low": low.ravel(),
                    "high": high.ravel(),
                    "out_of_distribution": outside.repeat(len(some_names)).array,
                    "reason": np.repeat(embedded["reason"].to_numpy(), len(some_names)),
                }
            )
        )
    joined = pd.concat(pieces).sort_values("place", kind="stable", ignore_index=True)
    return joined.drop(columns="place")


def disease(stored: Mapping[str, Any]) -> str:
    """Return the name of a disease with its time, such as `AF within 5 years`."""
    if stored["when"] == "before":
        return f"{stored['disease']} at the visit"
    return f"{stored['disease']} within {stored['years']:g} years"
