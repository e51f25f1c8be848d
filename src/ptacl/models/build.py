"""The encoder that settings describe."""

import importlib
from typing import TYPE_CHECKING, TypeAlias

from ptacl import config
from ptacl.models.vit import Encoder

if TYPE_CHECKING:
    from ptacl.models.resnet import ResNet50

AnyEncoder: TypeAlias = "Encoder | ResNet50"


def encoder(settings: config.AnyEncoder) -> AnyEncoder:
    """A new encoder with random weights."""
    if isinstance(settings, config.Encoder):
        return Encoder(settings)
    # By its name: the code of the ResNet is then part of the models that have one, and of no others.
    found: ResNet50 = importlib.import_module("ptacl.models.resnet").ResNet50(settings)
    return found
