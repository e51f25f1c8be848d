"""Explain each setting, from the schema of the configuration.

`ptacl config` prints the result, and docs/configuration.md is written from it.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from ptacl import config
from ptacl.config.schema import Node, schema

_ABSENT = object()
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_LIMITS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "pattern": "matching",
}
_Row = tuple[str, Node, Any]  # key, schema and value of a setting
_WIDTH = 100  # of a longer value, only the number of items is printed
_HEAD = """# Settings

This page is for people who write a configuration file and want to look up a setting. It is
generated from `src/ptacl/config` and `config.yaml`, by
`ptacl config --reference > docs/configuration.md`.

`ptacl config --explain KEY` prints the entry of one setting. `ptacl config my.yaml` prints the
whole configuration that results from your own file. Settings of list items are listed under the
name of the list. Editors complete and check a file if its first line is
`# yaml-language-server: $schema=` followed by the path of `workflow/config/schema.json`.
"""
_MODELS = """Each entry has its own name, here NAME, and its own values; only settings that can be
omitted have a default here. `ptacl config --explain models.NAME.KEY` prints the value of an entry,
including inherited ones.
"""


def resolved(values: dict[str, Any]) -> str:
    """Return the whole configuration as YAML, with inherited and absent values filled in.

    ValueError is raised if it is not valid.
    """
    plain = config.parse(values).model_dump(mode="json")
    return yaml.safe_dump(
        plain, sort_keys=False, default_flow_style=None, allow_unicode=True, width=130
    )


def explain(key: str, own: dict[str, Any], values: dict[str, Any]) -> str:
    """Return the explanation of a dotted key, with the settings below it if it has any.

    `own` are the values of config.yaml, which are the defaults. `values` are the current values;
    one that differs from its default is shown too. For an unknown key, ValueError suggests the
    most similar key.
    """
    known, defaults = _known(values), _known(own)
    if key not in known:
        raise ValueError(f"there is no setting {key}{_nearest(key, known)}")
    node, value = known[key]
    lines = [key, f"  {_meaning(node, value)}", f"  type     {_type(node)}"]
    default = defaults.get(key, (node, _ABSENT))[1]
    if not isinstance(default, dict) and not (default is _ABSENT and isinstance(value, dict)):
        lines.append(f"  default  {_stated(key, default, own)} (config.yaml)")
    if value != default and not isinstance(value, dict):
        lines.append(f"  here     {_stated(key, value, values)}")
    below = [name for name in known if name.rpartition(".")[0] == key]
    width = max(map(len, below), default=0)
    return "\n".join([*lines, *(f"  {name:{width}}  {_meaning(*known[name])}" for name in below)])


def _meaning(node: Node, value: Any) -> str:
    """Return the description of a setting.

    An entry of models has no description, so its title and kind are returned. A setting by
    modality has none either.
    """
    if described := _target(node).get("description"):
        return str(described)
    return (
        f"{value['title']}, {value['kind']}"
        if isinstance(value, dict) and "title" in value
        else "of this modality"
    )


def _nearest(key: str, known: Iterable[str]) -> str:
    names = [name for name in known if name.endswith(f".{key}")] or difflib.get_close_matches(
        key, known, 1
    )
    return f"; did you mean {names[0]}?" if names else "; ptacl config --reference lists all"


def _stated(key: str, value: Any, values: dict[str, Any]) -> str:
    """Return a value as text, with the entry of models that it is inherited from, if any."""
    first, _, path = key.partition(".")
    if value is _ABSENT:
        if first == "models":
            return "none: no such entry, or a section above it is null"
        return "none: each item has its own"
    name, _, path = path.partition(".")
    origin = (
        _origin(name, path.split("."), values["models"])
        if first == "models" and path != "like"
        else name
    )
    return _text(value) + (f", of models.{origin}" if origin not in (name, None) else "")


def _origin(name: str | None, path: list[str], entries: dict[str, Any]) -> str | None:
    while name is not None:
        place = entries[name]
        for part in path:
            place = place.get(part, _ABSENT) if isinstance(place, dict) else _ABSENT
        if place is not _ABSENT:
            return name
        name = entries[name].get("like")
    return None


def reference(own: dict[str, Any]) -> str:
    """Return Markdown with a table of settings per section; `own` are the values of config.yaml."""
    known = _known(own)
    sections = list(_below(schema()))
    rows_of: dict[str, list[_Row]] = {section: [] for section in sections}
    for key, (node, value) in known.items():
        section = key.partition(".")[0]
        if key != section:
            rows_of[section].append((key, node, value))
    single = [(name, *known[name]) for name in sections if not rows_of[name]]
    text = _HEAD + "\n" + _table(single)
    for name, rows in rows_of.items():
        if rows:
            text += f"\n## {name}\n\n{_sentence(known[name][0])}\n"
            text += "\n" + (_of_models() if name == "models" else _table(rows))
    return text


def _of_models() -> str:
    entry = _target({"$ref": "#/$defs/Model"})
    kinds = {
        rule["if"]["properties"]["kind"]["const"]: _target(rule["then"]) for rule in entry["allOf"]
    }
    kinds_of: dict[str, list[str]] = {key: [] for key in entry["properties"]}
    for kind, node in kinds.items():
        for key in node["properties"]:
            kinds_of[key].append(kind)
    trained = [kind for kind in kinds if kind != "untrained"]
    groups = {"every entry": list(kinds), "every training": trained}
    text = _MODELS
    for title, holders in groups.items():
        text += f"\n### {title}\n\n" + _rows(
            {k: entry["properties"][k] for k, of in kinds_of.items() if of == holders}
        )
    for kind in trained:
        own = {
            k: node
            for k, node in kinds[kind]["properties"].items()
            if kinds_of[k] not in groups.values()
        }
        text += f"\n### kind: {kind}\n\n{_sentence(kinds[kind])}\n\n" + _rows(own)
    return text


def _rows(nodes: dict[str, Node]) -> str:
    return _table(_keys({"properties": nodes}, _ABSENT, "models.NAME."))


def _table(rows: Iterable[_Row]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, node, value in rows:
        value = node.get("default", _ABSENT) if value is _ABSENT else value
        default = (
            ""
            if value is _ABSENT or (value and not isinstance(value, str) and _below(node))
            else f"`{_text(value)}`"
        )
        cells = (f"`{key}`", _type(node), default, _meaning(node, value))
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _sentence(node: Node) -> str:
    """Return the description of a section, which is the docstring if the section is a model."""
    text = (
        _target({"$ref": node["$ref"]} if "$ref" in node else node)["description"]
        .partition("\n\n")[0]
        .rstrip(".")
    )
    return f"{text[0].upper()}{text[1:]}."


def _known(values: dict[str, Any]) -> dict[str, tuple[Node, Any]]:
    """Return the schema and value of every setting by dotted key, including inherited ones."""
    plain = config.parse(values).model_dump(mode="json")
    for name in ("diseases", "follow_up_ends"):  # those of the simulated cohort are filled in
        plain["outcomes"][name] = values["outcomes"][name]
    for name, entry in values["models"].items():
        plain["models"][name]["like"] = entry.get("like")
    return {key: (node, value) for key, node, value in _keys(schema(), plain)}


def _keys(node: Node, value: Any, prefix: str = "") -> Iterator[tuple[str, Node, Any]]:
    for name, below in _below(node, value).items():
        there = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        yield prefix + name, below, there
        yield from _keys(below, there, f"{prefix}{name}.")


def _below(node: Node, value: Any = None) -> dict[str, Node]:
    """Return the settings below a setting by name.

    They depend on the kind that the value has. For a list they are those of its items, and for
    alternatives those of all of them.
    """
    node = _target(node)
    for rule in node.get("allOf", []):
        if (
            isinstance(value, dict)
            and value.get("kind") == rule["if"]["properties"]["kind"]["const"]
        ):
            return _below(rule["then"])
    if "anyOf" in node:
        found: dict[str, Node] = {}
        for option in reversed(node["anyOf"]):
            found |= _below(option, value)
        return found
    if "items" in node:
        return _below(node["items"])
    every = node.get("additionalProperties")
    if isinstance(every, dict) and "properties" not in node:
        if "propertyNames" in node:
            return dict.fromkeys(node["propertyNames"]["enum"], every)
        return dict.fromkeys(value if isinstance(value, dict) else (), every)
    return dict(node.get("properties", {}))


def _target(node: Node) -> Node:
    if "$ref" not in node:
        return node
    return {
        **schema()["$defs"][node["$ref"].rpartition("/")[2]],
        **{k: v for k, v in node.items() if k != "$ref"},
    }


def _type(node: Node) -> str:
    node = _target(node)
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(map(_type, node["anyOf"])))
    if "enum" in node or "const" in node:
        *others, last = node.get("enum", [node.get("const")])
        return f"{', '.join(others)} or {last}" if others else last
    if "prefixItems" in node:
        return f"[{', '.join(map(_type, node['prefixItems']))}]"
    if "items" in node:
        items = re.sub("(section|number)", r"\1s", _type(node["items"]))
        return (
            f"list of {node['minItems']} or more {items}"
            if "minItems" in node
            else f"list of {items}"
        )
    if node.get("type") == "object":
        every = node.get("additionalProperties") if "properties" not in node else None
        text = _type(every) if isinstance(every, dict) else "section"
        names = node.get("propertyNames", {}).get("enum", [])
        by = "modality" if "ecg" in names else "name"
        text = f"({text})" if " or " in text else text
        return f"{text} by {by}" if isinstance(every, dict) else text
    limits = " and ".join(
        f"{sign} {node[limit]}" for limit, sign in _LIMITS.items() if limit in node
    )
    return f"{_TYPES.get(node.get('type', ''), 'anything')} {limits}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    return (
        text
        if len(text := json.dumps(value, ensure_ascii=False)) <= _WIDTH
        else f"{len(value)} items"
    )
