import json
from pathlib import Path

import numpy as np
import pytest
from phantom import PIXEL_MM, SLICE_MM, decoys, heart, series, write_nifti, write_zip

from ptacl import config
from ptacl.cmr.describe import describe, draw
from ptacl.exclusions import Excluded, Reason

IMAGE, LABELS = heart()


def test_facts_of_a_cine_are_json_values(tmp_path: Path, settings: config.Cmr) -> None:
    facts = describe(write_nifti(tmp_path / "sa.nii.gz", IMAGE), settings=settings)
    assert facts == json.loads(json.dumps(facts))
    assert {k: facts[k] for k in ("kind", "format", "num_slices", "num_frames", "middle_slice", "excluded")} == {
        "kind": "cine",
        "format": "nifti",
        "num_slices": 7,
        "num_frames": 8,
        "middle_slice": 3,
        "excluded": None,
    }
    assert facts["spacing_mm"] == pytest.approx([PIXEL_MM, PIXEL_MM, SLICE_MM])
    assert facts["crop"]["source"] == "motion"
    assert "volumes" not in facts


def test_a_segmentation_beside_the_cine_or_given_measures_it(tmp_path: Path, settings: config.Cmr) -> None:
    path = write_nifti(tmp_path / "a" / "sa.nii.gz", IMAGE)
    elsewhere = write_nifti(tmp_path / "b" / "other.nii.gz", LABELS)
    given = describe(path, settings=settings, segmentation=elsewhere)
    write_nifti(tmp_path / "a" / "seg_sa.nii.gz", LABELS)
    beside = describe(path, settings=settings)
    assert given == beside
    assert given["crop"]["source"] == "segmentation"
    assert set(given["volumes"]) >= {"LVEDV", "LVESV", "LVEF", "LVM", "RVEDV"}


def test_an_excluded_cine_says_why_and_is_described(tmp_path: Path, settings: config.Cmr) -> None:
    facts = describe(write_nifti(tmp_path / "sa.nii.gz", IMAGE[:-1]), settings=settings)
    assert facts["excluded"] == f"{Reason.WRONG_FRAMES.value}: 7, not 8"
    assert facts["crop"]["source"] == "motion"


def test_a_zip_without_the_cine_is_excluded_and_garbage_is_an_error(tmp_path: Path, settings: config.Cmr) -> None:
    facts = describe(write_zip(tmp_path / "a.zip", decoys(IMAGE[0, 0])), settings=settings)
    assert facts["excluded"].startswith(Reason.NO_SHORT_AXIS.value)
    assert (facts["format"], facts["num_slices"], facts["crop"]) == ("dicom-zip", None, None)
    (tmp_path / "b.zip").write_bytes(b"PK garbage")
    with pytest.raises(Excluded) as error:
        describe(tmp_path / "b.zip", settings=settings)
    assert error.value.reason is Reason.UNREADABLE


def test_drawings_of_good_and_bad_cines(tmp_path: Path, settings: config.Cmr) -> None:
    packed = write_zip(tmp_path / "a.zip", series(IMAGE))
    labels = write_nifti(tmp_path / "seg.nii.gz", LABELS)
    constant = write_nifti(tmp_path / "sa.nii.gz", np.full_like(IMAGE, 3))
    for path, segmentation in ((packed, labels), (packed, None), (constant, None)):
        out = tmp_path / "plots" / "out.png"
        draw(path, out, settings=settings, segmentation=segmentation)
        assert out.read_bytes().startswith(b"\x89PNG")
        out.unlink()
