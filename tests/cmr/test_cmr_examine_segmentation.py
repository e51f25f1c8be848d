"""A cine with its segmentation: what it is used for, and why it is refused."""

from pathlib import Path

import numpy as np
import pytest
from examined_cine import examined, nifti, reason
from phantom import IMAGE, LABELS, LV, T, Z, rotation, series, write_nifti, write_zip

from ptacl import config
from ptacl.cmr.examine import examine
from ptacl.cmr.read import find_labels
from ptacl.exclusions import Reason


def test_a_good_cine_with_its_segmentation(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE, settings, labels=LABELS)
    assert found.excluded is None
    assert "frames" in found.arrays
    assert found.arrays["frames"].shape == (T, settings.size, settings.size)
    assert (found.arrays["frames"].min(), found.arrays["frames"].max()) == (0, 255)
    assert found.facts["crop"]["source"] == found.facts["middle_slice_source"] == "segmentation"
    assert found.volumes["LVEDV"] == pytest.approx(
        np.count_nonzero(LABELS[0] == LV) * 4 * 4 * 9 / 1000, rel=1e-5
    )


def test_a_segmentation_moves_the_middle_slice_and_the_crop_and_settings_may_forbid_it(
    tmp_path: Path, settings: config.Cmr
) -> None:
    labels = LABELS.copy()
    labels[:, :4] = 0
    auto = examined(tmp_path, IMAGE, settings, labels=labels).location
    assert (auto.slice, auto.slice_source, auto.source) == (5, "segmentation", "segmentation")
    plain = examined(
        tmp_path, IMAGE, settings, labels=labels, middle_slice="stack", crop="motion"
    ).location
    assert (plain.slice, plain.slice_source, plain.source) == (Z // 2, "stack", "motion")
    assert plain == examined(tmp_path, IMAGE, settings).location
    empty = examined(tmp_path, IMAGE, settings, labels=labels * 0).location
    assert empty == plain


def test_settings_that_want_a_segmentation_refuse_a_cine_without(
    tmp_path: Path, settings: config.Cmr
) -> None:
    for wanted in ({"crop": "segmentation"}, {"middle_slice": "segmentation"}):
        assert reason(examined(tmp_path, IMAGE, settings, **wanted)) is Reason.SEGMENTATION_MISMATCH
        assert reason(examined(tmp_path, IMAGE, settings, labels=LABELS, **wanted)) is None


def moved(labels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.roll(labels, (rows, columns), (2, 3))


REFUSED = {
    "another shape": (LABELS[:, 1:], "8x6x48x56 for a cine of 8x7x48x56"),
    "the cine itself": (np.clip(IMAGE // 3, 0, 255), "none of the known labels"),
    "unknown labels": (np.where(LABELS == 0, 0, LABELS + 40), "none of the known labels"),
    "end-diastole alone": (
        LABELS * (np.arange(T) == 0)[:, None, None, None],
        "labelled in 1 of 8 frames",
    ),
    "upside down": (LABELS[:, :, ::-1], "displaced from the heart"),
    "mirrored": (LABELS[..., ::-1], "displaced from the heart"),
    "displaced": (moved(LABELS, 5, 0), "displaced from the heart"),
    "at another time": (np.roll(LABELS, T // 2, axis=0), "motion does not follow the image"),
    "not finite": (
        np.where(LABELS == 0, np.nan, LABELS.astype(np.float32)),
        "segmentation labels outside",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_segmentation_that_cannot_be_right_is_refused_and_the_cine_kept(
    case: str, tmp_path: Path, settings: config.Cmr
) -> None:
    labels, why = REFUSED[case]
    found = examined(
        tmp_path,
        IMAGE,
        settings,
        labels=labels.astype(np.float32 if labels.dtype.kind == "f" else np.uint8),
    )
    assert found.excluded is None and "frames" in found.arrays
    assert why in found.facts["segmentation_refused"]
    assert found.flags == ["segmentation refused"]
    assert found.location == examined(tmp_path, IMAGE, settings).location
    assert "volumes" not in found.facts


def test_labels_moved_by_a_pixel_are_those_of_the_cine(
    tmp_path: Path, settings: config.Cmr
) -> None:
    """Segmentations are never exact."""
    assert examined(tmp_path, IMAGE, settings, labels=LABELS).facts["segmentation_refused"] == ""
    assert examined(tmp_path, IMAGE, settings, labels=moved(LABELS, 0, 1)).flags == []


def test_a_segmentation_fits_a_zip_slice_by_slice(tmp_path: Path, settings: config.Cmr) -> None:
    labels = LABELS.copy()
    labels[:, :3] = 0
    packed = write_zip(tmp_path / "a.zip", series(IMAGE, axes=rotation(2) * [1, 1, -1]))
    found = examine(
        packed, segmentation=write_nifti(tmp_path / "seg.nii.gz", labels), settings=settings
    )
    assert found.location.slice == 5
    assert found.facts["volumes"]["LVEDV"] > 0


def test_a_segmentation_next_to_the_cine_is_the_one_that_is_named(
    tmp_path: Path, settings: config.Cmr
) -> None:
    path, segmentation = nifti(tmp_path, IMAGE, LABELS)
    assert find_labels(path) == segmentation
    found = examine(path, segmentation=segmentation, settings=settings)
    assert found.facts["crop"]["source"] == "segmentation"
    assert set(found.facts["volumes"]) >= {"LVEDV", "LVESV", "LVEF", "LVM", "RVEDV"}
