"""Use a trained model: from files or arrays to embeddings, phenotypes and neighbours.

    model = ptacl.Model.load("results/models/ptacl-0")
    table = model.predict(["ecg.xml"])

A model folder contains all that is needed: weights, input preparation, and the linear probe. Files
go through the functions of the pipeline in the same order, so embeddings are byte-identical.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError

from ptacl import embedding, prediction, sources
from ptacl.ecg.read import LEADS
from ptacl.evaluation import cosine, embed, saved_probe, saved_risk
from ptacl.evaluation.inputs import WHOLE, used
from ptacl.gallery import Gallery
from ptacl.models import weights
from ptacl.sources import Files

Modality = Literal["ecg", "cmr"]


@dataclass(frozen=True)
class Model:
    """A trained model, ready for use; create it with :meth:`load`."""

    folder: Path
    parts: embed.LoadedEncoders
    preparation: Mapping[str, Any]
    probes: Mapping[str, Any]
    risks: Mapping[str, Any]
    device: torch.device
    digest: str

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> "Model":
        """Read a model folder.

        Parameters
        ----------
        folder : path
            Model folder, such as `results/models/ptacl-0`.
        device : str
            `cpu` or `cuda`.

        Returns
        -------
        Model
            The model, on this device.

        Raises
        ------
        ValueError, FileNotFoundError
            The folder lacks something; the message says what, and how to create it.
        """
        folder, on = Path(folder), embedding.device(device)
        preparation = weights.description(folder).get("preparation")
        if not preparation or not all(preparation.values()):
            raise ValueError(
                f"{folder} does not say how its inputs were prepared: train it with this "
                "version of ptacl"
            )
        parts = embed.load_model(folder)
        try:
            settings = embedding.preparation_settings(preparation, modalities=parts.encoders)
        except ValidationError:
            raise ValueError(
                f"{folder} needs preparation settings that this version of ptacl does not know: "
                "use it with the version that trained it, or train it again"
            ) from None
        path = folder / saved_probe.NAME
        probes = json.loads(path.read_text()) if path.is_file() else {}
        digest = weights.digest(folder)
        risks = saved_risk.read(folder, digest=digest)
        return cls(folder, parts, settings, probes, risks, on, digest)

    def embed(
        self,
        source: Files | np.ndarray,
        *,
        modality: Modality = "ecg",
        rate_hz: float = 500,
        leads: Sequence[str] = LEADS,
        unit: str = "mV",
        segmentation: Path | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Embed ECGs or cines as the pipeline does.

        Parameters
        ----------
        source : path, list of paths, or ndarray
            Files, or ECGs of shape (leads, samples) or (n, leads, samples).
        modality : str
            `ecg` or `cmr`.
        rate_hz : float
            Sampling rate of an array, Hz.
        leads : sequence of str
            Names of the rows of an array, in any order.
        unit : str
            Unit of an array: mV, uV, V or nV.
        segmentation : path, optional
            Segmentation of a single cine. By default the file next to it, if it exists.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        DataFrame
            One row per input, with the columns `e0` to `eD-1`. `reason` says why an input cannot be
            used, and is "" if it can be. The embedding of an input that cannot be used is NaN.

        Raises
        ------
        ValueError
            The model has no encoder of this modality, or the input is of another modality.
        """
        names, arrays, reasons = self._run(
            source,
            modality,
            rate_hz=rate_hz,
            leads=leads,
            unit=unit,
            segmentation=segmentation,
            progress=progress,
        )
        values = arrays[used(modality)]
        table = pd.DataFrame(
            values,
            index=pd.Index(names, name="input"),
            columns=[f"e{i}" for i in range(values.shape[1])],
        )
        table.insert(0, "reason", reasons)
        return table

    def predict(
        self,
        source: Files | np.ndarray,
        *,
        modality: Modality = "ecg",
        rate_hz: float = 500,
        leads: Sequence[str] = LEADS,
        unit: str = "mV",
        segmentation: Path | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Predict phenotypes and diseases with linear models; parameters as in :meth:`embed`.

        Returns
        -------
        DataFrame
            One row per input and phenotype. `value`, `low` and `high` are the prediction and its
            interval, from the residuals of the test participants. Diseases have rows such as `AF
            at the visit` and `AF within 5 years`, whose value is a probability without an interval.
            A probability holds for people like those of the training. `out_of_distribution` says
            whether the embedding is farther from the mean of the training participants than 99.5 %
            of the test participants, by Mahalanobis distance; it is missing if the input cannot be
            used. `reason` is as in :meth:`embed`.

        Raises
        ------
        ValueError
            The model has no probe of this modality, or the input is of another modality.
        """
        if used(modality) not in self.probes:
            raise ValueError(
                f"{self.folder} has no {modality.upper()} probe: run the pipeline to "
                "results/report.html"
            )
        embedded = self.embed(
            source,
            modality=modality,
            rate_hz=rate_hz,
            leads=leads,
            unit=unit,
            segmentation=segmentation,
            progress=progress,
        )
        stored = self.probes[used(modality)]
        return prediction.table(embedded, probe=stored, risks=self.risks.get(used(modality), []))

    def retrieve(
        self,
        source: Files | np.ndarray,
        gallery: Gallery,
        *,
        modality: Modality = "ecg",
        num: int = 5,
        rate_hz: float = 500,
        leads: Sequence[str] = LEADS,
        unit: str = "mV",
        segmentation: Path | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Find the `num` visits of a gallery whose other modality is nearest by cosine. The other
        parameters are those of :meth:`embed`.

        Returns
        -------
        DataFrame
            One row per input and rank, with the similarity, the visit and its phenotypes. An input
            that cannot be used has one row with the reason.

        Raises
        ------
        ValueError
            The gallery was made by another model, or has no shared space with this one.
        """
        if gallery.model != self.digest:
            raise ValueError(
                f"the gallery was made by another model than {self.folder}: give the "
                "embeddings of this model, "
                f"results/private/embeddings/{self.folder.name}.npz of the same run"
            )
        other = "cmr" if modality == "ecg" else "ecg"
        if other not in gallery.embedding or modality not in self.parts.projectors:
            raise ValueError(
                f"{self.folder} or the gallery has no shared space of ECG and CMR: use a "
                "contrastive model"
            )
        names, arrays, reasons = self._run(
            source,
            modality,
            rate_hz=rate_hz,
            leads=leads,
            unit=unit,
            segmentation=segmentation,
            progress=progress,
        )
        kept = cosine.unit(gallery.embedding[other])
        none_usable = np.full((len(names), kept.shape[1]), np.nan)
        query = cosine.unit(arrays.get(f"{used(modality)}_projected", none_usable))
        rows: list[pd.DataFrame] = []
        for name, reason, similarity in zip(names, reasons, query @ kept.T, strict=True):
            if reason:
                rows.append(pd.DataFrame({"input": [name], "reason": [reason]}))
                continue
            best = np.argsort(-similarity, kind="stable")[:num]
            neighbours = gallery.phenotypes.iloc[best].drop(columns="participant").reset_index()
            for column, value in (
                ("similarity", similarity[best]),
                ("rank", np.arange(1, len(best) + 1)),
                ("reason", ""),
                ("input", name),
            ):
                neighbours.insert(0, column, value)
            rows.append(neighbours)
        if not rows:
            return pd.DataFrame(columns=["input", "reason"])
        return pd.concat(rows, ignore_index=True)

    def _run(
        self, source: Files | np.ndarray, modality: Modality, *, progress: bool = False, **how: Any
    ) -> tuple[list[str], dict[str, np.ndarray], list[str]]:
        """Return names, arrays and reasons of all inputs; unusable inputs are NaN in the arrays.

        `how` are the other arguments of :func:`ptacl.sources.inputs`.
        """
        if modality not in self.preparation:
            known = ", ".join(sorted(self.preparation))
            raise ValueError(f"{self.folder} has no {modality.upper()} encoder; it has {known}")
        inputs = sources.inputs(source, modality=modality, **how)
        arrays, reasons = embedding.run(
            self.parts,
            inputs,
            modality=modality,
            settings=self.preparation[modality],
            device=self.device,
            crops=self.crops,
            progress=progress,
        )
        return [given.name for given in inputs], arrays, reasons

    @property
    def crops(self) -> int:
        """Number of crops of an ECG, as of the model's probe; 1 without a probe."""
        return int(self.probes.get(WHOLE, {}).get("crops", 1))
