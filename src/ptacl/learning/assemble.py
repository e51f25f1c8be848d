"""Assemble what a training needs: encoders, objective, phenotypes to learn, and the z-score."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from ptacl import config
from ptacl.ecg import zscore as zscores
from ptacl.ecg.zscore import Zscore
from ptacl.learning.objectives.base import Objective, Targets, initial_weights
from ptacl.learning.recordings import Recordings
from ptacl.models import parts, weights
from ptacl.models.build import AnyEncoder
from ptacl.models.build import encoder as new_encoder
from ptacl.models.vit import VisionTransformer


def build_encoders(
    entry: config.Entry, inputs: config.Inputs, *, seed: int, start: Mapping[str, Path]
) -> dict[str, AnyEncoder]:
    """Build the encoders of an entry by modality, random or from model folders.

    ValueError is raised if a folder is missing or has an encoder of another size.
    """
    found = dict[str, AnyEncoder]()
    for modality in entry.modalities:
        wanted = inputs.encoders[modality]
        if modality not in entry.starts:
            with initial_weights(seed, modality):
                found[modality] = new_encoder(wanted)
            continue
        if modality not in start:
            raise ValueError(
                f"the entry starts from {entry.starts[modality]}: give its folder with "
                f"--start {modality}=FOLDER"
            )
        found[modality] = weights.encoder(start[modality], modality)
        if found[modality].settings != wanted:
            raise ValueError(
                f"{start[modality]} has another size than encoders.{modality}: train it "
                "again with this size"
            )
    return found


def build(
    entry: config.Trained,
    inputs: config.Inputs,
    *,
    seed: int,
    start: Mapping[str, Path] | None = None,
    targets: Targets | None = None,
) -> Objective:
    """Build the objective of an entry with its initial weights.

    ValueError is raised if the entry does not fit its objective, or if a projector could not be
    saved.
    """
    kind = objective_class(entry)
    encoders = build_encoders(entry, inputs, seed=seed, start=start or {})
    for modality in entry.modalities:
        frozen = entry.frozen(modality)
        encoders[modality].freeze(len(encoders[modality].blocks) if frozen == "all" else frozen)
        if isinstance(encoder := encoders[modality], VisionTransformer):
            encoder.recompute = entry.training.recompute
    objective = kind(entry, encoders, seed=seed, targets=targets)
    weights.projectors(objective.saved())  # raises now, and not after the training
    return objective


def objective_class(entry: config.Trained) -> type[Objective]:
    """Import the class of an entry's objective, and the class of its own loss if it has one.

    ValueError is raised if one cannot be imported, or if the entry divides batches that the
    objective needs whole.
    """
    # Imported by name, so that a change of another objective does not retrain this model.
    kind = parts.import_class(entry.objective_class, of=Objective)
    if isinstance(entry, config.Contrastive) and entry.loss:
        parts.import_class(entry.loss, of=nn.Module)
    if kind.whole_batches and entry.training.accumulate > 1:
        raise ValueError(
            f"{entry.objective_class} compares the samples of a whole batch, which micro-batches "
            "would shrink: set training.accumulate to 1"
        )
    return kind


def read_targets(table: pd.DataFrame, names: Sequence[str]) -> tuple[Targets, np.ndarray]:
    """Read the phenotypes that a model learns.

    Returns the statistics of the training participants, and the z-scored phenotypes (n, P) of all
    rows, NaN if missing. ValueError names a phenotype that the training participants do not have,
    or for which they all have the same value.
    """
    if missing := [name for name in names if name not in table.columns]:
        raise ValueError(
            f"participants.csv has no column {', '.join(missing)}: rerun the cohort stages"
        )
    values = table[list(names)].to_numpy(np.float64)
    seen = values[(table["split"] == "train").to_numpy()]
    usable = np.isfinite(seen).sum(0) > 1
    seen = np.where(usable, seen, 0.0)
    mean = np.where(usable, np.nanmean(seen, axis=0), np.nan)
    std = np.where(usable, np.nanstd(seen, axis=0), np.nan)
    bad = [name for name, s in zip(names, std, strict=True) if not s > 0]
    if bad:
        raise ValueError(
            f"{', '.join(bad)} cannot be learned: too few training participants have "
            "different values"
        )
    standardised = ((values - mean) / std).astype(np.float32)
    return Targets(list(names), mean.tolist(), std.tolist()), standardised


def zscore_of(
    inputs: config.Inputs, recordings: Recordings, train: np.ndarray, *, start: Path | None
) -> Zscore:
    """Return the z-score of the ECGs of a model.

    It is that of the model from which the ECG encoder starts, or that of the training visits.
    `train` holds the rows of the training visits, and `start` is the folder of the model to start
    from. ValueError is raised if that model was trained with another kind of z-score.
    """
    if start is not None:
        found = weights.zscore(start)
        if found.over != inputs.zscore:
            raise ValueError(
                f"{start} was trained with encoders.zscore {found.over}, not "
                f"{inputs.zscore}: train it again"
            )
        return found
    if inputs.zscore == "cohort" and recordings.signal is not None:
        return zscores.of_cohort(recordings.signals(train))
    return Zscore(inputs.zscore)
