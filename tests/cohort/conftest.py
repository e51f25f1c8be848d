from pathlib import Path

import pytest

from ptacl import config


@pytest.fixture(scope="module")
def settings(root: Path) -> config.Cohort:
    return config.load(root / "config.yaml").cohort
