import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from phantom import PIXEL_MM, SLICE_MM, decoys, heart, series, write_nifti, write_zip

from ptacl import config
from ptacl.cmr.describe import describe, draw
from ptacl.cmr.sequence import examine
from ptacl.exclusions import Excluded, Reason

IMAGE, LABELS = heart()


def test_facts_of_a_cine_are_json_values(tmp_path: Path, settings: config.Cmr) -> None:
    facts = describe(write_nifti(tmp_path / "sa.nii.gz", IMAGE), settings=settings)
    assert facts == json.loads(json.dumps(facts))
    assert {
        k: facts[k]
        for k in ("kind", "format", "num_slices", "num_frames", "middle_slice", "excluded")
    } == {
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


def test_a_segmentation_beside_the_cine_or_given_measures_it(
    tmp_path: Path, settings: config.Cmr
) -> None:
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
    assert facts["excluded"] == f"{Reason.WRONG_FRAMES.value}: 7 in most slices, not 8"
    assert facts["crop"]["source"] == "motion"


def test_a_zip_without_the_cine_is_excluded_and_garbage_is_an_error(
    tmp_path: Path, settings: config.Cmr
) -> None:
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


def drawn(path: Path, settings: config.Cmr, monkeypatch: pytest.MonkeyPatch, **how: Path) -> Figure:
    """The drawing of a cine instead of its file."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    draw(path, path.parent / "new" / "folder" / "out.png", settings=settings, **how)
    assert (path.parent / "new" / "folder").is_dir()
    return kept[0]


def test_a_drawing_shows_the_first_frame_of_the_middle_slice_with_its_crop(
    tmp_path: Path,
    settings: config.Cmr,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_nifti(tmp_path / "sa.nii.gz", IMAGE)
    labels = write_nifti(tmp_path / "labels" / "a.nii.gz", LABELS)
    found = examine(path, segmentation=labels, settings=settings)
    figure = drawn(path, settings, monkeypatch, segmentation=labels)
    whole, cropped, line = figure.axes
    np.testing.assert_array_equal(whole.images[0].get_array(), IMAGE[0, found.location.slice])
    assert whole.get_title() == f"slice {found.location.slice} of 7, centre from segmentation"
    window, centre = whole.lines
    assert centre.get_xydata().tolist() == [[found.location.col, found.location.row]]
    left, top = window.get_xydata().min(axis=0)
    right, bottom = window.get_xydata().max(axis=0)
    assert [right - left, bottom - top] == [settings.size, settings.size]
    assert abs((left + right) / 2 - found.location.col) <= 0.5
    assert abs((top + bottom) / 2 - found.location.row) <= 0.5
    systole = int(np.argmin(found.volume_ml["lv"]))
    assert cropped.get_title() == f"crop in frame 0 and in frame {systole}"
    pair = np.hstack([found.sequence[0], found.sequence[systole]])
    np.testing.assert_array_equal(cropped.images[0].get_array(), pair)
    np.testing.assert_array_equal(
        line.images[0].get_array(),
        found.sequence[:, settings.size // 2].T,
    )
    volumes = found.volumes
    expected = f"LVEDV {volumes['LVEDV']:.0f} mL   LVESV {volumes['LVESV']:.0f} mL   "
    expected += f"LVEF {volumes['LVEF']:.0f} %   LVM {volumes['LVM']:.0f} g"
    assert figure.get_suptitle() == expected


def test_a_drawing_outlines_the_segmentation_of_the_first_frame(
    tmp_path: Path,
    settings: config.Cmr,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_nifti(tmp_path / "sa.nii.gz", IMAGE)
    labels = write_nifti(tmp_path / "seg_sa.nii.gz", LABELS)
    z = examine(path, segmentation=labels, settings=settings).location.slice
    outline = drawn(path, settings, monkeypatch).axes[0].collections[0].get_paths()[0]
    rows, columns = np.nonzero(LABELS[0, z])
    np.testing.assert_allclose(
        outline.vertices.min(axis=0),
        [columns.min() - 0.5, rows.min() - 0.5],
    )
    np.testing.assert_allclose(
        outline.vertices.max(axis=0),
        [columns.max() + 0.5, rows.max() + 0.5],
    )


def test_a_drawing_without_a_crop_says_why(
    tmp_path: Path,
    settings: config.Cmr,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_nifti(tmp_path / "sa.nii.gz", np.full_like(IMAGE, 3))
    figure = drawn(path, settings, monkeypatch)
    assert figure.get_suptitle() == "excluded: image without contrast: one intensity in the crop"
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 0]


def test_a_zip_without_a_cine_still_has_every_fact(tmp_path: Path, settings: config.Cmr) -> None:
    facts = describe(write_zip(tmp_path / "a.zip", decoys(IMAGE[0, 0])), settings=settings)
    detail = "4 files of other series, 0 files that cannot be decoded"
    assert facts == {
        "kind": "cine",
        "format": "dicom-zip",
        "num_slices": None,
        "num_frames": None,
        "spacing_mm": None,
        "middle_slice": None,
        "crop": None,
        "excluded": f"{Reason.NO_SHORT_AXIS}: {detail}",
    }
