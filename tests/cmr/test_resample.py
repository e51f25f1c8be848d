"""Cines with other pixel sizes show the heart at the size that it has in UK Biobank."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import IMAGE, LABELS, MYOCARDIUM, PIXEL_MM, write_nifti

from ptacl import config
from ptacl.cmr import nifti
from ptacl.cmr.cine import Cine
from ptacl.cmr.examine import examine
from ptacl.cmr.resample import resampled, resampled_labels


def cine(images_TRC: np.ndarray, *, row_mm: float = 1.0, column_mm: float = 1.0) -> Cine:
    return Cine((images_TRC,), (row_mm, column_mm, 8.0), (0.0,), None, "nifti")


def test_pixels_of_the_wanted_size_stay_as_they_are() -> None:
    original = cine(np.arange(12).reshape(1, 3, 4), row_mm=1.825, column_mm=1.835)
    assert resampled(original, pixel_mm=1.83) is original


@pytest.mark.parametrize(("row_mm", "column_mm"), [(1.0, 1.0), (0.8, 1.3), (2.5, 3.0)])
def test_a_plane_stays_a_plane_with_the_same_centre(row_mm: float, column_mm: float) -> None:
    rows, columns = np.mgrid[:60, :80]
    plane = 3 * (rows - 29.5) * row_mm - 2 * (columns - 39.5) * column_mm
    found = resampled(cine(plane[None], row_mm=row_mm, column_mm=column_mm), pixel_mm=1.83)
    assert found.spacing_mm == (1.83, 1.83, 8.0)
    num_rows, num_columns = found.shape[2:]
    assert num_rows == pytest.approx(60 * row_mm / 1.83, abs=0.5)
    y, x = np.mgrid[:num_rows, :num_columns]
    expected = 1.83 * (3 * (y - (num_rows - 1) / 2) - 2 * (x - (num_columns - 1) / 2))
    inner = slice(2, -2)
    difference = found.slices[0][0, inner, inner] - expected[inner, inner]
    assert np.abs(difference).max() < 0.1 * 3 * 1.83  # a tenth of a pixel


def test_fine_stripes_do_not_become_coarse_ones() -> None:
    stripes = np.tile([0.0, 1.0], (1, 60, 30))
    found = resampled(cine(stripes), pixel_mm=2.05)
    assert np.ptp(found.slices[0][0, 2:-2, 2:-2]) < 0.1


def test_labels_take_the_nearest_pixel() -> None:
    labels = np.zeros((1, 1, 40, 40), np.uint8)
    labels[0, 0, 10:30, 16:24] = 2
    found = resampled_labels(labels, original=cine(labels[:, 0]), pixel_mm=2.0)
    assert found.shape == (1, 1, 20, 20)
    assert (np.count_nonzero(found), set(np.unique(found))) == (40, {0, 2})


@pytest.mark.parametrize("factor", [1, 2])
def test_a_crop_shows_the_same_heart_at_every_resolution(
    factor: int, tmp_path: Path, settings: config.Cmr
) -> None:
    """The phantom as it is, and with pixels of half the size."""
    fine, labels = (np.kron(a, np.ones((1, 1, factor, factor), a.dtype)) for a in (IMAGE, LABELS))
    for name, values in (("sa.nii.gz", fine), ("seg_sa.nii.gz", labels)):
        path = write_nifti(tmp_path / name, values)
        image = nib.load(path)
        axes = image.affine @ np.diag([1 / factor, 1 / factor, 1, 1])
        header = image.header.copy()
        header.set_zooms((PIXEL_MM / factor, PIXEL_MM / factor, *header.get_zooms()[2:]))
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), axes, header), path)
    assert nifti.read(tmp_path / "sa.nii.gz").spacing_mm[0] == pytest.approx(PIXEL_MM / factor)
    wanted = settings.model_copy(update={"resample_mm": PIXEL_MM})
    segmentation = tmp_path / "seg_sa.nii.gz"
    found = examine(tmp_path, segmentation=segmentation, settings=wanted)
    expected = examine(
        tmp_path if factor == 1 else write_phantom(tmp_path / "coarse"),
        segmentation=segmentation if factor == 1 else tmp_path / "coarse/seg_sa.nii.gz",
        settings=settings,
    )
    assert found.excluded is None and found.labels_TZRC is not None
    assert np.count_nonzero(found.labels_TZRC[0] == MYOCARDIUM) == pytest.approx(
        np.count_nonzero(LABELS[0] == MYOCARDIUM), rel=0.05
    )
    assert found.facts["original_spacing_mm"][0] == pytest.approx(PIXEL_MM / factor)
    assert found.volumes["LVEDV"] == pytest.approx(expected.volumes["LVEDV"], rel=1e-3)
    alike = np.corrcoef(found.arrays["frames"].ravel(), expected.arrays["frames"].ravel())[0, 1]
    assert alike > 0.98


def write_phantom(folder: Path) -> Path:
    write_nifti(folder / "sa.nii.gz", IMAGE)
    write_nifti(folder / "seg_sa.nii.gz", LABELS)
    return folder
