from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from probed_cohort import PHENOTYPES


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, dict[str, dict[int, Path]], pd.DataFrame]:
    """300 participants with three phenotypes that follow from five features, and embeddings of
    several qualities.
    """
    rng = np.random.default_rng(0)
    n = 300
    cause = rng.normal(size=(n, 5))
    exact = cause @ rng.normal(size=(5, 3)) * [30, 6, 20] + [150, 60, 90]
    table = pd.DataFrame(
        {
            "visit": [f"{9000001 + i}_2" for i in range(n)],
            "participant": [str(9000001 + i) for i in range(n)],
        }
    )
    table["split"] = np.select(
        [np.arange(n) < 180, np.arange(n) < 200], ["train", "validation"], "test"
    )
    table["evaluate"] = True
    table[PHENOTYPES] = exact
    second = table.iloc[[-1]].assign(visit=lambda t: t["participant"] + "_3", evaluate=False)
    table = pd.concat([table, second], ignore_index=True)
    participants = tmp_path / "participants.csv"
    table.to_csv(participants, index=False)
    cause = np.vstack([cause, cause[-1:]])
    quality = {
        ("random", 0): 50.0,
        ("ecg_mae", 0): 1.0,
        ("cmr_mae", 0): 0.0,
        ("global", 0): 0.5,
        ("ptacl", 0): 0.3,
        ("ptacl", 1): 0.4,
    }
    embeddings: dict[str, dict[int, Path]] = {}
    shuffled = rng.permutation(len(table))
    for (name, seed), noise in quality.items():
        features = np.hstack(
            [cause + noise * rng.normal(size=cause.shape), rng.normal(size=(len(cause), 3))]
        ).astype(np.float32)
        path = embeddings.setdefault(name, {})[seed] = tmp_path / f"{name}-{seed}.npz"
        np.savez(
            path,
            visits=table["visit"].to_numpy(dtype=str)[shuffled],
            ecg=features[shuffled],
            cmr=features[shuffled],
        )
    return participants, embeddings, table
