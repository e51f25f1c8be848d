"""Rules of the workflow and stages of the package belong together one to one; what a stage's code
is.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import MODULES, is_stage, name

ROOT = Path(__file__).parents[1]
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
TEXT = "\n".join(p.read_text() for p in RULES)
STAGES = [name(p) for p in MODULES if is_stage(p)]


def code_version(source: Path | None = None):
    spec = importlib.util.spec_from_file_location(
        "code_version", ROOT / "workflow" / "code_version.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if source:
        module.SOURCE = source
    return module


def test_every_rule_is_a_stage_and_every_stage_a_rule() -> None:
    called = re.findall(r"(?:-m|launch\}) (ptacl\.[a-z_.]+)", TEXT)
    assert sorted(called) == sorted(f"ptacl.{s}" for s in STAGES)
    declared = re.findall(r'code_version\.digest\(\s*"(ptacl\.[a-z_.]+)"', TEXT)
    assert sorted(declared) == sorted(called)


@pytest.mark.parametrize(
    "directive", ["log:", "benchmark:", "conda:", "resources:", "mem_mb=", "runtime=", "threads:"]
)
def test_every_rule_has(directive: str) -> None:
    assert TEXT.count(directive) >= len(STAGES)


def test_training_and_inference_ask_for_a_gpu() -> None:
    for rule in ("train", "embed"):
        body = TEXT.split(f"rule {rule}:")[1].split("\nrule ")[0]
        assert "gpu=1" in body


@pytest.mark.parametrize("stage", STAGES)
def test_stage_explains_itself(stage: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"ptacl.{stage}", "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "--settings" in run.stdout or stage in (
        "cohort.flow",
        "report.flow",
        "report.tables",
        "report.outcome_table",
        "report.page",
    )


def package(root: Path, **files: str) -> Path:
    for dotted, text in files.items():
        path = root / "ptacl" / (dotted.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_digest_follows_imports_but_not_comments(tmp_path: Path) -> None:
    files = {
        "a": '"""Doc."""\nfrom ptacl import b\n\ndef main():\n    return b.f()\n',
        "b": "from ptacl.config import X\n\ndef f():\n    return 1\n",
        "c": "def g():\n    return 2\n",
        "config": "X = 1\n",
    }
    before = code_version(package(tmp_path / "0", **files)).digest("ptacl.a")
    comment = files | {
        "b": "# why\nfrom ptacl.config import X\n\n\ndef f():\n    '''Doc.'''\n    return 1\n"
    }
    line = files | {"b": files["b"].replace("return 1", "return 3")}
    elsewhere = files | {"c": "def g():\n    return 4\n", "config": "X = 2\n"}
    assert code_version(package(tmp_path / "1", **comment)).digest("ptacl.a") == before
    assert code_version(package(tmp_path / "2", **line)).digest("ptacl.a") != before
    assert code_version(package(tmp_path / "3", **elsewhere)).digest("ptacl.a") == before


def test_imports_are_found_in_every_block(tmp_path: Path) -> None:
    """Also below functions, branches and handlers, but not those for types only."""
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import ptacl.for_types
class A:
    def f(self, x):
        import ptacl.in_method
        try:
            import ptacl.in_try
        except OSError:
            import ptacl.in_handler
        else:
            import ptacl.in_else
        finally:
            import ptacl.in_finally
        match x:
            case 1:
                import ptacl.in_case
"""
    places = ["method", "try", "handler", "else", "finally", "case"]
    modules = [*(f"in_{place}" for place in places), "for_types"]
    version = code_version(package(tmp_path, a=text, **dict.fromkeys(modules, "")))
    assert version.closure("ptacl.a") == {"ptacl.a", *(f"ptacl.in_{place}" for place in places)}


def test_digest_names_an_unknown_module(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ptacl\.nothing"):
        code_version(tmp_path).digest("ptacl.nothing")


def test_evaluation_never_reaches_training_code() -> None:
    version = code_version()
    assert not {"ptacl.learning.fit", "ptacl.ecg.read"} & version.closure(
        "ptacl.evaluation.retrieval"
    )
    assert "ptacl.ecg.denoise" in version.closure("ptacl.ecg.prepare")
    assert "ptacl.ecg.denoise" not in version.closure("ptacl.cmr.prepare")
