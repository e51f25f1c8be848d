"""Write a cine as the NIfTI pair that converters write.

The pair is sa.nii.gz and seg_sa.nii.gz, with native axes and the base first.
"""

from pathlib import Path

import numpy as np

from ptacl.cohort.simulation.cine import SimulatedCine
from ptacl.cohort.simulation.heart import PIXEL_MM, SPACING_MM

CINE, SEGMENTATION = "sa.nii.gz", "seg_sa.nii.gz"

_COMPRESSION = 1


def write_image(path: Path, image: np.ndarray, *, cine: SimulatedCine) -> None:
    """Write `image` (T, Z, Y, X), of any NIfTI data type, with the geometry of `cine`.

    The same input gives the same bytes.
    """
    import nibabel
    from isal import igzip

    header = nibabel.Nifti1Header()
    header.set_data_dtype(image.dtype)
    header.set_data_shape(image.shape[::-1])
    header.set_zooms((PIXEL_MM, PIXEL_MM, SPACING_MM, cine.rr_ms / 1000 / len(cine.image)))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(affine(cine), code=1)
    header["vox_offset"] = 352
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, igzip.IGzipFile("", "wb", _COMPRESSION, raw, mtime=0) as file:
        file.write(header.binaryblock + bytes(4))
        file.write(np.ascontiguousarray(image).data)


def affine(cine: SimulatedCine) -> np.ndarray:
    """Return the affine (4, 4) from voxel indices X, Y, Z to RAS in mm."""
    out = np.eye(4)
    out[:3, :3] = cine.axes * [PIXEL_MM, PIXEL_MM, SPACING_MM]
    out[:3, 3] = cine.origin_mm
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ out
