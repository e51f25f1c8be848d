import numpy as np
import pytest
import pywt
from recordings import beat_times, synthetic_mv

from ptacl import config
from ptacl.ecg.denoise import denoise

RNG = np.random.default_rng(7)


def by_hand(lead_mv: np.ndarray, wavelet: config.Wavelet) -> np.ndarray:
    """One lead in double precision, by PyWavelets' own multilevel functions."""
    bands = pywt.wavedec(lead_mv, wavelet.family, mode=wavelet.mode, level=wavelet.level)
    names = [f"A{wavelet.level}", *(f"D{k}" for k in range(wavelet.level, 0, -1))]
    bands = [
        np.zeros_like(b) if name in wavelet.zeroed else b
        for name, b in zip(names, bands, strict=True)
    ]
    return pywt.waverec(bands, wavelet.family, mode=wavelet.mode)[: len(lead_mv)]


@pytest.mark.parametrize("length", [5000, 4999, 3333])
@pytest.mark.parametrize("zeroed", [["A8", "D1", "D2"], ["A8"], ["D1"], ["D3", "D8"], ["A8", "D8"]])
def test_equals_a_loop_over_records_and_leads(
    settings: config.Ecg, zeroed: list[str], length: int
) -> None:
    wavelet = settings.wavelet.model_copy(update={"zeroed": zeroed})
    batch_mv = RNG.normal(size=(2, 3, length))
    expected = [[by_hand(lead, wavelet) for lead in record] for record in batch_mv]
    found = denoise(batch_mv, wavelet=wavelet)
    assert found.dtype == np.float32 and found.shape == batch_mv.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_all_bands_give_the_signal_and_none_gives_nothing(settings: config.Ecg) -> None:
    signal_mv = RNG.normal(size=(2, 5000))
    keep = settings.wavelet.model_copy(update={"zeroed": []})
    np.testing.assert_allclose(denoise(signal_mv, wavelet=keep), signal_mv, atol=1e-5)
    drop = keep.model_copy(update={"zeroed": ["A8", *(f"D{k}" for k in range(1, 9))]})
    assert not denoise(signal_mv, wavelet=drop).any()


def test_is_linear(settings: config.Ecg) -> None:
    first, second = RNG.normal(size=(2, 12, 5000))
    together = denoise(2 * first - 3 * second, wavelet=settings.wavelet)
    apart = 2 * denoise(first, wavelet=settings.wavelet) - 3 * denoise(
        second, wavelet=settings.wavelet
    )
    np.testing.assert_allclose(together, apart, atol=2e-5)


def test_keeps_einthoven(settings: config.Ecg) -> None:
    i, ii, iii = denoise(synthetic_mv(beat_times(70), noise_mv=0.05), wavelet=settings.wavelet)[:3]
    assert np.abs(i + iii - ii).max() < 1e-5  # 1/500 of a count


@pytest.mark.parametrize(
    ("frequency_hz", "low", "high"),
    [
        (0.2, 0, 0.02),
        (0.5, 0, 0.08),
        (10, 0.98, 1.02),
        (20, 0.98, 1.02),
        (80, 0, 0.12),
        (150, 0, 0.01),
    ],
)
def test_gain(settings: config.Ecg, frequency_hz: float, low: float, high: float) -> None:
    phases = np.linspace(0, np.pi, 8, endpoint=False)[:, None]
    waves = np.sin(2 * np.pi * frequency_hz * np.arange(5000) / 500 + phases)
    inside = slice(1000, 4000)  # the ends are extended by reflection
    found = denoise(waves, wavelet=settings.wavelet)
    gain = (found * waves)[:, inside].mean() / (waves**2)[:, inside].mean()
    assert low <= gain <= high


def test_takes_wander_and_leaves_the_beats(settings: config.Ecg) -> None:
    clean_mv = synthetic_mv(beat_times(65))
    wander_mv = 0.8 * np.sin(2 * np.pi * 0.25 * np.arange(5000) / 500)
    shift_mv = denoise(clean_mv + wander_mv, wavelet=settings.wavelet) - denoise(
        clean_mv, wavelet=settings.wavelet
    )
    assert np.abs(shift_mv[:, 500:-500]).max() < 0.05
    ratio = np.ptp(denoise(clean_mv, wavelet=settings.wavelet), axis=1) / np.ptp(clean_mv, axis=1)
    assert ((ratio > 0.9) & (ratio < 1.1)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zeroed": ["A7"]}, "A7"),
        ({"zeroed": ["D9"]}, "D9"),
        ({"zeroed": ["a8"]}, "a8"),
        ({"level": 9, "zeroed": []}, "allow 8 levels"),
        ({"family": "nosuch"}, "nosuch"),
    ],
)
def test_impossible_settings_are_named(
    settings: config.Ecg, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        denoise(np.zeros((12, 5000)), wavelet=settings.wavelet.model_copy(update=change))


def test_the_message_tells_what_would_be_possible(settings: config.Ecg) -> None:
    short = settings.wavelet.model_copy(update={"level": 2, "zeroed": ["A1", "D2", "D3"]})
    with pytest.raises(ValueError) as error:
        denoise(np.zeros((12, 5000)), wavelet=short)
    told = "A1, D3 is not a band of 2 levels; choose from ['A2', 'D1', 'D2']"
    assert str(error.value) == f"wavelet.zeroed: {told}"
    deep = settings.wavelet.model_copy(update={"level": 9, "zeroed": []})
    with pytest.raises(ValueError) as error:
        denoise(np.zeros((12, 5000)), wavelet=deep)
    assert str(error.value) == "wavelet.level: 5000 samples allow 8 levels of db6, not 9"


@pytest.mark.parametrize("mode", ["symmetric", "periodic", "zero"])
@pytest.mark.parametrize("zeroed", [[], ["A3", "D1"], ["D2", "D3"]])
def test_the_ends_are_extended_as_the_settings_say(
    settings: config.Ecg,
    mode: str,
    zeroed: list[str],
) -> None:
    wavelet = settings.wavelet.model_copy(update={"mode": mode, "level": 3, "zeroed": zeroed})
    lead_mv = RNG.normal(size=301) + 5
    np.testing.assert_allclose(
        denoise(lead_mv, wavelet=wavelet),
        by_hand(lead_mv, wavelet),
        atol=1e-5,
    )
