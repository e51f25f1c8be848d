"""How Sphinx builds the documentation: `make docs`. Nothing is fetched from the network."""

import re

project = "PTACL"
html_title = "PTACL"
html_theme = "furo"
html_copy_source = html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False
# References are checked, except to other packages, whose inventories would be needed, and to what
# the pages of the API leave out.
nitpick_ignore_regex = [
    ("py:.*", r"(?!ptacl\.).*"),
    (
        "py:.*",
        r"ptacl\.(config\.(\w+\.)?[A-Z]|evaluation|learning\.(data|chance)|models|ecg\.read|exclusions|cmr).*",
    ),
]

_HEADING = re.compile(r"^-+$")
_ARGUMENT = re.compile(r"(^|(?<=[.;)] ))([a-z]\w*(?:, [a-z]\w*)*) : ")


def setup(app):
    """Docstrings here are plain text, with arguments as `name : meaning`."""
    app.connect("autodoc-process-docstring", _arguments)
    app.connect("source-read", _title)


def _title(app, name, source):
    """Tables that the workflow wrote have no heading: that of the page is the name of the file."""
    if name.startswith("benchmark/") and not source[0].startswith("# "):
        source[0] = (
            f"# {name.removeprefix('benchmark/').replace('-', ' ').capitalize()}\n\n{source[0]}"
        )


def _arguments(app, what, name, obj, options, lines):
    """In place: bars are no substitutions, headings go, and each argument of a paragraph that
    begins with one has its line.
    """
    out = []
    for line in (text.replace("|", r"\|") for text in lines):
        if _HEADING.match(line):
            out.pop()
            continue
        inside = bool(out) and bool(out[-1]) and out[-1].startswith(("| ", "  "))
        if _ARGUMENT.match(line):
            out.append("| " + _ARGUMENT.sub(r"\1**\2** : ", line))
        elif line and inside:
            out.append("  " + _ARGUMENT.sub(r"\1**\2** : ", line))
        else:
            out.append(line)
    lines[:] = out
