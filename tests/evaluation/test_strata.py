from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ptacl.evaluation import strata

BANDS = {
    "below 55 years": [45, 54, 54.9],
    "55 to 64 years": [55, 60, 64, 64.9],
    "65 years and above": [65, 66, 82],
}


@pytest.mark.parametrize(("band", "age"), [(band, age) for band in BANDS for age in BANDS[band]])
def test_each_age_is_in_one_band_only(tmp_path: Path, band: str, age: float) -> None:
    """The limits too: somebody aged 55 is not also below 55."""
    numbers = range(9000001, 9000001 + strata.LEAST)
    table = pd.DataFrame({"participant": numbers, "age": age, "split": "test"})
    table["visit"] = [f"{number}_2" for number in numbers]
    table.to_csv(tmp_path / "participants.csv", index=False)
    found = strata.read(tmp_path / "participants.csv", visits=table["visit"].tolist())
    assert list(found) == [band]
    assert np.all(found[band])
