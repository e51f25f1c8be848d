"""Build the encoder that settings describe."""

import importlib
from typing import TYPE_CHECKING, TypeAlias

from ptacl import config
from ptacl.models.vit import VisionTransformer

if TYPE_CHECKING:
    from ptacl.models.resnet import ResNet50

AnyEncoder: TypeAlias = "VisionTransformer | ResNet50"


def encoder(settings: config.AnyEncoder) -> AnyEncoder:
    """Build a new encoder with random weights."""
    if isinstance(settings, config.Encoder):
        return VisionTransformer(settings)
    # Imported by name, so that the ResNet's code only counts as code of models that have one.
    found: ResNet50 = importlib.import_module("ptacl.models.resnet").ResNet50(settings)
    return found
