"""The encoder that settings describe."""

from ptacl import config
from ptacl.models.resnet import ResNet50
from ptacl.models.vit import Encoder

AnyEncoder = Encoder | ResNet50


def encoder(settings: config.AnyEncoder) -> AnyEncoder:
    """A new encoder with random weights."""
    return ResNet50(settings) if isinstance(settings, config.ResNet) else Encoder(settings)
