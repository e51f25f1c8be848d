"""Report what a run would find, exclude and cost, before it is started.

No participant id is reported, and nothing is written.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ptacl import check_storage, config, training_cost
from ptacl.cmr.prepare import CMR
from ptacl.cohort import manifest, sources, withdrawal
from ptacl.cohort.inventory import BulkFile
from ptacl.ecg.prepare import ECG
from ptacl.exclusions import Excluded
from ptacl.preparation import Modality, Settings

# Peak rates of bfloat16 matrix products, from the data sheets of the makers, and the fraction of
# the peak rate that a small transformer reaches.
GPUS = {
    "NVIDIA L4": 121e12,
    "NVIDIA A10G": 70e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
}
_SHARE_GPU, _SHARE_CPU = 0.15, 0.3
_MATRIX = 1024
_DETAILS = 10  # number of different exclusions of the sample that are listed


def run(
    settings: config.Config, *, demonstration: config.Encoders, sample: int, cores: int
) -> dict[str, Any]:
    """Return facts by section, as JSON values.

    `demonstration` are the encoders of the project's own configuration, to recognise a run that
    uses them. `sample` is the number of pairs, spread over the cohort, that are actually
    prepared. ValueError or FileNotFoundError, with a remedy, is raised if the settings, the
    tables or the folders would stop the pipeline; :func:`problem` finds what else would.
    """
    settings.cohort.require_paths()
    import_own_classes(settings)
    if settings.cohort.source == "simulated":
        visits = settings.simulation.participants
        cohort = {"source": "simulated", "visits": visits}
        models = sizes(settings.encoders, demonstration=demonstration)
        return {"cohort": cohort, "models": models} | needs(
            settings, visits=visits, seconds={}, cores=cores
        )
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
    return {
        "cohort": {
            "source": settings.cohort.source,
            **found,
            "not paired": _without_zeros(not_paired),
            "paired visits": len(table),
        },
        "splits": splits,
        "phenotypes": values,
        "tables": _without_zeros(summary["tables"]),
        "sample": {
            "visits": used,
            "usable": used - len(excluded),
            "excluded": dict(reasons.most_common()),
        },
        "excluded because": dict(details.most_common(_DETAILS)),
        "storage": check_storage.facts(paired.pairs, settings),
        "models": sizes(settings.encoders, demonstration=demonstration),
    } | needs(settings, visits=len(table), seconds=seconds, cores=cores)


def problem(facts: Mapping[str, Any], settings: config.Config) -> str:
    """Return what would stop the pipeline according to the facts of :func:`run`, or ""."""
    sample, splits, storage = (facts.get(name) for name in ("sample", "splits", "storage"))
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


def sizes(encoders: config.Encoders, *, demonstration: config.Encoders) -> dict[str, Any]:
    """Describe the encoders to train, with a note if they are those of the demonstration."""
    found = {}
    for name, encoder in (("ECG encoder", encoders.ecg), ("CMR encoder", encoders.cmr)):
        shape, patch = (" x ".join(map(str, axes)) for axes in (encoder.shape, encoder.patch))
        found[name] = (
            f"input {shape}, patch {patch}, {encoder.depth} layers, width {encoder.width}, "
            f"{encoder.heads} heads"
        )
    if encoders == demonstration:
        found["note"] = (
            "sizes of the demonstration; for those of the paper, give "
            "workflow/config/paper.yaml as the first file, and for a few thousand patients "
            "workflow/config/small.yaml"
        )
    return found


def needs(
    settings: config.Config, *, visits: int, seconds: Mapping[str, float], cores: int
) -> dict[str, Any]:
    """Estimate the disk space, memory and time that `visits` visits need.

    `seconds` is the measured preparation time per record, by modality.
    """
    ecg_bytes, cmr_bytes = (
        12 * settings.ecg.num_samples * 4,
        settings.cmr.frames * settings.cmr.size**2,
    )
    works = training_cost.trainings(settings, visits=visits)
    here = os.path.abspath("results" if os.path.isdir("results") else ".")
    total, rate = sum(work.flops for work in works.values()), _SHARE_CPU * _rate()
    stored = _gb(visits * (ecg_bytes + cmr_bytes))
    return {
        "disk": {
            "stores": stored,
            "maps": stored if settings.maps.folder else _gb(0),
            "free": _gb(shutil.disk_usage(here).free),
        },
        "memory": {"to hold what trainings read": stored, "of this machine": _gb(_memory())},
        "preparation": {
            m: _hours(s * visits / cores) + f" on {cores} cores, measured"
            for m, s in seconds.items()
        },
        "trainings": {
            name: _hours(work.seconds(rate)) + " on the CPU of this machine, estimate"
            for name, work in works.items()
        },
        "all trainings": {
            f"one {gpu}": "about " + _hours(seconds) + ", estimate"
            for gpu, seconds in gpu_seconds(total).items()
        },
    }


def gpu_seconds(flops: float) -> dict[str, float]:
    """Return about how many seconds each GPU needs for `flops` operations."""
    return {gpu: flops / (_SHARE_GPU * peak) for gpu, peak in GPUS.items()}


def _rate() -> float:
    """Measure the operations per second of a matrix product that takes some milliseconds."""
    a = np.ones((_MATRIX, _MATRIX), np.float32)
    a @ a
    start = time.perf_counter()
    a @ a
    return float(2 * _MATRIX**3 / (time.perf_counter() - start))


def _memory() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _hours(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )


def lines(facts: Mapping[str, Any]) -> list[str]:
    """Format the facts as lines of text, grouped by section."""
    out: list[str] = []
    for section, values in facts.items():
        out.append(f"{section}")
        for key, value in values.items():
            text = (
                ", ".join(f"{k} {v:,}" for k, v in value.items()) or "none"
                if isinstance(value, dict)
                else value
            )
            out.append(f"  {key:26} {text:,}" if isinstance(text, int) else f"  {key:26} {text}")
    return out
