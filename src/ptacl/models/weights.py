"""Save and load model folders: model.safetensors, config.json, and a model card.

No pickle is ever written or read.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from ptacl import config, files
from ptacl.ecg.zscore import Zscore
from ptacl.models import build, card, heads, parts
from ptacl.models.build import AnyEncoder

WEIGHTS, CONFIG, CARD = files.WEIGHTS, "config.json", "README.md"
FORMAT = "ptacl-model-3"
PROJECTOR = "_projector"  # ends the names of modules that map pooled tokens to a shared space
Part = TypeVar("Part", bound=nn.Module)
PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"}


def save(folder: Path, modules: Mapping[str, nn.Module], *, description: Mapping[str, Any]) -> None:
    """Write modules into a model folder.

    modules : by name (without dots), for instance {"ecg": Encoder, "ecg_projector": Linear};
    encoders and heads are saved with their settings, and projectors with what builds them
    (:mod:`ptacl.models.parts`). description : JSON-able facts for config.json
    and the card; `title` and `summary` head the card. It must never contain a participant id.
    """
    dotted = [name for name in modules if "." in name]
    if dotted:
        raise ValueError(
            f"module names {dotted} contain a dot, which separates a module from its parameters"
        )
    tensors, parameters = {}, {}
    for name, module in modules.items():
        parameters[name] = sum(p.numel() for p in module.parameters())
        for key, value in _state(module).items():
            tensors[f"{name}.{key}"] = value
    facts = {
        "format": FORMAT,
        "encoders": _settings(modules, config.Encoder, config.ResNet),
        "heads": _settings(modules, config.Head),
        "projectors": projectors(modules),
        "parameters": parameters,
        "description": dict(description),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Old weights are deleted first and new ones written last, so that weights never sit next to the
    # description of another model.
    (folder / WEIGHTS).unlink(missing_ok=True)
    files.write(folder / CONFIG, (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode())
    files.write(folder / CARD, card.text(facts, weights=WEIGHTS, settings=CONFIG).encode())
    files.write(folder / WEIGHTS, safetensors.torch.save(tensors))


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Load state dictionaries by module name, on the CPU, and the description.

    Raises FileNotFoundError or ValueError with the folder and the remedy.
    """
    facts = _facts(folder)
    path = Path(folder) / WEIGHTS
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): copy or train the model again") from None
    # Use the names in config.json, because a module without tensors does not occur in the file.
    modules: dict[str, dict[str, Tensor]] = {name: {} for name in facts["parameters"]}
    for key, tensor in tensors.items():
        name, _, parameter = key.partition(".")
        if name not in modules:
            raise ValueError(
                f"{folder}: {WEIGHTS} contains {name!r}, which {CONFIG} does not name; "
                "copy both files from one model"
            )
        modules[name][parameter] = tensor
    return modules, facts["description"]


def encoder(folder: Path, name: str) -> AnyEncoder:
    """Load the encoder saved under `name`, rebuilt from its settings, in evaluation mode.

    Raises ValueError if the folder has no encoder of that name.
    """
    return _rebuilt(folder, name, "encoders", _build)


def head(folder: Path, name: str) -> heads.PredictionHead:
    """Load the head saved under `name`, like :func:`encoder`."""
    return _rebuilt(
        folder,
        name,
        "heads",
        lambda values: heads.PredictionHead(config.Head.model_validate(values)),
    )


def projector(folder: Path, name: str) -> nn.Module:
    """Load the projector saved under `name`, like :func:`encoder`."""
    return _rebuilt(folder, name, "projectors", parts.build)


def projectors(modules: Mapping[str, nn.Module]) -> dict[str, parts.Description]:
    """Describe the modules whose name ends with `_projector`.

    Raises ValueError, with a remedy, if one could not be rebuilt.
    """
    return {
        name: parts.describe(module) for name, module in modules.items() if name.endswith(PROJECTOR)
    }


def digest(folder: Path) -> str:
    """Return a hash of the weights of a model folder, which identifies the model."""
    return files.digest(Path(folder) / WEIGHTS)


def modules_of(folder: Path) -> list[str]:
    """Return the names of the modules of a model folder."""
    return sorted(_facts(folder)["parameters"])


def description(folder: Path) -> dict[str, Any]:
    """Return the facts that were saved with the model."""
    facts: dict[str, Any] = _facts(folder)["description"]
    checked: dict[str, Any] = facts
    return checked


def zscore(folder: Path) -> Zscore:
    """Return the z-score with which the ECGs of the model were standardised."""
    return Zscore(**description(folder)["zscore"])


def named_folder(text: str) -> tuple[str, Path]:
    """Split `name=folder`, as an argument type."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ValueError(f"{text} is not of the form name=folder")
    return name, Path(path)


def _build(settings: Any) -> AnyEncoder:
    kind: TypeAdapter[config.AnyEncoder] = TypeAdapter(config.AnyEncoder)
    return build.encoder(kind.validate_python(settings))


def _rebuilt(folder: Path, name: str, group: str, make: Callable[[Any], Part]) -> Part:
    settings = _facts(folder).get(group, {})
    if name not in settings:
        raise ValueError(f"{folder} has no {group[:-1]} {name!r}; it has {sorted(settings)}")
    try:
        with torch.device("meta"):  # build without drawing weights
            module = make(settings[name])
        module.load_state_dict(load(folder)[0][name], assign=True)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder}: the weights of {name!r} do not fit {CONFIG}; copy or train the "
            f"model again ({error})"
        ) from None
    return module.eval()


def _settings(modules: Mapping[str, nn.Module], *kinds: type[config.Section]) -> dict[str, Any]:
    """Return the settings of the modules whose settings have one of these kinds."""
    found = {name: getattr(module, "settings", None) for name, module in modules.items()}
    return {
        name: settings.model_dump()
        for name, settings in found.items()
        if isinstance(settings, kinds)
    }


def _state(module: nn.Module) -> dict[str, Tensor]:
    # Clone, because safetensors refuses tensors that share memory.
    return {
        key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()
    }


def _facts(folder: Path) -> dict[str, Any]:
    """Read and check config.json of a model folder."""
    facts: Any
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is missing: train the model first, or give the folder of a trained one"
        )
    if missing := [name for name in (WEIGHTS, CONFIG) if not (folder / name).is_file()]:
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        why = (
            f"; {', '.join(pickled)} can run code when opened and is never read: convert "
            "it to safetensors"
            if pickled
            else ""
        )
        raise FileNotFoundError(
            f"{folder} is not a model folder, it has no {' and no '.join(missing)}{why}; "
            "train the model again"
        )
    try:
        facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        facts = None
    format_ = facts.get("format") if isinstance(facts, dict) else None
    if not str(format_).startswith(FORMAT.rpartition("-")[0]):
        raise ValueError(
            f"{folder / CONFIG} was not written by ptacl: give a model folder of ptacl"
        )
    if format_ != FORMAT:
        raise ValueError(
            f"{folder} was written by another version of ptacl ({format_}; this version "
            f"reads {FORMAT}): "
            "train the model again, or use it with the version that trained it"
        )
    checked: dict[str, Any] = facts
    return checked
