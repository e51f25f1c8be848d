"""A lower layer never imports an upper one, stages never import one another, and heavy libraries
stay where they belong.
"""

import ast
from pathlib import Path

import house
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ptacl"
MODULES = sorted(p for p in SOURCE.rglob("*.py") if p.name != "__init__.py")

LAYERS = {
    "config": 0,
    "seeds": 0,
    "memory": 0,
    "stage": 0,
    "exclusions": 0,
    "files": 0,
    "raw": 0,
    "lost_records": 0,
    "contact_sheet": 0,
    "training_cost": 1,
    "disease": 1,
    "store": 1,
    "read_ahead": 1,
    "preparation": 1,
    "participants": 2,
    "cohort": 2,
    "ecg": 2,
    "cmr": 2,
    "models": 3,
    "learning.losses": 3,
    "learning.collapse": 3,
    "learning.draws": 3,
    "learning.transfer": 3,
    "learning.reading": 3,
    "learning.optimizer": 3,
    "learning.augment": 3,
    "learning.processes": 3,
    "learning.devices": 3,
    "learning.board": 3,
    "learning.maps": 3,
    "learning.phases": 3,
    "learning.objectives": 4,
    "learning.recordings": 5,
    "learning.data": 5,
    "learning.assemble": 5,
    "learning.loop": 5,
    "learning.fit": 5,
    "learning.resume": 5,
    "learning.train": 6,
    "evaluation": 6,
    "gallery": 6,
    "sources": 6,
    "embedding": 7,
    "export": 7,
    "external": 9,
    "external_cohort": 8,
    "prediction": 7,
    "inference": 7,
    "report": 7,
    "check": 8,
    "check_storage": 7,
    "check_needs": 6,
    "check_platform": 7,
    "trial": 8,
    "many": 8,
    "cli": 10,
}


def name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def layer(module: str) -> int:
    found = [
        LAYERS[key]
        for key in sorted(LAYERS, key=len, reverse=True)
        if module == key or module.startswith(key + ".")
    ]
    assert found, f"{module} is in no layer: name it in LAYERS"
    return found[0]


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(path: Path) -> set[str]:
    known = {name(p) for p in MODULES}
    return {n.removeprefix("ptacl.") for n in imports(path) if n.startswith("ptacl.")} & known


def is_stage(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    return name(path) != "cli" and any(
        isinstance(n, ast.FunctionDef) and n.name == "main" for n in tree.body
    )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_downwards(path: Path) -> None:
    above = {n for n in own(path) if layer(n) > layer(name(path))}
    assert not above


@pytest.mark.parametrize("path", [p for p in MODULES if is_stage(p)], ids=name)
def test_stages_do_not_import_stages(path: Path) -> None:
    stages = {name(p) for p in MODULES if is_stage(p)}
    assert not own(path) & stages


@pytest.mark.parametrize(
    ("library", "lowest"),
    [("torch", 3), ("zarr", None), ("pandas", 2), ("snakemake", 10)],
    ids=lambda v: str(v),
)
def test_libraries_stay_where_they_belong(library: str, lowest: int | None) -> None:
    users = {name(p) for p in MODULES if any(n.split(".")[0] == library for n in imports(p))}
    if lowest is None:
        assert users == {"store"}
    else:
        assert not {u for u in users if layer(u) < lowest}
        assert not {u for u in users if layer(u) in (3, 4) and library == "pandas"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_source_reads_no_environment_network_or_clock(path: Path) -> None:
    forbidden = {"os.environ", "os.getenv", "datetime.now", "time.time", "datetime.today"}
    tree = ast.parse(path.read_text())
    used = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    hits = {u for u in used if u in forbidden or any(u.endswith("." + f) for f in forbidden)}
    # `ptacl try` passes its environment on to the pipeline that it starts.
    assert not hits - ({"os.environ"} if name(path) == "cli.run_commands" else set())
    assert not {"requests", "urllib", "socket", "http"} & {
        n.split(".")[0] for n in imports(path)
    } - ({"socket"} if name(path) == "learning.resume" else set())


def test_files_are_short() -> None:
    root = SOURCE.parents[1]
    long = []
    for folder in (SOURCE, root / "tests", root / "benchmarks"):
        for path in folder.rglob("*.py"):
            if len(path.read_text().splitlines()) > 300:
                long.append(str(path.relative_to(root)))
    assert not long


def test_the_picture_of_the_house_is_that_of_the_imports() -> None:
    assert house.PAGE.read_text() == house.page(), "python tests/house.py writes it anew"
