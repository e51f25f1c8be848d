from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ptacl import config


@pytest.fixture(scope="session")
def settings(root: Path) -> config.Ecg:
    return config.load(root / "config.yaml").ecg


@pytest.fixture(scope="session")
def example(real_data: Path) -> Path:
    """The one real CardioSoft file."""
    return real_data / "ecg" / "cardiosoft" / "example-XML1.xml"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were drawn, instead of their files."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    return kept
