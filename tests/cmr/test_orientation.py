"""Cines of one heart have one view, whatever the order of rows, columns and slices in the file."""

import shutil
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ptacl.cmr import nifti, read
from ptacl.cmr.cine import Cine
from ptacl.cmr.orientation import DOWN, RIGHT, TO_BASE, Turn, find

BOTH = [(False, True)] * 3
VIEW = (RIGHT, DOWN, -TO_BASE)  # columns, rows and slices from the base to the apex


def rotated(vector: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a vector about the axis of the heart."""
    angle = np.deg2rad(degrees)
    along = (vector @ TO_BASE) * TO_BASE
    return along + np.cos(angle) * (vector - along) + np.sin(angle) * np.cross(TO_BASE, vector)


def test_the_view_is_a_right_handed_frame() -> None:
    np.testing.assert_allclose(np.cross(RIGHT, DOWN), TO_BASE, atol=1e-12)
    assert find(VIEW) == Turn() and Turn().describe() == "as stored"


@pytest.mark.parametrize("degrees", [-60, -30, -15, 0, 15, 30, 60])
def test_every_order_of_axes_gives_the_same_pixels(degrees: float) -> None:
    """Rows and columns that are exchanged are only recognised near the view."""
    image = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 5))  # T, Z, R, C
    directions = [rotated(vector, degrees) for vector in VIEW]
    for exchange, *reverse in product((False, True) if abs(degrees) < 20 else (False,), *BOTH):
        stored = image.swapaxes(2, 3) if exchange else image
        axes = [directions[1], directions[0]] if exchange else directions[:2]
        axes = [*axes, directions[2]]
        for k, axis in enumerate((3, 2, 1)):
            if reverse[k]:
                stored, axes[k] = np.flip(stored, axis), -axes[k]
        turn = find(axes)
        assert turn is not None
        np.testing.assert_array_equal(turn.stack(stored), image)


@pytest.mark.parametrize(
    "directions",
    [
        np.eye(3),
        np.diag([-1.0, -1.0, 1.0]),
        [*np.eye(3)[:2], np.zeros(3)],
        np.full((3, 3), np.nan),
        *[np.eye(3)[list(order)] for order in permutations(range(3))],
    ],
)
def test_axes_of_the_body_are_no_short_axis(directions: np.ndarray) -> None:
    assert find(directions) is None


def test_slices_spacing_and_positions_are_turned_together() -> None:
    slices = tuple(np.arange(6).reshape(1, 2, 3) + 10 * z for z in range(2))
    cine = Cine(
        slices, (1.0, 2.0, 8.0), (0.0, 8.0), None, "nifti", directions=(-DOWN, RIGHT, TO_BASE)
    )
    found = cine.turned()
    assert found.turn == Turn(exchange=True, rows=True, slices=True)
    assert found.turn.describe() == "rows and columns exchanged, rows reversed, slices reversed"
    assert found.spacing_mm == (2.0, 1.0, 8.0) and found.positions_mm == (8.0, 0.0)
    np.testing.assert_array_equal(found.slices[0], slices[1].swapaxes(1, 2)[:, ::-1])


def test_a_heart_has_the_same_pixels_as_dicom_and_by_dcm2niix(real_data: Path) -> None:
    cases = real_data / "cases"
    dicom = read.read(cases / "cine_ge_renamed_cine_sax.zip")
    converted = read.read(cases / "cine_ge_by_dcm2niix_sa.nii.gz")
    assert dicom.turn == Turn() and converted.turn == Turn(rows=True, slices=True)
    assert len(dicom.slices) == len(converted.slices) == 7
    for one, other in zip(dicom.slices, converted.slices, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("header", ["its own", "none", "that of the body"])
def test_a_segmentation_follows_its_cine(header: str, real_data: Path, tmp_path: Path) -> None:
    """The pig's cine and segmentation with rows and slices reversed, as dcm2niix stores them."""
    for name in ("sa.nii.gz", "seg_sa.nii.gz"):
        image = nib.load(real_data / "cmr" / "pig" / name)
        reversed_axes = np.diag([1.0, -1.0, -1.0, 1.0])
        values, affine = np.asarray(image.dataobj)[:, ::-1, ::-1], image.affine @ reversed_axes
        stored = nib.Nifti1Image(values, affine, image.header)
        if name.startswith("seg") and header == "none":
            stored.set_sform(None, 0)
            stored.set_qform(None, 0)
        elif name.startswith("seg") and header == "that of the body":
            stored = nib.Nifti1Image(values, np.eye(4))
        nib.save(stored, tmp_path / name)
    cine = read.read(tmp_path / "sa.nii.gz")
    original = read.read(real_data / "cmr" / "pig" / "sa.nii.gz")
    for one, other in zip(cine.slices, original.slices, strict=True):
        np.testing.assert_array_equal(one, other)
    expected, _ = nifti.read_labels(real_data / "cmr" / "pig" / "seg_sa.nii.gz")
    found = read.read_labels(tmp_path / "seg_sa.nii.gz", cine=cine)
    np.testing.assert_array_equal(found, expected)


def test_without_directions_the_axes_stay_as_they_are(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "cases" / "cine_ge_by_dcm2niix_sa.nii.gz"
    image = nib.load(source)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "sa.nii.gz")
    shutil.copy(source, tmp_path / "whole.nii.gz")
    assert read.read(tmp_path / "whole.nii.gz").turn is not None
    found = read.read(tmp_path / "sa.nii.gz")
    assert found.turn is None
    native = nifti.read(source)
    for one, other in zip(found.slices, native.slices, strict=True):
        np.testing.assert_array_equal(one, other)
