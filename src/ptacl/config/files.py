"""Read configuration files, and pass their sections to stages."""

import difflib
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ptacl.config.configuration import Config
from ptacl.config.inheritance import merge, resolve
from ptacl.config.section import Section


def parse(values: dict[str, Any]) -> Config:
    """Validate settings.

    Parameters
    ----------
    values : dict
        Nested settings, as in config.yaml. Entries of `models` can inherit by `like`.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a setting is wrong. The message lists each wrong key by its full name.
    """
    try:
        if isinstance(values.get("models"), dict):
            values = {**values, "models": resolve(values["models"])}
        return Config.model_validate(values)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"])) or "config"
            unknown = fault["type"] == "extra_forbidden"
            message = "there is no such setting" if unknown else fault["msg"]
            lines.append(f"  {place}: {message}{_meant(fault)}")
        raise ValueError("the configuration has errors:\n" + "\n".join(lines)) from None


def _meant(error: Any) -> str:
    """Suggest what to do about an unknown key.

    This is a known name that resembles it, or the removal of a setting that belongs to another kind
    of entry.
    """
    if error["type"] != "extra_forbidden":
        return ""
    names: set[str] = set()
    for section in _sections(Section):
        names |= section.model_fields.keys()
    name = str(error["loc"][-1])
    if name not in names:
        close = difflib.get_close_matches(name, sorted(names), 1)
        return f"; did you mean {close[0]}?" if close else ""
    if error["loc"][0] != "models":
        return ""
    remedy = f"write {name}: null to remove an inherited one"
    return f"; it belongs to another kind of entry: {remedy}"


def _sections(section: type[Section]) -> list[type[Section]]:
    found = []
    for below in section.__subclasses__():
        found += [below, *_sections(below)]
    return found


def load(path: Path) -> Config:
    """Read and validate one configuration file.

    Parameters
    ----------
    path : path-like
        A YAML file that holds every setting, such as config.yaml.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a setting is wrong. The message lists each wrong key by its full name.
    """
    return parse(yaml.safe_load(Path(path).read_text()))


def stack(*paths: Path) -> Config:
    """Read and validate several configuration files, where later files override earlier ones.

    Mappings are merged, and other values are replaced, as Snakemake does with `--configfile`.

    Parameters
    ----------
    paths : path-like
        YAML files, for instance config.yaml and then your own file.

    Returns
    -------
    Config
        The validated configuration.

    Raises
    ------
    ValueError
        If a file is not a YAML mapping, or if a setting is wrong.
    """
    return parse(read(*paths))


def read(*paths: Path) -> dict[str, Any]:
    """Merge configuration files like :func:`stack`, before validation and inheritance.

    Raises ValueError for a file that is not a YAML mapping.
    """
    values: dict[str, Any] = {}
    for path in paths:
        try:
            changes = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {error}") from None
        if not isinstance(changes, dict):
            raise ValueError(
                f"{path} contains no settings: it must be a YAML mapping, such as config.yaml"
            )
        values = merge(values, changes)
    return values


def dump(*sections: Section, **named: Any) -> str:
    """Serialise a section, or several values by name, to one canonical JSON string.

    Keys are sorted and defaults are resolved, so equal settings give equal strings.

    Parameters
    ----------
    sections : Section
        At most one section, whose settings become the keys.
    named : Any
        Further sections or JSON-able values, by key.

    Returns
    -------
    str
        The JSON, without white space between its parts.
    """
    plain = sections[0].model_dump(mode="json") if sections else {}
    for key, value in named.items():
        plain[key] = value.model_dump(mode="json") if isinstance(value, Section) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
