"""Templates and style of the pages."""

from importlib.resources import files

import jinja2

from ptacl.cohort.small_counts import text


def environment() -> jinja2.Environment:
    """Return the environment of the templates, in which a missing value is an error.

    The filter `people` formats counts that can be hidden.
    """
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("ptacl", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["people"] = text
    return found


def style() -> str:
    """Return the style sheet of the pages."""
    return files("ptacl.report").joinpath("page.css").read_text(encoding="utf-8")
