import os
from pathlib import Path

# before NumPy and torch are imported: tests run beside one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it skip where it is absent."""
    path = Path(os.environ.get("PTACL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real recordings at {path}: set PTACL_REAL_DATA")
    return path
