"""What a stage's code is, for Snakemake: a digest of the module and of every ptacl module that it imports, however deep.

The digest is taken from the syntax tree without docstrings: a comment or a line break changes nothing, a changed line reruns
the stages that reach it. `ptacl.config` is left out: it only types the settings, and these are parameters of the rules.
"""

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

SOURCE = Path(importlib.util.find_spec("ptacl").origin).parents[1]  # of the package that jobs will run
_LEFT_OUT = "ptacl.config"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(*modules: str) -> str:
    """Hexadecimal digest of the code of a stage, such as ``ptacl.ecg.prepare``; ValueError for an unknown module.

    More modules than one where a stage imports some by a name that it is given. Of a module of another package its own file
    counts, and nothing that it imports.
    """
    ours = [module for module in modules if module.partition(".")[0] == "ptacl"]
    if unknown := [module for module in ours if _path(module) is None]:
        raise ValueError(f"no module {unknown} under {SOURCE}")
    lines = [f"{name} {_own_digest(name)}" for name in sorted(frozenset().union(*map(closure, ours)))]
    text = "\n".join([*lines, *(f"{name} {_other_digest(name)}" for name in sorted(set(modules) - set(ours)))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def closure(module: str) -> frozenset[str]:
    """The module and all modules of the package that it imports."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and not name.startswith(_LEFT_OUT):
            found.add(name)
            waiting += _imports(name)
    return frozenset(found)


def _path(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    assert path is not None
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(module: str) -> list[str]:
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == "ptacl" and _path(name)]


def _other_digest(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"Python finds no module {module}: add its folder to PYTHONPATH, or install it")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


@functools.cache
def _own_digest(module: str) -> str:
    path = _path(module)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    data = [p.read_bytes() for p in sorted(path.parent.glob("*.html")) + sorted(path.parent.glob("*.css"))]
    return hashlib.sha256(ast.dump(tree).encode() + b"".join(data)).hexdigest()
