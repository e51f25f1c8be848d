"""A model folder made by hand, whose predictions and neighbours can be worked out on paper."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ptacl import config
from ptacl.ecg.zscore import Zscore
from ptacl.evaluation import saved_probe
from ptacl.gallery import Gallery
from ptacl.inference import Model
from ptacl.models import build, heads, weights

ROOT = Path(__file__).parents[1]
WIDTH, SHARED = 4, 2
PROBE = {
    "phenotypes": [
        {
            "name": "LVEDV",
            "unit": "mL",
            "intercept": 150.0,
            "range": [30.0, 500.0],
            "residual": [-20.0, 30.0],
            "r2": [0.5, 0.4, 0.6],
        },
        {
            "name": "LVEF",
            "unit": "%",
            "intercept": 60.0,
            "residual": [-5.0, 5.0],
            "r2": [0.3, 0.2, 0.4],
        },
    ],
    "coefficients": [[10.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
    "mean": [0.0] * WIDTH,
    "precision": np.eye(WIDTH).tolist(),
    "confidence": 0.95,
}


def signals(count: int) -> np.ndarray:
    """ECGs of people whose heart rates differ, in mV: spikes of R waves over a slow T wave, in all
    leads alike.
    """
    time_s = np.arange(5000) / 500
    made = np.empty((count, 12, 5000))
    for i in range(count):
        period_s = 0.8 + 0.05 * i
        phase_s = time_s % period_s
        beat = 1.2 * np.exp(-(((phase_s - 0.2) / 0.012) ** 2)) + 0.2 * np.exp(
            -(((phase_s - 0.45) / 0.05) ** 2)
        )
        limb_one, limb_two = 0.6 * beat, beat
        limb = [limb_one, limb_two, limb_two - limb_one]
        augmented = [-(limb_one + limb_two) / 2, limb_one - limb_two / 2, limb_two - limb_one / 2]
        noise = 0.01 * np.random.default_rng(i).normal(size=(6, 5000))
        chest = [strength * beat for strength in (0.4, 0.7, 1.0, 1.3, 1.1, 0.8)] + noise
        made[i] = np.concatenate([limb, augmented, chest])
    return made


def write_model(folder: Path) -> Path:
    """A contrastive model with random weights and the probe above."""
    settings = config.load(ROOT / "config.yaml")
    sizes = {
        "ecg": config.Encoder(shape=[12, 1500], patch=[1, 100], width=WIDTH, depth=1, heads=1),
        "cmr": config.Encoder(shape=[26, 84, 84], patch=[2, 42, 42], width=WIDTH, depth=1, heads=1),
    }
    torch.manual_seed(0)
    modules = {name: build.encoder(size) for name, size in sizes.items()}
    for name in sizes:
        modules[f"{name}_projector"] = heads.projector(WIDTH, SHARED)
    preparation = {
        "ecg": settings.ecg.model_dump(mode="json"),
        "cmr": settings.cmr.model_dump(mode="json"),
    }
    weights.save(
        folder,
        modules,
        description={"preparation": preparation, "zscore": asdict(Zscore("sample"))},
    )
    (folder / saved_probe.NAME).write_text(json.dumps({"ecg_whole": PROBE | {"limit": 1e9}}))
    return folder


def gallery(model: Model, embedding: np.ndarray) -> Gallery:
    """People whose CMRs have these embeddings."""
    visits = [f"{9000001 + i}_2" for i in range(len(embedding))]
    table = pd.DataFrame(
        {"participant": [v[:7] for v in visits], "LVEDV": 100.0 + np.arange(len(visits))},
        index=visits,
    )
    return Gallery(visits, {"cmr": embedding}, table.rename_axis("visit"), model.digest)
