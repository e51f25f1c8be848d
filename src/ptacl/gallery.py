"""People to retrieve from: embeddings of a trained model with the phenotypes of the same visits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import participants


@dataclass(frozen=True)
class Gallery:
    """Embeddings and phenotypes of people to retrieve from; per participant, so it stays where results/private is.

    visits : n. embedding : (n, D) of the shared space, by modality. phenotypes : of the same visits. model : which model made the
    embeddings (:func:`ptacl.models.weights.digest`).
    """

    visits: list[str]
    embedding: dict[str, np.ndarray]
    phenotypes: pd.DataFrame
    model: str

    @classmethod
    def load(cls, embeddings: Path, *, table: Path | None = None) -> "Gallery":
        """From `results/private/embeddings/MODEL-SEED.npz` and participants.csv (by default that of the same run)."""
        table = table or Path(embeddings).parents[1] / "participants.csv"
        with np.load(embeddings, allow_pickle=False) as stored:
            found = {m: stored[f"{m}_projected"] for m in ("ecg", "cmr") if f"{m}_projected" in stored}
            visits = stored["visits"].tolist()
            model = str(stored["model"]) if "model" in stored else ""
        if not model:
            raise ValueError(f"{embeddings} does not say which model made it: run the pipeline again")
        if not found:
            raise ValueError(f"{embeddings} has no shared space: only contrastive models retrieve")
        rows = participants.read(table).set_index("visit")
        kept = [i for i, visit in enumerate(visits) if visit in rows.index]
        rows = rows.loc[[visits[i] for i in kept]]
        return cls(rows.index.tolist(), {m: values[kept] for m, values in found.items()}, rows, model)
