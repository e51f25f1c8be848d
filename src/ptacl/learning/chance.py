"""Whether a contrastive loss is below what guessing gives: a training whose loss stays there has learned nothing of that term."""

import math
from collections.abc import Iterable, Mapping

MARGIN = 0.003  # share of the chance level: losses that collapsed lay within 0.1 % of it; soft targets leave little to gain


def at_chance(row: Mapping[str, float]) -> list[str]:
    """Terms of an epoch (`global`, `local`) whose validation loss, or without one their training loss, is that of guessing.

    row : a row of the metrics; a term is a column `train_x` beside `train_x_chance`.
    """
    return [term for term in terms(row) if _gain(row, term) < MARGIN]


def terms(columns: Iterable[str]) -> list[str]:
    """Terms of a loss that have a chance level, by the columns of the metrics."""
    known = list(columns)
    found = [str(name).removeprefix("train_").removesuffix("_chance") for name in known if str(name).endswith("_chance")]
    return [term for term in dict.fromkeys(found) if f"train_{term}" in known]


def _gain(row: Mapping[str, float], term: str) -> float:
    split = "validation" if math.isfinite(row.get(f"validation_{term}", math.nan)) else "train"
    return 1 - row[f"{split}_{term}"] / row[f"{split}_{term}_chance"]


def warnings(row: Mapping[str, float]) -> list[str]:
    """A sentence for each term of an epoch that is at chance."""
    return [
        f"the {term} loss is all but that of guessing: little or nothing was learned of it. A smaller learning rate, a longer "
        "warm-up, a larger batch or more steps may help"
        for term in at_chance(row)
    ]
