"""Real cines: a pig with its segmentation, and single frames of a person."""

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from ptacl import config
from ptacl.cmr.crop import label_centre
from ptacl.cmr.examine import examine
from ptacl.cmr.nifti import read_labels
from ptacl.cmr.read import find_labels, read

ZIP = "9000001_20209_2_0.zip"


@pytest.fixture(scope="module")
def pig(real_data: Path) -> Path:
    return real_data / "cmr" / "pig"


@pytest.fixture(scope="module")
def reference(pig: Path) -> dict[str, Any]:
    return dict(json.loads((pig / "reference.json").read_text()))


@pytest.fixture(scope="module")
def twenty(published: config.Config) -> config.Cmr:
    """The settings of config.yaml for a cine of 20 frames."""
    return published.cmr.model_copy(update={"frames": 20})


def test_volumes_of_the_pig(pig: Path, reference: dict[str, Any], twenty: config.Cmr) -> None:
    for name in ("sa.nii.gz", ZIP):
        found = examine(pig / name, segmentation=find_labels(pig / name), settings=twenty)
        facts = found.facts
        assert found.excluded is None
        wanted = {
            "LVEDV": reference["ed_frame0_ml"],
            "LVESV": reference["esv_ml"],
            "LVSV": reference["sv_ml"],
            "LVEF": reference["ef_pct"],
            "LVM": reference["lv_mass_ed_g_density1.05"],
        }
        assert {k: facts["volumes"][k] for k in wanted} == pytest.approx(wanted, rel=0.002)
        assert facts["volumes"]["LVCO"] == pytest.approx(reference["co_l_min_tag_hr95"], rel=0.02)
        assert not any(k.startswith("RV") for k in facts["volumes"])
    assert facts["volumes"]["LVCO"] == pytest.approx(
        reference["co_l_min_tag_hr95"], rel=0.001
    )  # the zip has all times


def test_the_curve_of_the_pig(pig: Path, reference: dict[str, Any], twenty: config.Cmr) -> None:
    found = examine(pig / "sa.nii.gz", segmentation=pig / "seg_sa.nii.gz", settings=twenty)
    assert found.volume_ml["lv"] == pytest.approx(reference["lv_volume_ml_per_phase"], abs=0.06)


def test_the_zip_and_the_conversion_of_the_pig_are_one_cine(pig: Path, twenty: config.Cmr) -> None:
    packed, converted = read(pig / ZIP), read(pig / "sa.nii.gz")
    assert np.array_equal(np.stack(packed.slices), np.stack(converted.slices))
    assert packed.spacing_mm == pytest.approx(converted.spacing_mm, rel=1e-3)
    assert packed.counts == {"decoys": 24, "duplicates": 0, "gaps": 0, "unreadable": 0}
    one, other = (
        examine(pig / name, segmentation=None, settings=twenty) for name in (ZIP, "sa.nii.gz")
    )
    assert one.location == other.location
    assert np.array_equal(one.arrays["frames"], other.arrays["frames"])


@pytest.mark.parametrize("name", ["sa.nii.gz", ZIP])
def test_motion_finds_the_heart_of_the_pig(pig: Path, twenty: config.Cmr, name: str) -> None:
    found = examine(pig / name, segmentation=None, settings=twenty)
    assert found.location.source == "motion"
    ventricle = label_centre(
        read_labels(pig / "seg_sa.nii.gz")[0][:, found.location.slice], values=[1, 2]
    )
    assert ventricle is not None
    offset_mm = (
        np.subtract((found.location.row, found.location.col), ventricle) * found.cine.spacing_mm[:2]
    )
    assert np.hypot(*offset_mm) <= 15


def test_motion_finds_the_heart_of_the_pig_in_a_chest_around_it(
    pig: Path, twenty: config.Cmr
) -> None:
    """Far from the centre of a large, noisy field of view, where a fixed box would miss it."""
    from ptacl.cmr.crop import motion_centre

    cine = read(pig / "sa.nii.gz")
    rng = np.random.default_rng(0)
    alone = np.array(motion_centre(cine.slices, spacing_mm=cine.spacing_mm[:2]))
    for top, left in ((0, 0), (100, 10), (110, 120)):
        wide = [np.abs(rng.normal(0, 3, (20, 270, 280))).astype(np.float32) for _ in cine.slices]
        for around, frames in zip(wide, cine.slices, strict=True):
            around[:, top : top + 140, left : left + 140] += frames
        found = motion_centre(wide, spacing_mm=cine.spacing_mm[:2])
        assert found is not None
        assert np.hypot(*(np.array(found) - alone - (top, left))) * 0.82 <= 8


def test_the_pig_is_described_with_the_published_settings_and_excluded_for_its_frames(
    pig: Path, published: config.Config
) -> None:
    found = examine(pig / "sa.nii.gz", segmentation=None, settings=published.cmr)
    facts = found.facts
    assert str(found.excluded) == "wrong number of frames: 20 in most slices, not 50"
    assert facts["num_slices"] == 12
    assert facts["spacing_mm"] == pytest.approx([0.8203, 0.8203, 5.0], abs=1e-3)


def test_slices_of_a_person_are_as_far_apart_as_their_positions(
    real_data: Path, published: config.Config
) -> None:
    folder = real_data / "cmr" / "sunnybrook"
    wanted = json.loads((folder / "reference.json").read_text())
    cine = read(folder / "Images_og")
    assert cine.spacing_mm[2] == pytest.approx(wanted["true_slice_spacing_mm"], abs=0.01)
    assert (cine.num_slices, cine.num_frames) == (6, 2)
    assert cine.counts == {"decoys": 0, "duplicates": 0, "gaps": 6 * 20 - 10, "unreadable": 0}
    assert (
        str(examine(folder / "Images_og", segmentation=None, settings=published.cmr).excluded)
        == "wrong number of frames: 2 in most slices, not 50"
    )


def test_motion_finds_the_heart_of_a_person(real_data: Path) -> None:
    """Against the contours that an expert drew in the same frames."""
    from ptacl.cmr.crop import motion_centre

    folder = real_data / "cmr" / "sunnybrook"
    cine = read(folder / "Images_og")
    contours = [
        np.loadtxt(path).mean(axis=0)[::-1]
        for path in sorted((folder / "Expert").glob("*contour*.txt"))
    ]
    found = motion_centre(cine.slices, spacing_mm=cine.spacing_mm[:2])
    offsets_mm = np.linalg.norm((np.array(contours) - found) * cine.spacing_mm[0], axis=1)
    assert np.median(offsets_mm) <= 15


@pytest.mark.parametrize(
    "name", ["LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF", "RVSV"]
)
def test_no_patient_of_a_public_challenge_is_implausible(
    real_data: Path, published: config.Config, name: str
) -> None:
    limits = next(p for p in published.cohort.phenotypes if p.name == name)
    with (real_data / "cmr" / "acdc_gt_volumes_100.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = [_acdc(row)[name] for row in rows]
    assert len(values) == 100
    assert limits.low <= min(values) <= max(values) <= limits.high


def _acdc(row: dict[str, str]) -> dict[str, float]:
    """Phenotypes in mL, percent and g from volumes in mm3 and mass in mg."""
    out = {"LVM": float(row["ED[mass(MYO)]"]) / 1000}
    for side in ("LV", "RV"):
        edv, esv = (float(row[f"{phase}[vol({side})]"]) / 1000 for phase in ("ED", "ES"))
        out |= {
            f"{side}EDV": edv,
            f"{side}ESV": esv,
            f"{side}SV": edv - esv,
            f"{side}EF": 100 * (1 - esv / edv),
        }
    return out


@pytest.mark.parametrize("edit", ["as it is", "upside down", "displaced", "at another time"])
def test_the_segmentation_of_the_pig_is_refused_where_it_is_moved_and_there_alone(
    pig: Path, twenty: config.Cmr, tmp_path: Path, edit: str
) -> None:
    image = nib.load(pig / "seg_sa.nii.gz")
    labels = np.asanyarray(image.dataobj)
    changed = {
        "as it is": labels,
        "upside down": labels[:, ::-1],
        "displaced": np.roll(labels, 8, axis=0),
        "at another time": np.roll(labels, 10, axis=3),
    }[edit]
    nib.save(nib.Nifti1Image(changed, image.affine, image.header), tmp_path / "seg_sa.nii.gz")
    found = examine(pig / "sa.nii.gz", segmentation=tmp_path / "seg_sa.nii.gz", settings=twenty)
    assert found.excluded is None
    assert bool(found.flags) == (edit != "as it is")
