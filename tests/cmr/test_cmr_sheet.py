"""The contact sheet: frame 0 beside end-systole, for each cine."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ptacl.cmr import sheet


def sequence() -> np.ndarray:
    """Frame 2 is least like frame 0, though frame 1 has the largest single difference."""
    frames = np.full((4, 3, 3), 100, np.uint8)
    frames[1, 0, 0] = 255
    frames[2] = 60
    frames[3] = 90
    return frames


def test_without_volumes_systole_is_the_frame_least_like_the_first() -> None:
    found = sheet.panel(sequence(), title="a", volume_ml=None)
    assert found.title == "a"
    assert found.systole_frame == 2
    assert np.array_equal(found.diastole, sequence()[0])
    assert np.array_equal(found.systole, sequence()[2])


def test_with_volumes_systole_is_the_frame_of_the_smallest() -> None:
    found = sheet.panel(sequence(), title="a", volume_ml=np.array([9.0, 8, 7, 6]))
    assert found.systole_frame == 3
    assert np.array_equal(found.systole, sequence()[3])


@pytest.mark.parametrize(("number", "rows"), [(1, 1), (6, 1), (7, 2)])
def test_each_cine_is_a_pair_of_images_six_in_a_row(
    number: int,
    rows: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    panels = [sheet.panel(sequence(), title=f"cine {k}", volume_ml=None) for k in range(number)]
    sheet.draw(panels, out_png=tmp_path / "new" / "folder" / "a.png")
    assert (tmp_path / "new" / "folder").is_dir()
    axes = kept[0].axes
    assert len(axes) == 6 * rows
    shown = [a for a in axes if a.images]
    assert [a.get_title() for a in shown] == [f"cine {k}" for k in range(number)]
    for a in shown:
        pair = np.hstack([sequence()[0], sequence()[2]])
        np.testing.assert_array_equal(a.images[0].get_array(), pair)
        assert a.images[0].get_clim() == (0, 255)


def test_a_sheet_without_cines_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    sheet.draw([], out_png=tmp_path / "a.png")
    assert [text.get_text() for text in kept[0].texts] == ["no usable cine"]
