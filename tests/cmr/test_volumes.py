import numpy as np
import pytest
from phantom import LV, MYOCARDIUM, RV

from ptacl import config
from ptacl.cmr.volumes import measure, volume_curves

NAMES = config.Labels(lv=LV, myocardium=MYOCARDIUM, rv=RV)
SPACING = (2.0, 1.5, 10.0)  # 0.03 mL a voxel
LV_VOXELS, RV_VOXELS, WALL_VOXELS = [100, 60, 40, 80], [120, 50, 70, 110], [90, 95, 99, 91]


def labels() -> np.ndarray:
    out = np.zeros((4, 5, 12, 20), np.uint8)
    for t, (lv, rv, wall) in enumerate(zip(LV_VOXELS, RV_VOXELS, WALL_VOXELS, strict=True)):
        out[t].flat[:lv] = LV
        out[t].flat[200 : 200 + rv] = RV
        out[t].flat[400 : 400 + wall] = MYOCARDIUM
    return out


def measured(
    segmentation: np.ndarray, *, frame_ms: float | None = 225, names: config.Labels = NAMES
) -> dict[str, float]:
    curves = volume_curves(segmentation, spacing_mm=SPACING, labels=names)
    return measure(curves, frame_ms=frame_ms, density_g_per_ml=1.05)


def test_phenotypes_by_hand() -> None:
    assert measured(labels()) == pytest.approx(
        {
            "LVEDV": 3.0,
            "LVESV": 1.2,
            "LVSV": 1.8,
            "LVEF": 60.0,
            "LVCO": 1.8 / 1000 * 60 / 0.9,  # one beat takes 4 x 225 ms
            "LVM": 90 * 0.03 * 1.05,
            "RVEDV": 3.6,
            "RVESV": 2.1,  # at the left ventricle's end-systole, not at its own smallest volume
            "RVSV": 1.5,
            "RVEF": 100 * 1.5 / 3.6,
        }
    )


def test_the_meaning_of_values_is_that_of_the_settings() -> None:
    swapped = config.Labels(lv=RV, myocardium=MYOCARDIUM, rv=LV)
    assert measured(labels(), names=swapped)["LVEDV"] == pytest.approx(3.6)


@pytest.mark.parametrize(
    ("absent", "lost"),
    [
        (RV, {"RVEDV", "RVESV", "RVSV", "RVEF"}),
        (MYOCARDIUM, {"LVM"}),
        (LV, {"LVEDV", "LVESV", "LVSV", "LVEF", "LVCO", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF"}),
    ],
)
def test_what_is_not_segmented_is_left_out(absent: int, lost: set[str]) -> None:
    segmentation = labels()
    segmentation[segmentation == absent] = 0
    assert set(measured(labels())) - set(measured(segmentation)) == lost


def test_no_output_without_time_and_no_fraction_of_nothing() -> None:
    assert "LVCO" not in measured(labels(), frame_ms=None)
    segmentation = labels()
    segmentation[0][segmentation[0] == LV] = 0
    assert not {"LVEDV", "LVEF", "LVCO"} & set(measured(segmentation))
