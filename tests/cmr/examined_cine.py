"""What examining a cine gives that is written as NIfTI."""

from pathlib import Path

import numpy as np
from phantom import write_nifti

from ptacl import config
from ptacl.cmr.examine import ExaminedCine, examine
from ptacl.exclusions import Reason


def nifti(
    folder: Path, image: np.ndarray, labels: np.ndarray | None = None
) -> tuple[Path, Path | None]:
    segmentation = None if labels is None else write_nifti(folder / "seg_sa.nii.gz", labels)
    return write_nifti(folder / "sa.nii.gz", image), segmentation


def examined(
    folder: Path,
    image: np.ndarray,
    settings: config.Cmr,
    *,
    labels: np.ndarray | None = None,
    **changes: object,
) -> ExaminedCine:
    path, segmentation = nifti(folder, image, labels)
    return examine(path, segmentation=segmentation, settings=settings.model_copy(update=changes))


def reason(found: ExaminedCine) -> Reason | None:
    return found.excluded and found.excluded.reason
