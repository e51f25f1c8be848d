"""Describe small modules, such as projectors, so that they can be rebuilt without pickle.

A description names the class and the arguments of its constructor. It is read from a file, so only
subclasses of `torch.nn.Module` are ever called. The module that defines a class is imported: if it
is not one of torch, it is a file of yours, in the current folder or on PYTHONPATH.
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

Description = dict[str, Any]
Base = TypeVar("Base", bound=nn.Module)
_PLAIN = (bool, int, float, str, list, tuple, type(None))
_PLACES = ("device", "dtype")  # arguments of torch's modules that are not part of a description


def describe(module: nn.Module) -> Description:
    """Return the class and the constructor arguments of a module, as JSON values.

    Parameters
    ----------
    module : nn.Module
        A module of torch, a `Sequential` of such modules, or a class of your own that keeps each
        argument of its constructor in an attribute of the same name. Arguments must be numbers,
        strings, or lists of them.

    Raises
    ------
    ValueError
        If a module built from the description would have other weights.
    """
    description = _described(module)
    with torch.device("meta"):
        again = build(description)
    if _shapes(again) != _shapes(module):
        raise ValueError(
            f"{_name(type(module))} cannot be saved: built again from {description['arguments']}, "
            "it has other weights; keep each argument of its constructor in an attribute of the "
            "same name"
        )
    return description


def build(description: Mapping[str, Any]) -> nn.Module:
    """Build a module from its description, with new weights.

    Raises ValueError if the class cannot be imported, or is not a module.
    """
    kind = import_class(str(description["class"]), of=nn.Module)
    parts = [build(part) for part in description.get("modules", [])]
    built: nn.Module = kind(*parts, **description["arguments"])
    return built


def import_class(name: str, *, of: type[Base]) -> type[Base]:
    """Import a class given as module:class.

    Raises ValueError, with a remedy, if it cannot be imported or is not a subclass of `of`.
    """
    module, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name} cannot be imported: there is no module {error.name}; put its file into the "
            "folder where you start the command, or on PYTHONPATH"
        ) from None
    except AttributeError:
        raise ValueError(f"{name}: the module {module} has no class {attribute}") from None
    if not (inspect.isclass(kind) and issubclass(kind, of)):
        raise ValueError(f"{name} is not a subclass of {of.__name__}")
    return kind


def _described(module: nn.Module) -> Description:
    kind = type(module)
    if kind is nn.Sequential:
        parts = [_described(part) for part in module.children()]
        return {"class": _name(kind), "arguments": {}, "modules": parts}
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in _PLACES or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(module, name, parameter.default)
        if name == "bias" and isinstance(value, torch.Tensor | None):
            value = value is not None  # torch keeps the tensor under the name of the argument
        if not isinstance(value, _PLAIN):
            raise ValueError(
                f"{_name(kind)} cannot be saved: keep the argument {name} of its constructor, a "
                "number, a string or a list, in an attribute of the same name"
            )
        arguments[name] = value
    return {"class": _name(kind), "arguments": arguments}


def _name(kind: type) -> str:
    module = "torch.nn" if kind.__module__.startswith("torch.nn.modules") else kind.__module__
    return f"{module}:{kind.__qualname__}"


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}
