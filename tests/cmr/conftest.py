from pathlib import Path

import pytest

from ptacl import config


@pytest.fixture(scope="session")
def published(root: Path) -> config.Config:
    return config.load(root / "config.yaml")


@pytest.fixture(scope="session")
def settings(published: config.Config) -> config.Cmr:
    """Settings that fit the phantom: 8 frames, 7 slices, 48 x 56 pixels."""
    return published.cmr.model_copy(update={"frames": 8, "min_slices": 6, "size": 32})
