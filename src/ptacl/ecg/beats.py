"""From R-peaks to the matrix that maps the tokens of a crop to the steps of a mean heart cycle.

The local embedding of an ECG interpolates the tokens between two consecutive R-peaks to T steps and averages over beats. All of
it depends on the R-peaks alone and is linear in the tokens, so it is one matrix a sample.
"""

import numpy as np


def beat_matrix(r_peaks: np.ndarray, *, start: int, num_samples: int, patch: int, steps: int) -> tuple[np.ndarray, int]:
    """The matrix of one crop and its number of complete beats; see :func:`beat_matrices`.

    r_peaks : (P,) samples of the whole record, ascending, padded with -1. start : first sample of the crop.
    Returns (steps, num_samples // patch) float32 and the count.
    """
    matrices, counts = beat_matrices(
        np.asarray(r_peaks)[None], start=np.array([start]), num_samples=num_samples, patch=patch, steps=steps
    )
    return matrices[0], int(counts[0])


def beat_matrices(
    r_peaks: np.ndarray, *, start: np.ndarray, num_samples: int, patch: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolation matrices of a batch of crops, each row summing to 1.

    Step k of T of the beat from R-peak a to the next, b, lies at a + (k + 0.5) / T * (b - a), the middle of its share of the
    cycle. It takes the two tokens whose centres enclose it, linearly; before the first and after the last centre it takes that
    token. A beat counts when both of its R-peaks lie in the crop; the matrix is the mean over them, and zero where there is
    none.

    r_peaks : (B, P) samples of the whole records, ascending, padded with -1. start : (B,) first samples of the crops.
    Returns (B, T, N) float32 with N = num_samples // patch tokens, and (B,) numbers of complete beats.
    """
    tokens = num_samples // patch
    peaks = np.asarray(r_peaks, np.int64) - np.asarray(start, np.int64)[:, None]
    first, last = peaks[:, :-1], peaks[:, 1:]
    record, beat = np.nonzero((first >= 0) & (last > first) & (last < num_samples))
    counts = np.bincount(record, minlength=len(peaks))
    begin, end = first[record, beat], last[record, beat]
    position = begin[:, None] + (np.arange(steps) + 0.5) / steps * (end - begin)[:, None]
    centre = np.clip((position - (patch - 1) / 2) / patch, 0, tokens - 1)
    left = np.minimum(centre.astype(np.int64), max(tokens - 2, 0))
    share = centre - left
    cell = (record[:, None] * steps + np.arange(steps)) * tokens + left
    each = np.broadcast_to(1.0 / counts[record][:, None], share.shape)
    size = len(peaks) * steps * tokens
    flat = np.bincount(cell.ravel(), ((1 - share) * each).ravel(), size)
    right = np.minimum(cell + 1, size - 1)  # with a single token its share is 0
    flat += np.bincount(right.ravel(), (share * each).ravel(), size)
    return flat.reshape(len(peaks), steps, tokens).astype(np.float32), counts
