"""Curves of the trainings for the report, and warnings about losses that were hardly learned."""

from collections.abc import Mapping

import pandas as pd

from ptacl.config import Config
from ptacl.learning import collapse
from ptacl.report import figures, provenance

Metrics = Mapping[tuple[str, int], pd.DataFrame]  # by model and seed, one row per epoch


def panels(metrics: Metrics, *, config: Config) -> list[tuple[str, str]]:
    """Return panels with captions, one per training.

    A contrastive training gets one panel per term of its loss.
    """
    found = []
    for (name, seed), table in metrics.items():
        title = f"{config.models[name].title}, seed {seed}"
        terms = collapse.terms(table.columns) or ["loss"]
        floors = collapse.floors(config.models[name], config.inputs_of(name))
        facts = [f"{len(table)} epochs"]
        if "seconds" in table:
            facts.append(provenance.duration(float(table["seconds"].sum())))
        if "samples_per_second" in table:
            facts.append(f"{table['samples_per_second'].median():,.0f} samples/s")
        for term in terms:
            lines = [
                (s, table[f"{s}_{term}"].tolist())
                for s in ("train", "validation")
                if f"{s}_{term}" in table
            ]
            chart = figures.curves(
                table["epoch"].tolist(),
                title=title if term == "loss" else f"{title}: {term} loss",
                lines=lines,
                chance=float(table[f"train_{term}_chance"].iloc[-1]) if term != "loss" else None,
                chosen=float(_kept(table)["epoch"]),
                floor=floors.get(term),
            )
            share = [_learned(table, term, floors)] if term in floors else []
            found.append((chart, " · ".join([*share, *facts])))
    return found


def _learned(table: pd.DataFrame, term: str, floors: Mapping[str, float]) -> str:
    share = collapse.learned(_kept(table), term, floors)
    return f"{100 * share:.1f} % of the reachable range"


def of_local(metrics: Metrics, *, config: Config) -> dict[str, float]:
    """Return the share of the reachable range that the local loss covered, the mean over seeds.

    Models without a local loss of Eq. 3 are left out.
    """
    of_seeds: dict[str, list[float]] = {}
    for (name, _), table in metrics.items():
        floors = collapse.floors(config.models[name], config.inputs_of(name))
        if "local" in floors:
            of_seeds.setdefault(name, []).append(collapse.learned(_kept(table), "local", floors))
    return {name: sum(shares) / len(shares) for name, shares in of_seeds.items()}


def unlearned(metrics: Metrics, *, config: Config) -> dict[str, list[str]]:
    """Return warnings, by model, about trainings with a loss that was hardly learned."""
    found: dict[str, list[str]] = {}
    for (name, seed), table in metrics.items():
        floors = collapse.floors(config.models[name], config.inputs_of(name))
        for warning in collapse.warnings(_kept(table), floors):
            found.setdefault(name, []).append(
                f"{config.models[name].title}, seed {seed}: {warning}."
            )
    return found


def _kept(table: pd.DataFrame) -> dict[str, float]:
    """Return the metrics of the epoch whose weights were kept."""
    return {str(k): float(v) for k, v in table[table["chosen"] == 1].iloc[0].items()}
