"""Report what a run would find, exclude and cost, before it is started.

No participant id is reported, and nothing is written.
"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ptacl import check_needs, check_platform, check_storage, config, training_cost
from ptacl.cmr.prepare import CMR
from ptacl.cohort import manifest, sources, withdrawal
from ptacl.cohort.inventory import BulkFile
from ptacl.ecg.prepare import ECG
from ptacl.exclusions import Excluded
from ptacl.preparation import Modality, Settings

_DETAILS = 10  # number of different exclusions of the sample that are listed


def run(
    settings: config.Config,
    *,
    demonstration: config.Encoders,
    sample: int,
    cores: int,
    prices: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return facts by section, as JSON values.

    `demonstration` are the encoders of the project's own configuration, to recognise a run that
    uses them. `sample` is the number of pairs, spread over the cohort, that are actually
    prepared. `prices` are pounds per hour of machines of UK Biobank's platform. ValueError or
    FileNotFoundError, with a remedy, is raised if the settings, the tables or the folders would
    stop the pipeline; :func:`problem` finds what else would.
    """
    settings.cohort.require_paths()
    import_own_classes(settings)
    if settings.cohort.source == "simulated":
        visits = settings.simulation.participants
        cohort = {"source": "simulated", "visits": visits}
        models = check_needs.sizes(settings.encoders, demonstration=demonstration)
        found = check_needs.needs(settings, visits=visits, seconds={}, cores=cores)
        found |= check_platform.section(settings, visits=visits, seconds={}, prices=prices or {})
        return {"cohort": cohort, "models": models} | found | check_needs.device()
    source = sources.locate(settings.cohort, simulated=None, summary=None)
    withdrawn = withdrawal.read_lists(source.withdrawals)
    table, paired, summary = manifest.build(settings.cohort, source, withdrawn=withdrawn)
    counts = table["split"].value_counts()
    splits = {split: int(counts.get(split, 0)) for split in ("train", "validation", "test")}
    names = [p.name for p in settings.cohort.phenotypes]
    values = {}
    for instance, rows in table.groupby("instance"):
        values[f"instance {instance}"] = rows[names].notna().sum().to_dict()
    found = {kind: _without_zeros(counts) for kind, counts in summary["files"].items()}
    not_paired = {reason: counts["visits"] for reason, counts in summary["excluded"].items()}
    excluded, seconds, used = _sample(paired.pairs, settings, number=sample)
    reasons = Counter(error.reason.value for error in excluded)
    details = Counter(str(error) for error in excluded)
    return (
        {
            "cohort": {
                "source": settings.cohort.source,
                **found,
                "ids on withdrawal lists": len(withdrawn),
                "not paired": _without_zeros(not_paired),
                "paired visits": len(table),
            },
            "splits before exclusions": splits,
            "warnings": _large_batches(settings, people=splits["train"]),
            "phenotypes": values,
            "tables": _without_zeros(summary["tables"]),
            "sample": {
                "visits": used,
                "usable": used - len(excluded),
                "excluded": dict(reasons.most_common()),
            },
            "excluded because": dict(details.most_common(_DETAILS)),
            "storage": check_storage.facts(paired.pairs, settings),
            "models": check_needs.sizes(settings.encoders, demonstration=demonstration),
        }
        | check_needs.needs(settings, visits=len(table), seconds=seconds, cores=cores)
        | check_platform.section(settings, visits=len(table), seconds=seconds, prices=prices or {})
        | check_needs.device()
    )


def problem(facts: Mapping[str, Any], settings: config.Config) -> str:
    """Return what would stop the pipeline according to the facts of :func:`run`, or ""."""
    sample, splits, storage = (
        facts.get(name) for name in ("sample", "splits before exclusions", "storage")
    )
    if storage and storage[check_storage.DIFFERENT]:
        return (
            f"{storage[check_storage.DIFFERENT]} of {storage[check_storage.READ]} files gave other "
            "bytes when they were read again: the storage is not reliable"
        )
    if sample and not sample["usable"]:
        return (
            f"none of the {sample['visits']} visits that were tried can be used; the reasons are "
            'listed above under "excluded because": check paths and columns'
        )
    if unusable := facts.get("device", {}).get(check_needs.PROBLEM):
        return str(unusable)
    if splits and not splits["validation"]:
        for name in training_cost.needed(settings):
            entry = settings.models[name]
            if isinstance(entry, config.Trained) and entry.training.needs_validation:
                return (
                    f"no participant is in the validation split, which models.{name} needs: raise "
                    "cohort.validation_fraction, or set select: last and patience: 0"
                )
    return ""


def import_own_classes(settings: config.Config) -> None:
    """Import the objectives and losses from outside the package that the rows need.

    ValueError, which names the model, is raised if one cannot be imported, or does not fit its
    entry.
    """
    for name in training_cost.needed(settings):
        entry = settings.models[name]
        if not isinstance(entry, config.Trained):
            continue
        if any(module.partition(".")[0] != "ptacl" for module in entry.own_modules):
            from ptacl.learning import assemble

            try:
                assemble.objective_class(entry)
            except ValueError as error:
                raise ValueError(f"models.{name}: {error}") from None


def _large_batches(settings: config.Config, *, people: int) -> dict[str, str]:
    """Return a warning for each contrastive training with batches larger than its training set."""
    found = {}
    for name in training_cost.needed(settings):
        entry = settings.models[name]
        if isinstance(entry, config.Contrastive) and entry.training.batch_size > people:
            found[f"models.{name}"] = (
                f"its batches of {entry.training.batch_size} exceed the {people} training "
                "participants: it will hardly learn"
            )
    return found


def _without_zeros(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: count for name, count in counts.items() if count}


def _sample(
    pairs: list[tuple[BulkFile, BulkFile]], settings: config.Config, *, number: int
) -> tuple[list[Excluded], dict[str, float], int]:
    """Prepare some pairs.

    Returns why some cannot be used, the mean seconds per record by modality, and the number of
    pairs tried.
    """
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(number, len(pairs))).astype(int))
    chosen = [pairs[row] for row in rows]
    _prepare(chosen[0], settings)  # the first run also loads modules
    excluded: list[Excluded] = []
    seconds = {"ecg": 0.0, "cmr": 0.0}
    for pair in chosen:
        reasons, spent = _prepare(pair, settings)
        excluded += reasons[:1]
        for modality, duration_s in spent.items():
            seconds[modality] += duration_s / len(chosen)
    return excluded, seconds, len(chosen)


def _prepare(
    pair: tuple[BulkFile, BulkFile], settings: config.Config
) -> tuple[list[Excluded], dict[str, float]]:
    """Examine both records of a visit; return the reasons for exclusion, and the seconds."""
    ecg, cine = pair
    reasons: list[Excluded] = []
    spent: dict[str, float] = {}

    def examine(modality: Modality[Settings], paths: dict[str, str], of: Settings) -> None:
        start = time.perf_counter()
        examined = modality.examine(paths, of)
        spent[modality.name] = time.perf_counter() - start
        if examined.excluded:
            reasons.append(examined.excluded)

    examine(ECG, {"ecg": ecg.path}, settings.ecg)
    examine(CMR, {"cmr": cine.path, "segmentation": cine.segmentation or ""}, settings.cmr)
    return reasons, spent


def lines(facts: Mapping[str, Any]) -> list[str]:
    """Format the facts as lines of text, grouped by section."""
    out: list[str] = []
    for section, values in facts.items():
        if not values:
            continue
        out.append(f"{section}")
        for key, value in values.items():
            text = (
                ", ".join(f"{k} {v:,}" for k, v in value.items()) or "none"
                if isinstance(value, dict)
                else value
            )
            out.append(f"  {key:26} {text:,}" if isinstance(text, int) else f"  {key:26} {text}")
    return out
