"""How Sphinx builds the documentation: `make docs`. Nothing is fetched from the network."""

project = "PTACL"
html_title = "PTACL"
html_theme = "furo"
html_copy_source = html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False
napoleon_google_docstring = False
napoleon_use_rtype = False
# References are checked, except to other packages, whose inventories would be needed, and to parts
# of this package that the pages of the API leave out.
nitpick_ignore_regex = [
    ("py:.*", r"(?!ptacl\.).*"),
    ("py:.*", r"ptacl\.(config|evaluation|learning|models|ecg|exclusions|cmr|sources)\..*"),
    ("py:.*", r"ptacl\.(sources|exclusions).*"),
]


def setup(app):
    """Register the functions of this file."""
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("source-read", add_title)


def escape_bars(app, what, name, obj, options, lines):
    """Escape bars, such as those of |k - t|, which reStructuredText takes for substitutions."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def add_title(app, name, source):
    """Add a heading to tables that the workflow wrote: the name of the file."""
    if name.startswith("benchmark/") and not source[0].startswith("# "):
        title = name.removeprefix("benchmark/").replace("-", " ").capitalize()
        source[0] = f"# {title}\n\n{source[0]}"
