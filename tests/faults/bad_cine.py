"""Bad cines by kind: what writes one into a folder, and the reasons that it must be excluded for;
good ones that look odd.
"""

from collections.abc import Iterator

import numpy as np
from bad_nifti import MIDDLE, Verdict, Write, nifti, niftis, setting
from bad_zip import zipped, zips
from phantom import IMAGE, decoys, write_nifti


def cases() -> Iterator[tuple[str, Write, Verdict]]:
    """Name, writer and allowed reasons of each bad cine."""
    yield from niftis()
    yield from zips()


def harmless() -> Iterator[tuple[str, Write]]:
    """Odd cines that must be used."""
    yield "as it is", nifti(lambda image: image)
    yield "a hot voxel", nifti(setting((3, MIDDLE, 22, 30), 30_000))
    yield "not finite in no voxel, as floats", nifti(lambda image: image.astype(np.float64))
    yield "one frame held twice", nifti(lambda image: image[[0, 1, 2, 3, 3, 5, 6, 7]])
    yield (
        "uncompressed in a folder of its own",
        lambda folder: write_nifti(folder / "own" / "sa.nii.gz", IMAGE).parent,
    )
    yield "as a zip", zipped(lambda files: None)
    yield "with decoys", zipped(lambda files: files | decoys(IMAGE[0, 0]))
    yield (
        "with broken decoys",
        zipped(lambda files: files | {"x.dcm": b"noise" * 400, "y.dcm": b""}),
    )
    yield (
        "a frame of the first slice gone",
        zipped(lambda files: {k: v for k, v in files.items() if k != "00_03.dcm"}),
    )
    yield (
        "files twice",
        zipped(lambda files: files | {f"copy_{k}": v for k, v in list(files.items())[:9]}),
    )
