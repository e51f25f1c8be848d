"""Compare two entries of models: `ptacl config --compare`."""

import json
from collections.abc import Iterator
from typing import Any

from ptacl import config


def differences(values: dict[str, Any], first: str, second: str) -> str:
    """Return the settings in which two entries of models differ, one per line.

    Inherited values are filled in. ValueError is raised if there is no such entry.
    """
    entries = config.parse(values).model_dump(mode="json")["models"]
    if unknown := [name for name in (first, second) if name not in entries]:
        raise ValueError(f"there is no model {unknown[0]}; models are {', '.join(entries)}")
    flat = [dict(_leaves(entries[name])) for name in (first, second)]
    keys = [key for key in flat[0] | flat[1] if key != "title"]
    rows = [("", first, second)]
    for key in keys:
        texts = [json.dumps(of[key]) if key in of else "-" for of in flat]
        if texts[0] != texts[1]:
            rows.append((key, texts[0], texts[1]))
    wide = max(len(row[0]) for row in rows)
    wide_too = max(len(row[1]) for row in rows)
    return "\n".join(f"{a:{wide}}  {b:{wide_too}}  {c}".rstrip() for a, b, c in rows)


def _leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
