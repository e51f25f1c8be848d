import numpy as np
import pytest
import torch
from augmented import QUIET_ECG, apply_cmr, apply_ecg, draw_cmr, draw_ecg

from ptacl.learning import augment, draws


@pytest.fixture
def signal():
    return torch.randn(6, 12, 500, generator=torch.Generator().manual_seed(0))


def test_ecg_zero_strength_is_identity(ecg_augmentation, signal):
    quiet = ecg_augmentation.model_copy(update=QUIET_ECG)
    assert torch.equal(apply_ecg(quiet, signal, range(6)), signal)
    assert not draw_ecg(quiet, range(50)).start_B.any()
    never = ecg_augmentation.model_copy(update={"probability": 0.0})
    assert torch.equal(apply_ecg(never, signal, range(6)), signal)


@pytest.mark.parametrize("name", ["surrogate_magnitude", "jitter", "rescaling"])
def test_each_ecg_strength_alone_changes_the_record(ecg_augmentation, signal, name):
    settings = ecg_augmentation.model_copy(update=QUIET_ECG | {name: 0.1})
    out = apply_ecg(settings, signal, range(6))
    assert not torch.isclose(out, signal).all((1, 2)).any()


def test_same_seed_same_result_whatever_the_batch(
    ecg_augmentation, cmr_augmentation, signal, frames
):
    for apply, settings, batch in (
        (apply_ecg, ecg_augmentation, signal),
        (apply_cmr, cmr_augmentation, frames),
    ):
        whole = apply(settings, batch, range(6))
        assert torch.equal(whole, apply(settings, batch, range(6)))
        order = [4, 0, 3]
        assert torch.allclose(apply(settings, batch[order], order), whole[order], atol=1e-6)
        assert not torch.allclose(apply(settings, batch, range(6), epoch=2), whole)
        assert not torch.allclose(apply(settings, batch, range(6), seed=1), whole)
    parts = [draw_cmr(cmr_augmentation, [s]).frame_BT[0] for s in range(6)]
    assert np.array_equal(draw_cmr(cmr_augmentation, range(6)).frame_BT, parts)
    starts = [draw_ecg(ecg_augmentation, [s]).start_B[0] for s in range(6)]
    assert np.array_equal(draw_ecg(ecg_augmentation, range(6)).start_B, starts)


def test_surrogate_and_rescaling_keep_einthoven(ecg_augmentation, signal):
    limb = signal[:, :2]
    i, ii = limb[:, 0], limb[:, 1]
    record = torch.stack([i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2], 1)
    settings = ecg_augmentation.model_copy(
        update={"jitter": 0.0, "probability": 1.0, "surrogate_magnitude": 1.0}
    )
    out = apply_ecg(settings, record, range(6))
    assert not torch.allclose(out, record, atol=0.1)
    assert torch.allclose(out[:, 2], out[:, 1] - out[:, 0], atol=1e-5)
    assert torch.allclose(out[:, 3:6].sum(1), torch.zeros(6, 500), atol=1e-5)


def test_surrogate_keeps_amplitudes_mean_and_nyquist(signal):
    phase = torch.rand(6, 251) * 6
    before, after = (torch.fft.rfft(x.double()) for x in (signal, augment.surrogate(signal, phase)))
    assert torch.allclose(before.abs(), after.abs(), atol=1e-4)
    assert torch.allclose(before[..., [0, -1]], after[..., [0, -1]], atol=1e-4)
    turned = before[..., 1:-1] * torch.polar(torch.ones(6, 1, 249), phase[:, None, 1:-1])
    assert torch.allclose(after[..., 1:-1], turned, atol=1e-4)


def synthetic_ecg(rate_hz=500, beats=(300, 720, 1110, 1540, 1950, 2300)):
    """P wave, QRS and T wave of made-up size around known R-peaks."""
    time = np.arange(2500)
    signal = np.zeros(2500)
    for r in beats:
        for shift_s, width_s, height_mv in (
            (-0.16, 0.02, 0.12),
            (-0.025, 0.008, -0.1),
            (0, 0.01, 1.0),
            (0.03, 0.01, -0.2),
            (0.28, 0.05, 0.3),
        ):
            signal += height_mv * np.exp(-0.5 * ((time - r) / rate_hz - shift_s) ** 2 / width_s**2)
    return torch.tensor(signal, dtype=torch.float32), beats


@pytest.mark.parametrize("magnitude, kept", [(0.075, True), (1.0, False)])
def test_surrogate_of_usual_strength_moves_no_r_peak_by_10_ms(ecg_augmentation, magnitude, kept):
    signal, beats = synthetic_ecg()
    settings = ecg_augmentation.model_copy(update=QUIET_ECG | {"surrogate_magnitude": magnitude})
    out = apply_ecg(settings, signal.expand(20, 1, 2500), range(20))[:, 0].numpy()
    shift_ms = [2 * abs(int(np.argmax(row[r - 40 : r + 41])) - 40) for row in out for r in beats]
    assert (max(shift_ms) < 10) == kept


def test_jitter_is_multiplicative(ecg_augmentation):
    settings = ecg_augmentation.model_copy(update=QUIET_ECG | {"jitter": 0.25})
    signal = torch.ones(4, 12, 2000)
    signal[:, :, :1000] = 0
    out = apply_ecg(settings, signal, range(4))
    assert not out[:, :, :1000].any()
    assert out[:, :, 1000:].std((1, 2)).numpy() == pytest.approx(0.6 * 0.25, rel=0.05)
    assert out.mean((1, 2)).numpy() == pytest.approx(0.5, abs=0.01)


def test_rescaling_is_one_factor_a_record(ecg_augmentation, signal):
    settings = ecg_augmentation.model_copy(update=QUIET_ECG | {"rescaling": 0.2})
    ratio = apply_ecg(settings, signal, range(6)) / signal
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-4)
    factors = draw_ecg(settings, range(1000)).factor_B
    assert factors.mean() == pytest.approx(1, abs=0.02) and factors.std() == pytest.approx(
        0.2, rel=0.1
    )


def test_share_of_augmented_records_is_the_probability(ecg_augmentation, cmr_augmentation):
    ecg = draw_ecg(ecg_augmentation.model_copy(update={"probability": 0.3}), range(1000))
    cmr = draw_cmr(
        cmr_augmentation.model_copy(update={"probability": 0.3, "flip_probability": 0.0}),
        range(1000),
    )
    assert [len(ecg.surrogate), len(ecg.jitter)] == pytest.approx([300, 300], abs=60)
    assert [
        m.sum() for m in (cmr.moved_B, cmr.coloured_B, cmr.blurred_B, cmr.noisy_B)
    ] == pytest.approx([300] * 4, abs=60)
    assert (ecg.factor_B != 1).mean() == pytest.approx(0.3, abs=0.06)


def test_crop_starts_cover_all_places(ecg_augmentation):
    starts = draw_ecg(ecg_augmentation, range(500), spare=9).start_B
    assert set(starts) == set(range(10))


def test_rescaling_never_changes_the_sign_and_is_as_often_up_as_down(ecg_augmentation):
    """At the strength of the paper's configuration a normal factor would turn one record in fifty
    upside down.
    """
    settings = ecg_augmentation.model_copy(update={"rescaling": 0.5, "probability": 1.0})
    draw = draws.draw_ecg(range(4000), settings=settings, seed=1, epoch=0, spare=0)
    assert draw.factor_B.min() > 0
    logarithm = np.log(draw.factor_B)
    assert abs(logarithm.mean()) < 0.03
    assert logarithm.std() == pytest.approx(0.5, abs=0.02)
