"""Settings of diseases for tests, and the choice of one line of their table."""

import pandas as pd

from ptacl.config import Outcomes, Regression

ROWS = [
    {"label": "Global", "model": "global", "features": ["ecg"]},
    {"label": "Noise", "model": "noise", "features": ["ecg"]},
    {"label": "Age", "features": ["age"]},
    {"label": "Global + age", "model": "global", "features": ["ecg", "age"]},
]


def settings(**changes) -> Outcomes:
    values = {
        "diseases": [{"name": "AF"}, {"name": "Gout", "only_before": True}],
        "follow_up_ends": {},
        "horizon_years": 5,
        "least_events": 20,
        "baseline": "Age",
    }
    return Outcomes.model_validate(values | changes)


def table(rows=ROWS, **changes) -> Regression:
    values = {"rows": rows, "reference": "Global", "bootstrap": 100, "confidence": 0.95}
    return Regression.model_validate(values | changes)


def line(long: pd.DataFrame, **where) -> pd.Series:
    chosen = long
    where = {"group": "all", "reference": "", "disease": "AF"} | where
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    chosen = chosen[chosen["seed"].isna()] if "seed" not in where else chosen
    assert len(chosen) == 1, chosen
    return chosen.iloc[0]
