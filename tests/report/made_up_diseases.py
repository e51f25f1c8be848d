"""Made-up diseases of the people of :mod:`made_up`: the real evaluation runs on them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ptacl import config
from ptacl.evaluation import outcomes


def write(
    folder: Path,
    chosen: config.Config,
    participants: Path,
    embeddings: dict[str, dict[int, Path]],
    *,
    train: int,
) -> None:
    """AF that follows the first feature and age, much hypertension, and HF of a few."""
    rng = np.random.default_rng(5)
    people = pd.read_csv(participants, dtype={"visit": str, "participant": str})
    num = len(people)
    people.loc[train - 50 : train - 1, "split"] = "validation"
    for name, mean, spread in (("sex", 0, 1), ("age", 64, 8), ("height_cm", 170, 9)):
        people[name] = rng.normal(mean, spread, num)
    people["weight_kg"] = people["height_cm"] - 95 + rng.normal(0, 9, num)
    people.to_csv(folder / "private" / "people.csv", index=False)
    with np.load(embeddings["cmr_mae"][0]) as stored:
        score = stored["cmr"][:, 0] + (people["age"].to_numpy() - 64) / 8
    years = rng.exponential(np.exp(-0.7 * score) / 0.06) - 4
    end = rng.uniform(2, 8, num)
    table = pd.DataFrame({"visit": people["visit"], "AF before": (years <= 0).astype(float)})
    table["AF years"] = np.where(years > 0, np.minimum(years, end), np.nan)
    table["AF event"] = np.where(years > 0, (years <= end).astype(float), np.nan)
    table["HF before"] = (np.arange(num) % 60 == 0).astype(float)
    table["HF years"], table["HF event"] = end, (np.arange(num) % 50 == 1).astype(float)
    table["Hypertension before"] = (rng.normal(size=num) + score > 1).astype(float)
    table["Diabetes before"] = 0.0
    table.to_csv(folder / "private" / "outcomes.csv", index=False)
    rows = []
    for row in chosen.regression.rows:
        if not {"heart_rate", "measurements", "ecg_phases", "predicted"} & {*row.features}:
            rows.append(row)
    found, curves = outcomes.evaluate(
        chosen.outcomes,
        chosen.regression.model_copy(update={"rows": rows, "bootstrap": 100}),
        participants=folder / "private" / "people.csv",
        outcomes=folder / "private" / "outcomes.csv",
        embeddings=embeddings,
        probe_files={},
        seed=0,
        smallest_count=0,
    )
    found.to_csv(folder / "outcomes.csv", index=False)
    (folder / "outcomes.json").write_text(json.dumps(curves))
    seen = {"truth": 0.8, "ECG": 0.7, "ECG + demographics": 0.75}
    ceiling = {"AF": {"before": seen, "after": seen}, "Hypertension": {"before": seen}}
    (folder / "of_cohort.json").write_text(json.dumps({"ceiling": ceiling}))
