"""Table 2 of a made-up cohort."""

import pandas as pd
from tables import wide

from ptacl.config import Regression
from ptacl.evaluation import regression

PHENOTYPES = ["LVEDV", "LVEF", "LVM"]


def evaluate(*args, **how) -> pd.DataFrame:
    """Table 2 in the layout of the paper, with probes that are fitted on the way."""
    return wide(regression.evaluate(*args, probes={}, **how))


def settings(rows: list[tuple[str, str, str]], reference: str = "Global") -> Regression:
    named = [{"features": [i], "label": m, "model": n} for i, m, n in rows]
    return Regression.model_validate(
        {"rows": named, "reference": reference, "bootstrap": 100, "confidence": 0.95}
    )
