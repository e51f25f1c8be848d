"""The JSON Schema of configuration files, for editors and for `ptacl config`."""

import functools
from typing import Any

from ptacl.config import Config

Node = dict[str, Any]
_LIKE = {
    "type": "string",
    "description": (
        "entry from which this one inherits; the settings of this entry override the inherited ones"
    ),
}


@functools.cache
def schema() -> Node:
    """Return the JSON Schema (2020-12) of a configuration file; do not modify it.

    A file can be partial, so keys are only required in the items of lists, which are replaced as a
    whole. An entry of `models` that leaves out its kind inherits it, and can have the settings of
    any kind. null removes an inherited setting.
    """
    root = _untitled(Config.model_json_schema())
    defs, models = root["$defs"], root["properties"]["models"]
    for name in defs.keys() - _in_lists(root):
        defs[name].pop("required", None)
    root.pop("required")
    kinds: dict[str, str] = models["additionalProperties"]["discriminator"]["mapping"]
    variants: dict[str, list[Node]] = {}
    for ref in kinds.values():
        definition = defs[ref.rpartition("/")[2]]
        definition["additionalProperties"] = {"type": "null"}  # removes an inherited setting
        entry = definition["properties"]
        entry["like"] = _LIKE
        for key, node in entry.items():
            variants.setdefault(key, []).append(node)
    defs["Model"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            # null removes a setting of another kind; every trained kind has the others
            key: _union(nodes) if len(nodes) >= len(kinds) - 1 else _or_null(_union(nodes))
            for key, nodes in variants.items()
        },
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": ref},
            }
            for kind, ref in kinds.items()
        ],
    }
    models["additionalProperties"] = {"$ref": "#/$defs/Model"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root}


def _untitled(node: Any) -> Any:
    """Remove the titles that pydantic makes of names; the value of a property called title is not a
    string.
    """
    if isinstance(node, list):
        return [_untitled(value) for value in node]
    if isinstance(node, dict):
        return {
            key: _untitled(value)
            for key, value in node.items()
            if key != "title" or not isinstance(value, str)
        }
    return node


def _in_lists(node: Any) -> set[str]:
    """Return the names of the definitions that are items of a list."""
    if isinstance(node, list):
        return set().union(*map(_in_lists, node))
    if not isinstance(node, dict):
        return set()
    ref = node["items"].get("$ref") if isinstance(node.get("items"), dict) else None
    return ({ref.rpartition("/")[2]} if ref else set()).union(*map(_in_lists, node.values()))


def _or_null(node: Node) -> Node:
    """Allow null for a setting of an entry, which removes an inherited one."""
    return {"anyOf": [node, {"type": "null"}], "description": node["description"]}


def _union(nodes: list[Node]) -> Node:
    """Join a property of several kinds: it takes the values and has the description of each."""
    if all("const" in node for node in nodes):
        return {
            "type": "string",
            "enum": [node["const"] for node in nodes],
            "description": nodes[0]["description"],
        }
    options: list[Node] = []
    for node in nodes:
        bare = {key: value for key, value in node.items() if key != "description"}
        if bare not in options:
            options.append(bare)
    texts = "; or: ".join(dict.fromkeys(node["description"] for node in nodes))
    return {**(options[0] if len(options) == 1 else {"anyOf": options}), "description": texts}
