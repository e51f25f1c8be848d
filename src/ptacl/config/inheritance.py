"""Inheritance between the entries of the list of models."""

from typing import Any, get_args

from ptacl.config.models import Entry, Model

_KINDS: tuple[type[Entry], ...] = get_args(get_args(Model)[0])
_SETTINGS = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind.model_fields.keys() for kind in _KINDS
}


def resolve(entries: dict[str, Any]) -> dict[str, Any]:
    """Complete each entry with the settings that it inherits by `like: NAME`.

    The entry's own settings override the inherited ones: mappings are merged, and other values are
    replaced. null removes a setting. An entry of another kind does not inherit settings that its
    kind does not have. Raises ValueError for an unknown name or a circle.
    """
    return {name: _resolved(name, entries, ()) for name in entries}


def _resolved(name: str, entries: dict[str, Any], path: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, dict):
        return entry
    if "like" in entry:
        base, path = entry["like"], (*path, name)
        if base not in entries or base in path:
            why = "which inherits from it" if base in path else "which does not exist"
            raise ValueError(f"models.{name} is like {base}, {why}")
        own = {key: value for key, value in entry.items() if key != "like"}
        entry = merge(_inherited(_resolved(base, entries, path), own.get("kind")), own)
    return {key: value for key, value in entry.items() if value is not None}


def _inherited(settings: Any, kind: Any) -> Any:
    """Return the settings that an entry of this kind can have; None is the same kind."""
    known = _SETTINGS.get(kind)
    if known is None or not isinstance(settings, dict) or settings.get("kind") == kind:
        return settings
    return {key: value for key, value in settings.items() if key in known}


def merge(base: Any, changes: Any) -> Any:
    """Merge mappings; any other value of `base` is replaced by that of `changes`."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return {**base, **{key: merge(base.get(key), value) for key, value in changes.items()}}
