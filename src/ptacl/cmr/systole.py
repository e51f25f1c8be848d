"""Find end-systole: from the smallest left ventricular cavity with a segmentation, otherwise from
motion.
"""

from collections.abc import Mapping

import numpy as np

# Range of the cycle, as shares of it, in which the heart can be most contracted.
_EARLIEST, _LATEST = 0.15, 0.6


def end_systole(
    sequence_TRC: np.ndarray, *, volume_ml: Mapping[str, np.ndarray]
) -> tuple[int, str]:
    """Return the frame of end-systole, and its source: segmentation or motion.

    sequence_TRC : the crop, whose frame 0 is end-diastole. By motion, end-systole is the frame in
    the middle of the cycle that differs most from frame 0, with differences averaged over three
    frames.
    """
    frames = len(sequence_TRC)
    if "lv" in volume_ml and len(volume_ml["lv"]) == frames:
        return int(np.argmin(volume_ml["lv"])), "segmentation"
    images = sequence_TRC.astype(np.float32)
    difference_T = np.abs(images - images[0]).mean((1, 2))
    smooth_T = (np.roll(difference_T, 1) + difference_T + np.roll(difference_T, -1)) / 3
    first = min(int(np.ceil(_EARLIEST * frames)), frames - 1)
    last = max(int(_LATEST * frames), first + 1)
    return first + int(np.argmax(smooth_T[first:last])), "motion"
