"""The picture of the house in CONTRIBUTING.md, from the imports: `python tests/house.py` writes it
anew.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, PAGE = ROOT / "src" / "ptacl", ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- house -->\n", "<!-- /house -->"
UTILITIES = {
    "config",
    "seeds",
    "stage",
    "exclusions",
}  # imported nearly everywhere: arrows to them would hide the others


def package(module: str) -> str:
    """The first name below ptacl."""
    return module.split(".")[1] if "." in module else ""


def edges() -> set[tuple[str, str]]:
    """Who imports whom, by packages."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ptacl"):
                names = (
                    [f"{node.module}.{alias.name}" for alias in node.names]
                    if node.module == "ptacl"
                    else [node.module or ""]
                )
                found |= {(own, package(name)) for name in names}
    known = {p.stem for p in SOURCE.iterdir() if p.is_dir() or p.suffix == ".py"}
    return {
        (a, b)
        for a, b in found
        if a != b and b in known and a != "__init__" and not {a, b} & UTILITIES
    }


def reduced(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without arrows that a longer way implies."""

    def reaches(a: str, b: str, without: tuple[str, str]) -> bool:
        waiting, seen = [a], set()
        while waiting:
            here = waiting.pop()
            for start, end in found - {without}:
                if start == here and end not in seen:
                    seen.add(end)
                    waiting.append(end)
        return b in seen

    return {edge for edge in found if not reaches(*edge, without=edge)}


def picture() -> str:
    """The diagram as text that code hosts draw."""
    arrows = "\n".join(f"  {a} --> {b}" for a, b in sorted(reduced(edges())))
    return (
        f"```mermaid\nflowchart TD\n{arrows}\n```\n\nAll of them use "
        f"{', '.join(f'`{name}`' for name in sorted(UTILITIES))}.\n"
    )


def page() -> str:
    """CONTRIBUTING.md with the picture as it is now."""
    return re.sub(
        f"{BEGIN}.*?{END}", lambda m: BEGIN + picture() + END, PAGE.read_text(), flags=re.S
    )


if __name__ == "__main__":
    PAGE.write_text(page())
