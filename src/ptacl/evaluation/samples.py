"""What evaluation reads: one row a participant, and the embeddings that belong to these rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ptacl import participants

MEASUREMENT = "ecg_"  # how the columns of ECG measurements begin
Files = Mapping[str, Mapping[int, Path]]


@dataclass(frozen=True)
class Samples:
    """Participants of a split, one visit each, in the order of the participants table.

    visits : n keys `participant_instance`.
    targets : (n, P) phenotypes in their own units, NaN where missing.
    """

    visits: list[str]
    targets: NDArray[np.float64]


def read_participants(path: Path, *, split: str, phenotypes: Sequence[str]) -> Samples:
    """Rows of one split with `evaluate` set: a second visit would count a participant twice.

    ValueError names missing columns, an empty split, or a participant with two rows.
    """
    table = participants.read(path, splits=[split], columns=["evaluate", *phenotypes])
    table = table[table["evaluate"].astype(bool)]
    if table.empty:
        raise ValueError(f"{path} has no participant in the {split} split: the cohort is too small")
    if table["participant"].duplicated().any():
        raise ValueError(f"{path} evaluates a participant twice: rerun the cohort stages")
    return Samples(table["visit"].tolist(), table[list(phenotypes)].to_numpy(dtype=np.float64))


def read_covariates(path: Path, *, names: Sequence[str], train: Sequence[str], visits: Sequence[str]) -> NDArray[np.float64]:
    """(n, C) columns of the participants table in the order of `visits`, missing values as the mean of the training visits.

    names : columns, or `measurements` for all of the ECG. A column without any training value is left out. ValueError if no
    column is left or a name is no column.
    """
    table = participants.read(path, columns=[name for name in names if name != "measurements"]).set_index("visit")
    columns: list[str] = []
    for name in names:
        columns += [c for c in table.columns if c.startswith(MEASUREMENT)] if name == "measurements" else [name]
    values = table[columns].apply(pd.to_numeric, errors="coerce")
    means = values.loc[list(train)].mean()
    kept = means.index[means.notna()]
    if not len(kept):
        raise ValueError(f"{path} has no training value of {', '.join(names)}")
    filled: NDArray[np.float64] = values[kept].fillna(means).loc[list(visits)].to_numpy(np.float64)
    return filled


def read_embedding(path: Path, *, array: str, visits: Sequence[str]) -> NDArray[np.float32]:
    """(n, D) rows of one array in the order of `visits`.

    ValueError if the array or a visit is missing, or a value is not finite.
    """
    with np.load(path, allow_pickle=False) as stored:
        if array not in stored:
            raise ValueError(f"{path} has no array {array}; it has {', '.join(sorted(stored))}")
        position = {visit: i for i, visit in enumerate(stored["visits"].tolist())}
        if lacking := sum(visit not in position for visit in visits):
            raise ValueError(f"{path} lacks {lacking} of {len(visits)} visits: rerun the embedding")
        rows: NDArray[np.float32] = stored[array][[position[visit] for visit in visits]].astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError(f"{path}, array {array}: {int((~np.isfinite(rows)).any(axis=1).sum())} rows are not finite")
    return rows


def files(text: str) -> dict[str, dict[int, Path]]:
    """Embedding files by model and seed, from JSON: {"ptacl": {"0": "FILE.npz"}}, as an argument type."""
    return {str(name): {int(seed): Path(path) for seed, path in sorted(of.items())} for name, of in json.loads(text).items()}


def of_model(name: str, *, embeddings: Files) -> dict[int, Path]:
    """Embedding files of a model by seed; ValueError if there is none."""
    if not (found := embeddings.get(name)):
        raise ValueError(f"no embeddings of {name}; given are those of {', '.join(sorted(embeddings))}")
    return dict(found)


def names(text: str) -> list[str]:
    """Names from JSON: a list, or one under the key `names`, as :func:`ptacl.config.dump` writes it."""
    value = json.loads(text)
    return [str(name) for name in (value["names"] if isinstance(value, dict) else value)]
