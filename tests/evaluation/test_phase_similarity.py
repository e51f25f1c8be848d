"""Cosines of phases, and the shares, shifts and controls that follow from them."""

import numpy as np
import pytest
from phase_files import D, T, write

from ptacl.evaluation import phase_similarity, uncertainty


def test_cosines_agree_with_a_loop(monkeypatch):
    monkeypatch.setattr(phase_similarity, "_BLOCK", 4)
    rng = np.random.default_rng(1)
    ecg, cmr = rng.normal(size=(2, 10, 5, 7)).astype(np.float32)
    cosines = phase_similarity.cosines(ecg, cmr)
    for i in range(10):
        for k in range(5):
            for t in range(5):
                expected = (
                    ecg[i, k] @ cmr[i, t] / np.linalg.norm(ecg[i, k]) / np.linalg.norm(cmr[i, t])
                )
                assert cosines[i, k, t] == pytest.approx(expected, abs=1e-6)


def test_chance_is_the_share_of_step_pairs_near_the_diagonal():
    assert phase_similarity.chance(13) == pytest.approx(37 / 169)
    assert phase_similarity.chance(2) == 1
    rng = np.random.default_rng(2)
    ecg, cmr = rng.normal(size=(2, 3000, T, D))
    assert phase_similarity.share_near_diagonal(
        phase_similarity.cosines(ecg, cmr)
    ).mean() == pytest.approx(37 / 169, abs=0.01)


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (1, 12 / 13), (6, 0.0)])
def test_share_tells_how_far_the_best_match_lies(tmp_path, shift, share):
    steps = phase_similarity.read(write(tmp_path / "a.npz", noise=0.0, shift=shift))
    np.testing.assert_allclose(
        phase_similarity.share_near_diagonal(phase_similarity.cosines(steps.ecg, steps.cmr)), share
    )


def test_each_ecg_step_looks_for_its_cmr_step_and_not_the_other_way_round():
    cosines = 0.5 * np.eye(T)[None]
    cosines[0, :, 0] = 1 + 0.01 * np.arange(T)  # every ECG step is most like the first CMR step
    assert phase_similarity.share_near_diagonal(cosines) == pytest.approx([2 / T])


def test_participants_without_a_beat_and_second_visits_are_left_out(tmp_path):
    path = write(tmp_path / "a.npz", noise=0.0, people=8)
    stored = dict(np.load(path))
    stored["test_visits"][3] = "9000001_3"  # the second visit of the first participant
    stored["local_valid"][5] = False
    order = np.random.default_rng(0).permutation(8)
    still = stored.pop("cmr_local_still")
    np.savez(
        path, cmr_local_still=still, **{name: values[order] for name, values in stored.items()}
    )
    steps = phase_similarity.read(path)
    assert steps.visits == [f"900000{i}_2" for i in (1, 2, 3, 5, 7, 8)]
    assert steps.num_without_beat == 1
    np.testing.assert_array_equal(steps.ecg[3], stored["ecg_local"][4])


def test_phase_shifts_are_positive_where_the_cine_is_later():
    cosines = np.zeros((2, T, T), np.float32)
    for k in range(T):
        cosines[0, k, k] = 1
        cosines[1, k, min(k + 1, T - 1)] = 1
    np.testing.assert_allclose(phase_similarity.phase_shifts(cosines), [0, (T - 1) / T**2])


def test_correlations_agree_with_numpy_in_every_draw():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 30))
    second += first
    counts = uncertainty.draw_counts(30, draws=20, generator=rng)
    found = phase_similarity.correlations(first, second, counts=counts)
    for draw, value in zip(counts.astype(int), found, strict=True):
        expected = np.corrcoef(np.repeat(first, draw), np.repeat(second, draw))[0, 1]
        assert value == pytest.approx(expected)
    assert np.isnan(phase_similarity.correlations(first, np.ones(30), counts=counts)).all()


def test_a_single_participant_has_no_other_and_is_compared_with_itself(tmp_path):
    steps = phase_similarity.read(write(tmp_path / "a.npz", noise=0.0, people=1))
    shares = phase_similarity.control_shares(steps, generator=np.random.default_rng(0))
    assert shares["other_share"].tolist() == [1.0]


def test_a_control_uses_the_cines_of_the_next_five_participants(tmp_path):
    """Everybody shares the phases with the participant five places on, and with nobody nearer.

    So one of the five is perfect. Where no step is alike, the first is taken for the most similar:
    two of 13 ECG steps are near it.
    """
    rng = np.random.default_rng(0)
    ecg = np.eye(6 * 13).reshape(6, 13, 78)
    cmr = np.roll(ecg, 5, axis=0)  # the CMR of participant i is the ECG of participant i - 5
    visits = [f"{9000001 + i}_2" for i in range(6)]
    steps = phase_similarity.Phases(visits, ecg, cmr, rng.normal(size=(13, 78)), 0)
    shares = phase_similarity.control_shares(steps, generator=rng)
    nothing = 2 / 13
    assert shares["other_share"] == pytest.approx(np.full(6, (1 + 4 * nothing) / 5))
    assert shares["permuted_share"].shape == (6,)
    assert shares["still_share"].shape == (6,)


def test_no_participant_with_a_complete_beat_is_an_error(tmp_path):
    path = write(tmp_path / "a.npz", noise=0.0, people=3)
    with np.load(path) as stored:
        arrays = dict(stored) | {"local_valid": np.zeros(3, bool)}
    np.savez(path, **arrays)
    with pytest.raises(ValueError) as error:
        phase_similarity.read(path)
    assert str(error.value) == (
        f"{path}: no test participant has a complete beat in the ECG crop, so use more participants"
    )


def test_a_shift_of_more_than_half_a_cycle_counts_as_early():
    """Of 13 steps: 6 late is 6, 7 late is 6 early."""
    cosines = np.zeros((2, T, T), np.float32)
    for k in range(T):
        cosines[0, k, (k + 6) % T] = 1
        cosines[1, k, (k + 7) % T] = 1
    np.testing.assert_allclose(phase_similarity.phase_shifts(cosines), [6 / 13, -6 / 13])


def test_steps_of_length_zero_are_like_nothing():
    steps = np.zeros((1, 2, 3), np.float16)
    assert phase_similarity.cosines(steps, steps).tolist() == [[[0, 0], [0, 0]]]
