"""The typed configuration: one frozen model per section of config.yaml.

Every field has a description. A field only has a default if its absence has a meaning, so
config.yaml shows every setting. A rule passes a stage only the section that the stage uses, as the
canonical JSON of :func:`dump`; the stage reads it with the ``model_validate_json`` of the section's
model.
"""

from ptacl.config.configuration import Config
from ptacl.config.data import Cmr, Cohort, Labels, Phenotype, Simulation
from ptacl.config.ecg import Ecg, EcgFaults, RPeaks, Wavelet
from ptacl.config.files import dump, load, parse, read, stack
from ptacl.config.inheritance import merge
from ptacl.config.models import (
    Autoencoder,
    Contrastive,
    CrossAutoencoder,
    Entry,
    Model,
    Other,
    SimCLR,
    Supervised,
    Trained,
    Untrained,
)
from ptacl.config.outcomes import SIMULATED_DISEASES, SIMULATED_ENDS, Disease, Outcomes
from ptacl.config.parts import (
    AnyEncoder,
    Augmentation,
    CmrAugmentation,
    Decoder,
    EcgAugmentation,
    Encoder,
    Encoders,
    Head,
    Inputs,
    Maps,
    Modality,
    ResNet,
    Storage,
    Training,
)
from ptacl.config.phase_losses import Local, Phasewise
from ptacl.config.section import Section
from ptacl.config.tables import (
    EMBEDDINGS,
    Alignment,
    Embedding,
    Intervals,
    LabelFractions,
    Regression,
    RegressionRow,
    Retrieval,
    RetrievalRow,
    TableRow,
)

__all__ = [
    "EMBEDDINGS",
    "SIMULATED_DISEASES",
    "SIMULATED_ENDS",
    "Alignment",
    "AnyEncoder",
    "Augmentation",
    "Autoencoder",
    "Cmr",
    "CmrAugmentation",
    "Cohort",
    "Config",
    "Contrastive",
    "CrossAutoencoder",
    "Decoder",
    "Disease",
    "Ecg",
    "EcgAugmentation",
    "EcgFaults",
    "Embedding",
    "Encoder",
    "Encoders",
    "Entry",
    "Head",
    "Inputs",
    "Intervals",
    "LabelFractions",
    "Labels",
    "Local",
    "Maps",
    "Modality",
    "Model",
    "Other",
    "Outcomes",
    "Phasewise",
    "Phenotype",
    "RPeaks",
    "Regression",
    "RegressionRow",
    "ResNet",
    "Retrieval",
    "RetrievalRow",
    "Section",
    "SimCLR",
    "Simulation",
    "Storage",
    "Supervised",
    "TableRow",
    "Trained",
    "Training",
    "Untrained",
    "Wavelet",
    "dump",
    "load",
    "merge",
    "parse",
    "read",
    "stack",
]  # fmt: skip
