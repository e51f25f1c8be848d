"""Compute the code version of a stage for Snakemake.

It is a digest of the module and of every ptacl module that it imports, directly or indirectly. The
digest is computed from the syntax tree without docstrings. A comment or a line break does not
change it, and a changed line reruns only the stages that reach it. Imports that cannot change the
results of a stage (`_WITHOUT_EFFECT`), or that only serve the type checker, are not followed.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(importlib.util.find_spec("ptacl").origin).parents[1]  # of the package that jobs run
# By importing module: imports that do not affect the numbers that a stage writes.
_WITHOUT_EFFECT = {
    "*": [
        "ptacl.config",  # only defines types of settings; their values are parameters of the rules
        "ptacl.stage",  # starts a stage and formats its errors
        "ptacl.memory",  # affects speed only
    ],
    "ptacl.learning.train": [
        "ptacl.learning.board",
        "ptacl.learning.collapse",
    ],  # curves and warnings of a training
    "ptacl.models.weights": ["ptacl.models.card"],  # text for people
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(*modules: str) -> str:
    """Return a hexadecimal digest of the code of a stage, such as ``ptacl.ecg.prepare``.

    Several modules are given if a stage imports some of them by a name that it receives. For a
    module of another package only its own file counts, not its imports. ValueError is raised for an
    unknown module.
    """
    ours = [module for module in modules if module.partition(".")[0] == "ptacl"]
    if unknown := [module for module in ours if _path(module) is None]:
        raise ValueError(f"no module {unknown} under {SOURCE}")
    lines = [
        f"{name} {_own_digest(name)}" for name in sorted(frozenset().union(*map(closure, ours)))
    ]
    text = "\n".join(
        [*lines, *(f"{name} {_other_digest(name)}" for name in sorted(set(modules) - set(ours)))]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def closure(module: str) -> frozenset[str]:
    """Return the module and all modules of the package that it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(name)
    return frozenset(found)


def _has_effect(importer: str, module: str) -> bool:
    left_out = _WITHOUT_EFFECT["*"] + _WITHOUT_EFFECT.get(importer, [])
    return not any(module == name or module.startswith(f"{name}.") for name in left_out)


def _path(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _tree(module: str) -> ast.Module:
    """Return the syntax tree of a module without docstrings."""
    path = _path(module)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in (tree, *_statements(tree)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@functools.cache
def _imports(module: str) -> list[str]:
    names = []
    for node in _statements(_tree(module), only_at_run_time=True):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = [name for name in names if name.split(".")[0] == "ptacl" and _path(name)]
    return [name for name in ours if _has_effect(module, name)]


def _statements(tree: ast.AST, *, only_at_run_time: bool = False) -> Iterator[ast.AST]:
    """Yield all statements below, except those of `if TYPE_CHECKING` if they should run.

    Expressions are left out, because they hold neither imports nor docstrings, and most nodes.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            for child in getattr(node, block, ()):
                if only_at_run_time and _is_for_types(child):
                    continue
                yield child
                waiting.append(child)


def _is_for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _other_digest(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"Python finds no module {module}: add its folder to PYTHONPATH, or install it"
        )
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


@functools.cache
def _own_digest(module: str) -> str:
    path = _path(module)
    assert path is not None
    data = [
        p.read_bytes()
        for p in sorted(path.parent.glob("*.html")) + sorted(path.parent.glob("*.css"))
    ]
    return hashlib.sha256(ast.dump(_tree(module)).encode() + b"".join(data)).hexdigest()
