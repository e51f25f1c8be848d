from pathlib import Path

import made_up
import pytest

from ptacl.report import page


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with made-up inputs of the report."""
    return made_up.write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def report(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, written by its stage."""
    out = tmp_path_factory.mktemp("results") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", made_up.arguments(inputs, out))
        page.main()
    return out
