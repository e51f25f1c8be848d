"""Galleries: embeddings of a trained model, with the phenotypes of the same visits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import participants
from ptacl.evaluation import inputs


@dataclass(frozen=True)
class Gallery:
    """Embeddings and phenotypes of people to retrieve from.

    It contains data of individual participants, so it must stay where results/private is.

    Parameters
    ----------
    visits : list of str
        The n visits.
    embedding : mapping of str to ndarray of shape (n, D)
        Embeddings in the shared space, by modality.
    phenotypes : DataFrame
        Phenotypes of the same visits.
    model : str
        Identifies the model that made the embeddings (:func:`ptacl.models.weights.digest`).
    """

    visits: list[str]
    embedding: dict[str, np.ndarray]
    phenotypes: pd.DataFrame
    model: str

    @classmethod
    def load(cls, embeddings: Path, *, table: Path | None = None) -> "Gallery":
        """Read a gallery from the results of a run.

        Parameters
        ----------
        embeddings : Path
            File `results/private/embeddings/MODEL-SEED.npz`.
        table : Path, optional
            File participants.csv. By default that of the same run.

        Returns
        -------
        Gallery
            The visits of the embeddings that the table contains.

        Raises
        ------
        ValueError
            The file does not name its model, or has no shared space.
        """
        table = table or Path(embeddings).parents[1] / "participants.csv"
        with np.load(embeddings, allow_pickle=False) as stored:
            found: dict[str, np.ndarray] = {}
            for modality in ("ecg", "cmr"):
                name = f"{inputs.used(modality)}_projected"
                if name in stored:
                    found[modality] = stored[name]
            visits = stored["visits"].tolist()
            model = str(stored["model"]) if "model" in stored else ""
        if not model:
            raise ValueError(
                f"{embeddings} does not say which model made it: run the pipeline again"
            )
        if not found:
            raise ValueError(
                f"{embeddings} has no shared space of ECG and CMR: give the embeddings of "
                "a contrastive model"
            )
        rows = participants.read(table).set_index("visit")
        kept = [i for i, visit in enumerate(visits) if visit in rows.index]
        rows = rows.loc[[visits[i] for i in kept]]
        return cls(
            rows.index.tolist(), {m: values[kept] for m, values in found.items()}, rows, model
        )
