import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from examined_cine import examined, reason
from phantom import (
    IMAGE,
    LABELS,
    PIXEL_MM,
    SLICE_MM,
    T,
    Z,
    decoys,
    heart,
    rotation,
    series,
    write_nifti,
    write_zip,
)

from ptacl import config
from ptacl.cmr import examine as module
from ptacl.cmr.examine import describe, examine, flags
from ptacl.exclusions import Reason


def test_what_forbids_to_use_a_cine(tmp_path: Path, settings: config.Cmr) -> None:
    def fails(image: np.ndarray, **changes: object) -> Reason | None:
        return reason(examined(tmp_path, image, settings, **changes))

    assert fails(IMAGE) is None
    assert fails(IMAGE[:-1]) is Reason.WRONG_FRAMES
    assert fails(IMAGE[:, :5]) is Reason.TOO_FEW_SLICES
    assert fails(IMAGE[:, :, :15]) is Reason.TOO_SMALL
    assert fails(np.full_like(IMAGE, 7)) is Reason.CONSTANT_IMAGE
    for place in ((0, 0, 0, 0), (3, Z // 2, 20, 30)):
        holed = IMAGE.astype(np.float32)
        holed[place] = np.nan
        assert fails(holed) is Reason.NOT_FINITE
    still = np.repeat(IMAGE[:1], T, axis=0)
    assert fails(still) is Reason.STILL
    black = IMAGE.copy()
    black[T // 2 :] = 0
    assert fails(black) is Reason.CONSTANT_IMAGE


@pytest.mark.parametrize(
    "spacing",
    [(0.01, 0.01, 9), (50, 50, 9), (4, 4, 0.1), (4, 4, 200)],
    ids=["tiny", "huge", "thin", "far apart"],
)
def test_spacing_that_no_body_fits(
    spacing: tuple[float, float, float], tmp_path: Path, settings: config.Cmr
) -> None:
    nib.save(nib.Nifti1Image(IMAGE.T, np.diag([*spacing, 1])), tmp_path / "sa.nii.gz")
    found = examine(tmp_path / "sa.nii.gz", segmentation=None, settings=settings)
    assert found.excluded.reason is Reason.WRONG_UNIT


def test_a_small_image_is_padded_and_not_refused(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE[:, :, :, 14:44], settings, size=48)
    assert found.excluded is None
    assert "frames" in found.arrays
    assert found.arrays["frames"].shape == (T, 48, 48)


def test_an_excluded_cine_is_described_all_the_same(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE[:-1], settings, labels=LABELS[:-1])
    assert reason(found) is Reason.WRONG_FRAMES
    assert found.volumes["LVEF"] > 0
    assert "frames" in found.arrays
    assert found.facts["num_frames"] == T - 1


def test_a_still_image_is_cropped_around_its_middle_and_says_so(
    tmp_path: Path, settings: config.Cmr
) -> None:
    still = np.repeat(IMAGE[:1], T, axis=0)
    for image in (still, still.astype(np.float32) * 0.1, np.zeros_like(IMAGE)):
        found = examined(tmp_path, image, settings)
        assert (found.location.source, found.location.row, found.location.col) == (
            "image",
            23.5,
            27.5,
        )
        assert found.facts["counts"]["repeated_frames"] == T - 1


def test_a_zip_and_its_conversion_give_the_same_sequence(
    tmp_path: Path, settings: config.Cmr
) -> None:
    axes = rotation(5)
    packed = write_zip(tmp_path / "a.zip", series(IMAGE, axes=axes))
    converted = write_nifti(tmp_path / "sa.nii.gz", IMAGE, axes=axes * [[-1], [-1], [1]])
    one, other = (
        examine(path, segmentation=None, settings=settings) for path in (packed, converted)
    )
    assert one.excluded is other.excluded is None
    assert np.array_equal(one.arrays["frames"], other.arrays["frames"])
    assert one.location == other.location


@pytest.mark.parametrize(
    ("name", "wanted"), [("03_04.dcm", Reason.WRONG_FRAMES), ("00_04.dcm", None)]
)
def test_a_missing_frame_matters_in_the_middle_slice_alone(
    tmp_path: Path, settings: config.Cmr, name: str, wanted: Reason | None
) -> None:
    files = series(IMAGE)
    del files[name]
    found = examine(write_zip(tmp_path / "a.zip", files), segmentation=None, settings=settings)
    assert reason(found) is wanted
    assert found.facts["counts"]["gaps"] == 1
    assert found.cine.num_frames == T


def test_a_missing_slice_makes_the_stack_uneven(tmp_path: Path, settings: config.Cmr) -> None:
    files = {
        name: data for name, data in series(heart(slices=9)[0]).items() if not name.startswith("04")
    }
    found = examine(write_zip(tmp_path / "a.zip", files), segmentation=None, settings=settings)
    assert reason(found) is Reason.UNEVEN_SLICES
    assert found.excluded is not None
    assert found.excluded.detail == "slices 9.0 to 18.0 mm apart"


def test_reasons_tell_no_participant(tmp_path: Path, settings: config.Cmr) -> None:
    folder = tmp_path / "9000001_20209_2_0"
    for path in (folder / "sa.nii.gz", folder / "9000001_20209_2_0.zip"):
        found = examine(path, segmentation=None, settings=settings)
        assert found.excluded is not None
        assert "9000001" not in str(found.excluded)
    found = examined(folder, IMAGE, settings, labels=LABELS[:, 1:])
    assert found.flags == ["segmentation refused"]
    assert "9000001" not in found.facts["segmentation_refused"]


@pytest.mark.parametrize(
    ("image", "changes", "detail"),
    [
        (IMAGE[:-1], {}, "7 in most slices, not 8"),
        (IMAGE[:, :5], {}, "5 slices, fewer than 6"),
        (IMAGE[:, :, :15], {}, "15 x 56 pixels for a crop of 32"),
        (np.full_like(IMAGE, 7), {}, "one intensity in the crop"),
        (np.repeat(IMAGE[:1], T, axis=0), {}, "7 of 8 frames equal the one before"),
        (
            IMAGE * (np.arange(T) < 5)[:, None, None, None],
            {},
            "3 of 8 frames have one intensity in the crop",
        ),
        (
            IMAGE,
            {"crop": "segmentation"},
            "the settings require a segmentation, and none shows the heart",
        ),
        (np.where(np.arange(56) == 3, np.nan, IMAGE), {}, "in the cine"),
    ],
    ids=["frames", "slices", "rows", "contrast", "still", "dark", "segmentation", "not finite"],
)
def test_the_detail_says_what_forbids_to_use_a_cine(
    image: np.ndarray,
    changes: dict[str, object],
    detail: str,
    tmp_path: Path,
    settings: config.Cmr,
) -> None:
    found = examined(tmp_path, image, settings, **changes)
    assert found.excluded is not None
    assert found.excluded.detail == detail


def test_the_least_that_is_allowed_is_used(tmp_path: Path, settings: config.Cmr) -> None:
    """Six slices; images of half the crop; as many repeated frames as others."""
    assert examined(tmp_path, IMAGE[:, :6], settings).excluded is None
    assert reason(examined(tmp_path, IMAGE[:, :, 14:30], settings)) is None
    moving = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert examined(tmp_path, IMAGE[moving], settings).excluded is None
    repeated = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    assert reason(examined(tmp_path, IMAGE[repeated], settings)) is Reason.STILL


@pytest.mark.parametrize(
    ("positions_mm", "detail"),
    [
        ((0.0,), ""),
        ((0.0, 10, 20, 30), ""),
        ((30.0, 20, 10, 0), ""),
        ((0.0, 10, 21, 31), ""),
        ((0.0, 10, 21.1, 31.1), "slices 10.0 to 11.1 mm apart"),
        ((0.0, 10, 18.9, 28.9), "slices 8.9 to 10.0 mm apart"),
    ],
)
def test_distances_of_slices_may_differ_by_a_tenth_of_their_median(
    positions_mm: tuple[float, ...],
    detail: str,
) -> None:
    assert module._uneven(positions_mm) == detail


@pytest.mark.parametrize(
    ("spacing", "detail"),
    [
        ((4, 0.2, 9), "rows 0.2 mm apart"),
        ((6, 4, 9), "columns 6 mm apart"),
        ((4, 4, 31), "slices 31 mm apart"),
        ((4, 4, 0.5), "slices 0.5 mm apart"),
    ],
)
def test_a_spacing_that_no_body_fits_is_named(
    spacing: tuple[float, float, float],
    detail: str,
    tmp_path: Path,
    settings: config.Cmr,
) -> None:
    """The affine is that of columns, rows and slices."""
    nib.save(nib.Nifti1Image(IMAGE.T, np.diag([*spacing, 1])), tmp_path / "sa.nii.gz")
    found = examine(tmp_path / "sa.nii.gz", segmentation=None, settings=settings)
    assert found.excluded.reason is Reason.WRONG_UNIT
    assert found.excluded.detail == detail


def test_the_distance_of_a_single_slice_does_not_matter(
    tmp_path: Path,
    settings: config.Cmr,
) -> None:
    nib.save(nib.Nifti1Image(IMAGE[:, :1].T, np.diag([4, 4, 99, 1])), tmp_path / "sa.nii.gz")
    found = examine(tmp_path / "sa.nii.gz", segmentation=None, settings=settings)
    assert reason(found) is Reason.TOO_FEW_SLICES


def test_facts_are_rounded(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE, settings, labels=LABELS)
    place = replace(found.location, row=12.345, col=6.789)
    cine = replace(found.cine, frame_ms=12.34567, spacing_mm=(1.234567, 2.0, 3.0))
    facts = describe(cine, place, hot=2, refused="")
    assert facts["frame_ms"] == 12.346
    assert facts["spacing_mm"] == [1.2346, 2.0, 3.0]
    assert facts["crop"] == {"row": 12.3, "col": 6.8, "source": "segmentation"}
    assert facts["counts"]["hot_pixels"] == 2
    assert facts["counts"]["repeated_frames"] == 0
    assert facts["counts"]["gaps"] == 0
    assert flags(cine, hot=2, refused="") == ["hot pixels clipped"]
    assert found.facts["volumes"] == {k: round(v, 3) for k, v in found.volumes.items()}
    assert facts["unreadable"] == {}
    assert facts["segmentation_refused"] == ""
    assert facts["middle_slice"] == found.location.slice


def test_facts_without_a_crop_have_no_systole(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, np.full_like(IMAGE, 3), settings)
    assert found.arrays == {}
    assert "systole" not in found.facts
    cine = replace(found.cine, frame_ms=None)
    assert describe(cine, found.location, hot=0, refused="")["frame_ms"] is None


def test_files_without_an_image_are_flagged(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE, settings)
    damaged = replace(found.cine, causes={"EOFError": 2})
    assert flags(damaged, hot=0, refused="") == ["files without an image"]
    facts = describe(damaged, found.location, hot=0, refused="")
    assert facts["unreadable"] == {"EOFError": 2}


def test_facts_are_json_values(tmp_path: Path, settings: config.Cmr) -> None:
    found = examined(tmp_path, IMAGE, settings)
    assert found.facts == json.loads(json.dumps(found.facts))
    assert found.facts["format"] == "nifti"
    assert found.facts["num_slices"] == 7
    assert found.facts["num_frames"] == 8
    assert found.facts["middle_slice"] == 3
    assert found.facts["spacing_mm"] == pytest.approx([PIXEL_MM, PIXEL_MM, SLICE_MM])
    assert "volumes" not in found.facts


def test_a_zip_without_a_cine_keeps_its_format(tmp_path: Path, settings: config.Cmr) -> None:
    path = write_zip(tmp_path / "a.zip", decoys(IMAGE[0, 0]))
    found = examine(path, segmentation=None, settings=settings)
    assert found.facts == {"format": "dicom-zip"}
    assert found.excluded.reason is Reason.NO_SHORT_AXIS
    assert "'CINE_segmented_LAX_4Ch' (1 positions, 1 images at each)" in found.excluded.detail


def test_garbage_is_unreadable(tmp_path: Path, settings: config.Cmr) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK garbage")
    found = examine(tmp_path / "b.zip", segmentation=None, settings=settings)
    assert found.excluded.reason is Reason.UNREADABLE
