"""The documentation: links lead to files, commands can be typed, messages are printed so, the site
builds without a warning.
"""

import ast
import contextlib
import functools
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ptacl import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts)]
OWN = "my"  # begins the names of the reader's files
VARIABLE = "…"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@pages
def test_links_lead_to_files(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    targets = [
        link.partition("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", prose)
        if "://" not in link
    ]
    assert not [target for target in targets if target and not (page.parent / target).exists()]


def commands(page: Path, program: str) -> list[list[str]]:
    """Arguments of each call of a program, in fenced blocks and in code within a line."""
    text = page.read_text().replace("\\\n", " ")
    fenced = [
        line
        for block in re.findall(r"^```.*?\n(.*?)^```", text, flags=re.S | re.M)
        for line in block.split("\n")
    ]
    within = re.findall(
        r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    )
    found = [
        re.match(rf"(?:\$ )?(?:\w+=\S+\s+)*{program}\s+(.+)", line.strip())
        for line in [*fenced, *within]
    ]
    return [shlex.split(match.group(1), comments=True) for match in found if match]


@pages
def test_make_has_these_targets(page: Path) -> None:
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {word for arguments in commands(page, "make") for word in arguments if "=" not in word}
    assert named <= targets


@functools.cache
def help_of(*command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    return out.getvalue()


@pages
def test_ptacl_has_these_commands_and_options(page: Path) -> None:
    for command, *arguments in commands(page, "ptacl"):
        assert command in re.search(r"\{(.*?)\}", help_of()).group(1).split(","), command
        known = set(re.findall(r"--[\w-]+", help_of(command)))
        assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= known, (
            command
        )


@pages
def test_snakemake_finds_these_files_and_rules(page: Path) -> None:
    rules = set(
        re.findall(
            r"^\s*(?:rule|checkpoint) (\w+):", "".join(map(Path.read_text, workflow())), flags=re.M
        )
    )
    for arguments in commands(page, "snakemake"):
        option = ""
        for word in arguments:
            if word.startswith("--"):
                option = word
            elif option in ("--configfile", "--configfiles", "--profile", "--workflow-profile"):
                assert word.startswith(OWN) or word == "none" or (ROOT / word).exists(), word
            elif option in ("--forcerun", "--set-resources", "--set-threads"):
                assert re.split("[:=]", word)[0] in rules, word


@pytest.mark.parametrize("page", ["method", "cluster", "privacy", "troubleshooting"])
def test_settings_exist(page: str) -> None:
    known = set(re.findall(r"^\| `([\w.]+)`", (DOCS / "configuration.md").read_text(), flags=re.M))
    known |= {key.rpartition(".")[0] for key in known}
    sections = "|".join({key.partition(".")[0] for key in known if "." in key})
    named = re.findall(rf"`((?:{sections})\.[\w.]+)`", (DOCS / f"{page}.md").read_text())
    assert not [key for key in named if key not in known]


def workflow() -> list[Path]:
    return [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


@functools.cache
def printable() -> str:
    """All text that the sources can print, with `…` for values that are filled in."""
    sources = [*(ROOT / "src/ptacl").rglob("*.py"), ROOT / "workflow/rules/common.smk"]
    texts = [(ROOT / "Makefile").read_text()]
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(
                        part.value if isinstance(part, ast.Constant) else VARIABLE
                        for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return re.sub(f"{VARIABLE}+", VARIABLE, "\0".join(texts))


MESSAGES = re.findall(r"^\| `([^`]+)` \|", (DOCS / "troubleshooting.md").read_text(), flags=re.M)


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_printed_so(message: str) -> None:
    assert message in printable()


def test_there_are_messages() -> None:
    rows = re.findall(r"^\|(?! message|-)", (DOCS / "troubleshooting.md").read_text(), flags=re.M)
    assert len(MESSAGES) == len(rows) >= 15


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip(
        "furo", reason="the documentation needs its extra: pip install 'ptacl[docs]'"
    )
    pytest.importorskip(
        "myst_parser", reason="the documentation needs its extra: pip install 'ptacl[docs]'"
    )
    options = ["-q", "-n", "-W", "--keep-going", "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(tmp_path / "html")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "html/api/use.html").is_file()
