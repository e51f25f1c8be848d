"""Read the inputs of the evaluation: one row per participant, and the embeddings of these rows."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import participants

WHOLE = "ecg_whole"  # embedding of a whole ECG: the mean over crops that cover the record
PHASES = "ecg_phases"  # local embeddings of a whole ECG, one vector per phase of the cycle
PREDICTED = "predicted"  # phenotypes that the probe of a whole ECG predicts
MEASUREMENT = "ecg_"  # prefix of the columns with ECG measurements
COVARIATES = ("sex", "age", "height_cm", "weight_kg")
_HEART_RATE = ["ecg_own_rr_ms", "ecg_own_rr_sd_ms"]
Files = Mapping[str, Mapping[int, Path]]


def used(modality: str) -> str:
    """Return the name of the embeddings that users of a model get: of ECGs, those of whole ECGs."""
    return WHOLE if modality == "ecg" else modality


@dataclass(frozen=True)
class SplitTargets:
    """Participants of a split, with one visit each, in the order of the participants table.

    visits : n visits, as `participant_instance`.
    targets : (n, P) phenotypes in their own units, NaN where missing.
    """

    visits: list[str]
    targets: NDArray[np.float64]


def read_participants(path: Path, *, split: str, phenotypes: Sequence[str]) -> SplitTargets:
    """Read the rows of one split with `evaluate` set, which mark one visit per participant.

    Raises ValueError if columns are missing, the split is empty, or a participant has two rows.
    """
    table = participants.read(path, splits=[split], columns=["evaluate", *phenotypes])
    table = table[table["evaluate"].astype(bool)]
    if table.empty:
        raise ValueError(f"{path} has no participant in the {split} split: the cohort is too small")
    if table["participant"].duplicated().any():
        raise ValueError(
            f"{path} marks two visits of a participant for evaluation: rerun the cohort stages"
        )
    return SplitTargets(table["visit"].tolist(), table[list(phenotypes)].to_numpy(dtype=np.float64))


def read_splits(path: Path) -> dict[str, SplitTargets]:
    """Read the participants of the three splits, without phenotypes."""
    splits = {}
    for name in ("train", "validation", "test"):
        splits[name] = read_participants(path, split=name, phenotypes=[])
    return splits


def read_covariates(
    path: Path, *, names: Sequence[str], train: Sequence[str], visits: Sequence[str]
) -> NDArray[np.float64]:
    """Read columns (n, C) of the participants table in the order of `visits`.

    Missing values are replaced by the mean over the training visits. `names` lists columns;
    `measurements` selects all ECG measurements, and `heart_rate` mean and standard deviation of the
    RR intervals. Columns without any training value are omitted. Raises ValueError if no column
    remains or if a column does not exist.
    """
    columns: list[str] = []
    for name in names:
        columns += _HEART_RATE if name == "heart_rate" else [name]
    single = [column for column in columns if column != "measurements"]
    table = participants.read(path, columns=single).set_index("visit")
    if "measurements" in columns:
        place = columns.index("measurements")
        measured = [column for column in table.columns if column.startswith(MEASUREMENT)]
        columns[place : place + 1] = measured
    values = table[columns].apply(pd.to_numeric, errors="coerce")
    means = values.loc[list(train)].mean()
    kept = means.index[means.notna()]
    if not len(kept):
        raise ValueError(f"{path} has no training value of {', '.join(names)}")
    filled: NDArray[np.float64] = values[kept].fillna(means).loc[list(visits)].to_numpy(np.float64)
    return filled


def known_columns(path: Path, names: Sequence[str], *, visits: Sequence[str]) -> list[str]:
    """Return the columns of the participants table that have a value at any of the visits."""
    table = participants.read(path).set_index("visit").loc[list(visits)]
    return [name for name in names if name in table and table[name].notna().any()]


def read_embedding(path: Path, *, array: str, visits: Sequence[str]) -> NDArray[np.float32]:
    """Read the rows (n, D) of one array in the order of `visits`.

    Raises ValueError if the array or a visit is missing, or if a value is not finite.
    """
    with np.load(path, allow_pickle=False) as stored:
        if array not in stored:
            raise ValueError(f"{path} has no array {array}; it has {', '.join(sorted(stored))}")
        position = {visit: i for i, visit in enumerate(stored["visits"].tolist())}
        if lacking := sum(visit not in position for visit in visits):
            raise ValueError(
                f"{path} lacks {lacking} of {len(visits)} visits: run the embedding again"
            )
        rows: NDArray[np.float32] = stored[array][[position[visit] for visit in visits]].astype(
            np.float32
        )
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{path}, array {array}: {int((~np.isfinite(rows)).any(axis=1).sum())} rows "
            "have values that are not finite"
        )
    return rows


def files(text: str) -> dict[str, dict[int, Path]]:
    """Parse embedding files by model and seed from JSON, such as {"ptacl": {"0": "FILE.npz"}}."""
    parsed: dict[str, dict[int, Path]] = {}
    for name, of_seed in json.loads(text).items():
        parsed[name] = {int(seed): Path(path) for seed, path in sorted(of_seed.items())}
    return parsed


def of_model(name: str, *, embeddings: Files) -> dict[int, Path]:
    """Return the embedding files of a model by seed; raises ValueError if it has none."""
    if not (found := embeddings.get(name)):
        known = ", ".join(sorted(embeddings))
        raise ValueError(f"no embeddings of {name}: --embeddings only has those of {known}")
    return dict(found)


def seeds_of(model: str | None, *, embeddings: Files) -> list[int | None]:
    """Return the seeds of a model, or [None] for a row without a model."""
    if model is None:
        return [None]
    return list(of_model(model, embeddings=embeddings))


def file_of(model: str | None, seed: int | None, *, files: Files) -> Path | None:
    """Return the file of a model and seed, None if there is none."""
    if model is None or seed is None:
        return None
    return files.get(model, {}).get(seed)


def add_arguments(parser: argparse.ArgumentParser, *, section: str) -> None:
    """Add the arguments that all stages of the tables have."""
    parser.add_argument(
        "--settings", required=True, help=f"section {section} of the configuration, as JSON"
    )
    parser.add_argument(
        "--phenotypes", required=True, help="names and units of the phenotypes, as JSON"
    )
    parser.add_argument("--participants", required=True, type=Path, help="participants.csv")
    parser.add_argument(
        "--embeddings",
        required=True,
        type=files,
        help="embedding files (.npz) by model and seed, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="seed of the project")


def names(text: str) -> list[str]:
    """Parse names from JSON: a list, or an object with a list under the key `names`.

    :func:`ptacl.config.dump` writes the latter.
    """
    value = json.loads(text)
    return [str(name) for name in (value["names"] if isinstance(value, dict) else value)]
