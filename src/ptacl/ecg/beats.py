"""Map the tokens of an ECG crop to the phases of a mean heart cycle.

The local embedding of an ECG interpolates the tokens between two consecutive R-peaks to T phases
and averages over beats. This depends only on the R-peaks and is linear in the tokens, so each
sample needs just one matrix.
"""

import numpy as np


def beat_matrix(
    r_peaks: np.ndarray, *, start: int, num_samples: int, patch: int, phases: int
) -> tuple[np.ndarray, int]:
    """Compute the matrix of one crop and its number of complete beats; see :func:`beat_matrices`.

    r_peaks : (P,) sample indices in the whole record, ascending, padded with -1. start : first
    sample of the crop.

    Returns the matrix, (phases, num_samples // patch) float32, and the number of beats.
    """
    matrices, counts = beat_matrices(
        np.asarray(r_peaks)[None],
        start=np.array([start]),
        num_samples=num_samples,
        patch=patch,
        phases=phases,
    )
    return matrices[0], int(counts[0])


def beat_matrices(
    r_peaks: np.ndarray, *, start: np.ndarray, num_samples: int, patch: int, phases: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the interpolation matrices of a batch of crops; each row sums to 1.

    Phase k of T of the beat from R-peak a to the next R-peak b is at a + (k + 0.5) / T * (b - a),
    the middle of its share of the cycle. It is interpolated linearly between the two tokens whose
    centres enclose it; before the first centre and after the last one, the nearest token is used. A
    beat counts if both of its R-peaks are in the crop. The matrix is the mean over these beats, and
    zero for a crop without a complete beat.

    r_peaks : (B, P) sample indices in the whole records, ascending, padded with -1. start : (B,)
    first samples of the crops.

    Returns the matrices, (B, T, N) float32 with N = num_samples // patch tokens, and (B,) numbers
    of complete beats.
    """
    tokens = num_samples // patch
    peaks = np.asarray(r_peaks, np.int64) - np.asarray(start, np.int64)[:, None]
    first, last = peaks[:, :-1], peaks[:, 1:]
    record, beat = np.nonzero((first >= 0) & (last > first) & (last < num_samples))
    counts = np.bincount(record, minlength=len(peaks))
    begin, end = first[record, beat], last[record, beat]
    position = begin[:, None] + (np.arange(phases) + 0.5) / phases * (end - begin)[:, None]
    centre = np.clip((position - (patch - 1) / 2) / patch, 0, tokens - 1)
    left = np.minimum(centre.astype(np.int64), max(tokens - 2, 0))
    share = centre - left
    each = np.broadcast_to(1.0 / counts[record][:, None], share.shape)
    matrices = np.zeros((len(peaks), phases, tokens))
    right = np.minimum(left + 1, tokens - 1)  # with a single token, its weight is 0
    for token, weight in ((left, 1 - share), (right, share)):
        np.add.at(matrices, (record[:, None], np.arange(phases), token), weight * each)
    return matrices.astype(np.float32), counts
