"""Simulated cines: files contain what was written, and pictures show the heart that was drawn."""

import io
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from persons import PERSONS, draw

from ptacl.cohort.simulation import causes, cine, defects, dicom, heart, nifti
from ptacl.cohort.simulation.causes import Causes
from ptacl.cohort.simulation.cine import SimulatedCine
from ptacl.cohort.simulation.defects import Defect
from ptacl.cohort.simulation.nuisance import CINE


@pytest.fixture(scope="module")
def cines() -> list[tuple[Causes, SimulatedCine]]:
    return [
        (draw(k), cine.image(draw(k), np.random.default_rng(100 + k), nuisance=CINE))
        for k in range(PERSONS)
    ]


def test_volumes_of_the_written_segmentation_are_the_drawn_ones(
    cines: list[tuple[Causes, SimulatedCine]], tmp_path: Path
) -> None:
    for person, drawn in cines:
        nifti.write_image(tmp_path / "seg_sa.nii.gz", drawn.labels, cine=drawn)
        image = nibabel.load(tmp_path / "seg_sa.nii.gz")
        labels, zooms = np.asarray(image.dataobj), image.header.get_zooms()
        voxel_ml = float(np.prod(zooms[:3])) / 1000
        lv, muscle, rv = (
            (labels == value).sum((0, 1, 2)) * voxel_ml
            for value in (heart.LV, heart.MYOCARDIUM, heart.RV)
        )
        es = int(lv.argmin())
        rate = 60 / (zooms[3] * labels.shape[3])
        found = causes.derive(lv[0], lv[es], muscle[0] * 1.05, rv[0], rv[es], heart_rate_bpm=rate)
        for name, value in causes.phenotypes(person).items():
            assert float(found[name]) == pytest.approx(float(value), rel=0.05), name
        np.testing.assert_allclose(muscle, muscle[0], rtol=0.01)  # muscle is neither made nor lost
        assert lv.argmax() == 0


def test_middle_slice_holds_the_ventricles_in_every_frame(
    cines: list[tuple[Causes, SimulatedCine]],
) -> None:
    for _, drawn in cines:
        frames, slices = drawn.labels.shape[:2]
        middle = drawn.labels[:, slices // 2]
        assert frames == 50 and 8 <= slices <= 12
        for value in (heart.LV, heart.MYOCARDIUM, heart.RV):
            assert ((middle == value).sum((1, 2)) >= 10).all()
        assert min(drawn.image.shape[2:]) >= 84 + 20


def test_myocardium_encloses_the_cavity(cines: list[tuple[Causes, SimulatedCine]]) -> None:
    for _, drawn in cines:
        for t in (0, 20):
            middle = drawn.labels[t, drawn.labels.shape[1] // 2]
            cavity = middle == heart.LV
            near = np.zeros_like(cavity)
            for axis in (0, 1):
                for step in (-1, 1):
                    near |= np.roll(cavity, step, axis)
            assert set(np.unique(middle[near & ~cavity])) == {heart.MYOCARDIUM}


def test_blood_is_brighter_than_muscle_and_noise_is_rician(
    cines: list[tuple[Causes, SimulatedCine]],
) -> None:
    for _, drawn in cines:
        middle = drawn.image.shape[1] // 2
        image, labels = drawn.image[:, middle].astype(float), drawn.labels[:, middle]
        assert np.median(image[labels == heart.LV]) > 1.3 * np.median(
            image[labels == heart.MYOCARDIUM]
        )
        assert image.min() >= 0
        corner = image[:, :8, :8]
        assert (corner.std(0) > 0.1).all()


def test_nifti_reads_back_equal_and_left_handed(
    cines: list[tuple[Causes, SimulatedCine]], tmp_path: Path
) -> None:
    person, drawn = cines[0]
    path = tmp_path / "sa.nii.gz"
    nifti.write_image(path, drawn.image, cine=drawn)
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(image.dataobj), drawn.image.transpose(3, 2, 1, 0))
    np.testing.assert_allclose(image.affine, nifti.affine(drawn), atol=1e-4)
    assert np.linalg.det(image.affine[:3, :3]) < 0
    np.testing.assert_allclose(image.header.get_zooms()[:3], (1.8269, 1.8269, 10), rtol=1e-4)
    assert image.header.get_zooms()[3] * 50 == pytest.approx(
        60 / float(person.heart_rate_bpm), rel=1e-5
    )
    first = path.read_bytes()
    nifti.write_image(path, drawn.image, cine=drawn)
    assert path.read_bytes() == first


def test_dicom_zip_reads_back_equal(
    cines: list[tuple[Causes, SimulatedCine]], tmp_path: Path
) -> None:
    _, drawn = cines[1]
    path = tmp_path / "9000001_20209_2_0.zip"
    dicom.write_zip(path, drawn, person="9000001", rng=np.random.default_rng(0))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        sets = [
            pydicom.dcmread(io.BytesIO(archive.read(name)))
            for name in names
            if name.endswith(".dcm")
        ]
        manifest = archive.read(next(n for n in names if n.startswith("manifest."))).decode()
    assert len({s.SOPInstanceUID for s in sets}) == len(sets)
    assert manifest.count("\n") == len(sets) + 1 and ", 20" in manifest.splitlines()[1]
    groups: dict[str, list[pydicom.Dataset]] = {}
    for data in sets:
        groups.setdefault(data.SeriesDescription, []).append(data)
    short = [f"CINE_segmented_SAX_b{z + 1}" for z in range(drawn.image.shape[1])]
    assert set(groups) == {*short, *(name for name, _ in dicom.DECOYS)}
    affine = nifti.affine(drawn)
    for z, name in enumerate(short):
        series = sorted(groups[name], key=lambda d: d.TriggerTime)
        assert [d.InstanceNumber for d in series] == list(range(1, 51)) and len(
            {d.SeriesInstanceUID for d in series}
        ) == 1
        np.testing.assert_array_equal([d.pixel_array for d in series], drawn.image[:, z])
        np.testing.assert_allclose(
            np.diff([float(d.TriggerTime) for d in series]), drawn.rr_ms / 50, atol=0.011
        )
        np.testing.assert_allclose(
            series[0].ImagePositionPatient, [-1, -1, 1] * (affine @ [0, 0, z, 1])[:3], atol=1e-4
        )
        assert series[0].CardiacNumberOfImages == 50 and float(series[0].PixelSpacing[0]) == 1.8269
        assert series[0].file_meta.MediaStorageSOPInstanceUID == series[0].SOPInstanceUID
    right, down = np.reshape([float(v) for v in sets[0].ImageOrientationPatient], (2, 3))
    assert right @ down == pytest.approx(0, abs=1e-6) and np.linalg.norm(right) == pytest.approx(
        1, abs=1e-6
    )


def test_spoiled_cine(cines: list[tuple[Causes, SimulatedCine]]) -> None:
    _, drawn = cines[0]
    frames, slices = drawn.image.shape[:2]
    spoiled = {defect: defects.spoil_cine(drawn, defect) for defect in defects.NIFTI}
    assert spoiled[Defect.CINE_FEW_SLICES][0].shape[:2] == (frames, 4)
    assert spoiled[Defect.CINE_FEW_FRAMES][0].shape[:2] == (25, slices)
    assert (
        np.isnan(spoiled[Defect.CINE_NOT_FINITE][0]).any()
        and np.ptp(spoiled[Defect.CINE_CONSTANT][0]) == 0
    )
    image, labels = spoiled[Defect.SEGMENTATION_SHAPE]
    assert image.shape != labels.shape
