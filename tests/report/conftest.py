from pathlib import Path

import made_up
import pytest
from ptacl.report import page


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with made-up inputs of the report."""
    return made_up.write(tmp_path_factory.mktemp("inputs"))


def arguments(inputs: Path, out: Path) -> list[str]:
    files = {name: inputs / name for name in ("flow.json", "flow.svg", "regression.csv", "retrieval.csv", "alignment.json")}
    command = ["page", "--config", made_up.settings().model_dump_json(), "--flow", files["flow.json"], "--flow-svg", files["flow.svg"]]
    command += ["--regression", files["regression.csv"], "--retrieval", files["retrieval.csv"], "--alignment", files["alignment.json"]]
    command += ["--alignment-svg", inputs / "alignment.svg", "--ceiling", inputs / "simulated.json"]
    command += ["--metrics", *(f"{path.stem}={path}" for path in sorted((inputs / "training").glob("*.csv")))]
    return [str(word) for word in [*command, "--benchmarks", inputs / "benchmarks", "--out", out]]


@pytest.fixture(scope="session")
def report(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, written by its stage."""
    out = tmp_path_factory.mktemp("results") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", arguments(inputs, out))
        page.main()
    return out
