import numpy as np
import pytest
from phantom import LV, PIXEL_MM

from ptacl import config
from ptacl.cmr.segmentation import check
from ptacl.exclusions import Excluded, Reason


def agreeing(brighter: int, *, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels (T, Z, R, C) and one slice (T, R, C) in which ten pixels are cavity half of the time.

    `brighter` of the ten are brighter while they are cavity, the others darker by as much.
    """
    labels = np.zeros((4, 1, 12, 12), np.uint8)
    labels[:, 0, 4:8, 1:11] = LV
    labels[:2, 0, 2, 1:11] = LV
    image = np.full((4, 12, 12), 200.0)
    image[:2, 2, 1 : 1 + brighter] += 100
    image[:2, 2, 1 + brighter : 11] -= 100
    return labels, (scale * image).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-4, 1, 1e4])
def test_agreement_in_time_is_a_share_whatever_the_unit_of_the_image(
    scale: float,
    settings: config.Cmr,
) -> None:
    """Of ten pixels 6 against 4 agree by 0.2, 7 against 3 by 0.4; the limit is between them."""
    how = {"spacing_mm": (PIXEL_MM, PIXEL_MM), "labels": settings.labels}
    labels, image = agreeing(7, scale=scale)
    check(labels, slices=[image], **how)
    labels, image = agreeing(6, scale=scale)
    with pytest.raises(Excluded, match=r"agreement 0\.20") as error:
        check(labels, slices=[image], **how)
    assert error.value.reason is Reason.SEGMENTATION_MISMATCH
