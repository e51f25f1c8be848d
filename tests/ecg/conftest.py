import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptacl import config


@pytest.fixture(scope="session")
def settings(root: Path) -> config.Ecg:
    return config.load(root / "config.yaml").ecg


@pytest.fixture(scope="session")
def example(real_data: Path) -> Path:
    """The one real CardioSoft file."""
    return real_data / "ecg" / "cardiosoft" / "example-XML1.xml"


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without the warnings of readers of other formats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
