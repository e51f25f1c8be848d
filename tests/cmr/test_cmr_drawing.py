from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from phantom import decoys, heart, series, write_nifti, write_zip

from ptacl import config, contact_sheet
from ptacl.cmr.drawing import draw
from ptacl.cmr.examine import examine
from ptacl.cmr.prepare import CMR
from ptacl.cmr.read import find_labels

IMAGE, LABELS = heart()


def test_drawings_of_good_and_bad_cines(tmp_path: Path, settings: config.Cmr) -> None:
    packed = write_zip(tmp_path / "a.zip", series(IMAGE))
    labels = write_nifti(tmp_path / "seg.nii.gz", LABELS)
    constant = write_nifti(tmp_path / "sa.nii.gz", np.full_like(IMAGE, 3))
    for path, segmentation in ((packed, labels), (packed, None), (constant, None)):
        out = tmp_path / "plots" / "out.png"
        examined = examine(path, segmentation=segmentation, settings=settings)
        draw(examined, out, size=settings.size)
        assert out.read_bytes().startswith(b"\x89PNG")
        out.unlink()


def drawn(
    path: Path,
    settings: config.Cmr,
    monkeypatch: pytest.MonkeyPatch,
    segmentation: Path | None = None,
) -> Figure:
    """The drawing of a cine instead of its file."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    segmentation = segmentation or find_labels(path)
    examined = examine(path, segmentation=segmentation, settings=settings)
    draw(examined, path.parent / "new" / "folder" / "out.png", size=settings.size)
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
    pair = np.hstack([found.arrays["frames"][0], found.arrays["frames"][systole]])
    np.testing.assert_array_equal(cropped.images[0].get_array(), pair)
    np.testing.assert_array_equal(
        line.images[0].get_array(),
        found.arrays["frames"][:, settings.size // 2].T,
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


def test_a_zip_without_a_cine_says_why(
    tmp_path: Path, settings: config.Cmr, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", decoys(IMAGE[0, 0]))
    figure = drawn(path, settings, monkeypatch)
    assert figure.get_suptitle().startswith("excluded: no short-axis cine in the file")
    assert [len(axes.images) for axes in figure.axes] == [0, 0, 0]


def frames() -> np.ndarray:
    images = np.full((4, 3, 3), 100, np.uint8)
    images[2] = 60
    return images


@pytest.mark.parametrize(("number", "rows"), [(1, 1), (6, 1), (7, 2)])
def test_each_cine_is_a_pair_of_images_six_in_a_row(
    number: int,
    rows: int,
    tmp_path: Path,
    settings: config.Cmr,
    figures: list[Figure],
) -> None:
    arrays = {"frames": frames(), "systole": np.array(2)}
    contact_sheet.draw(
        [f"cine {k}" for k in range(number)],
        lambda axes, _: CMR.draw_panel(axes, arrays, settings),
        layout=CMR.sheet,
        out_png=tmp_path / "new" / "folder" / "a.png",
    )
    assert (tmp_path / "new" / "folder").is_dir()
    axes = figures[0].axes
    assert [a.get_title(loc="left") for a in axes] == [f"cine {k}" for k in range(number)]
    assert len({a.get_position().y0.round(2) for a in axes}) == rows
    for a in axes:
        pair = np.hstack([frames()[0], frames()[2]])
        np.testing.assert_array_equal(a.images[0].get_array(), pair)
        assert a.images[0].get_clim() == (0, 255)


def test_a_sheet_without_cines_says_so(tmp_path: Path, figures: list[Figure]) -> None:
    contact_sheet.draw([], print, layout=CMR.sheet, out_png=tmp_path / "a.png")
    assert [text.get_text() for text in figures[0].texts] == ["no usable cine"]
