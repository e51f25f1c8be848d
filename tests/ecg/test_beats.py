from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from ptacl.ecg.beats import beat_matrices, beat_matrix

PADDED = 64


def padded(peaks: list[int]) -> np.ndarray:
    return np.array(peaks + [-1] * (PADDED - len(peaks)), np.int32)


def by_loop(
    peaks: list[int], *, start: int, num_samples: int, patch: int, phases: int
) -> tuple[np.ndarray, int]:
    """Beat by beat: an embedding that is the token's own unit vector, interpolated with np.interp,
    then averaged.
    """
    tokens = num_samples // patch
    centres = np.arange(tokens) * patch + (patch - 1) / 2
    unit = np.eye(tokens)
    inside = [p - start for p in peaks if 0 <= p - start < num_samples]
    total = np.zeros((phases, tokens))
    for first, last in pairwise(inside):
        positions = [first + (k + 0.5) / phases * (last - first) for k in range(phases)]
        for token in range(tokens):
            total[:, token] += np.interp(positions, centres, unit[token])
    beats = max(len(inside) - 1, 0)
    return (total / beats if beats else total), beats


@limits(deadline=None, max_examples=60)
@given(
    peaks=st.lists(st.integers(0, 4999), max_size=20, unique=True).map(sorted),
    start=st.integers(0, 2500),
    patch=st.sampled_from([25, 50, 125, 2500]),
    phases=st.sampled_from([1, 13, 25]),
)
def test_equals_a_loop_over_beats(peaks: list[int], start: int, patch: int, phases: int) -> None:
    sizes = {"start": start, "num_samples": 2500, "patch": patch, "phases": phases}
    matrix, beats = beat_matrix(padded(peaks), **sizes)
    expected, expected_beats = by_loop(peaks, **sizes)
    assert (
        matrix.dtype == np.float32
        and matrix.shape == (phases, 2500 // patch)
        and beats == expected_beats
    )
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1 if beats else 0, atol=1e-5)


def test_batch_equals_one_by_one() -> None:
    rng = np.random.default_rng(1)
    peaks = np.stack(
        [
            padded(sorted(rng.choice(5000, size, replace=False).tolist()))
            for size in (0, 1, 2, 9, 25)
        ]
    )
    starts = np.array([0, 0, 100, 2500, 1234])
    matrices, counts = beat_matrices(peaks, start=starts, num_samples=2500, patch=50, phases=13)
    for row, start, matrix, count in zip(peaks, starts, matrices, counts, strict=True):
        expected, beats = beat_matrix(row, start=int(start), num_samples=2500, patch=50, phases=13)
        assert beats == count and np.array_equal(matrix, expected)


@pytest.mark.parametrize("peaks", [[], [1200], [100, 4000], [-1]])
def test_no_complete_beat_gives_zeros(peaks: list[int]) -> None:
    matrix, beats = beat_matrix(padded(peaks), start=0, num_samples=2500, patch=50, phases=13)
    assert beats == 0 and not matrix.any()


def test_step_is_the_middle_of_its_share_of_the_beat() -> None:
    matrix, beats = beat_matrix(padded([500, 1150]), start=0, num_samples=2500, patch=50, phases=13)
    centres = np.arange(50) * 50 + 24.5
    np.testing.assert_allclose(
        matrix @ centres, 525 + 50 * np.arange(13), rtol=1e-6
    )  # a linear embedding is met exactly
    assert beats == 1 and ((matrix > 0).sum(axis=1) <= 2).all()


def test_peaks_move_with_the_crop() -> None:
    peaks = [700, 1500, 2400, 3300]
    moved = [p - 600 for p in peaks]
    sizes = {"num_samples": 2500, "patch": 50, "phases": 13}
    shifted, beats = beat_matrix(padded(peaks), start=600, **sizes)
    expected, same = beat_matrix(padded([p for p in moved if p < 2500]), start=0, **sizes)
    assert beats == same == 2 and np.array_equal(shifted, expected)


def test_beats_beyond_the_crop_count_for_nothing() -> None:
    sizes = {"start": 0, "num_samples": 2500, "patch": 50, "phases": 13}
    alone, _ = beat_matrix(padded([100, 2499]), **sizes)
    with_more, beats = beat_matrix(padded([100, 2499, 2500, 4000]), **sizes)
    assert beats == 1 and np.array_equal(alone, with_more)
