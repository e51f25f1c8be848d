"""Who the simulated participants are, and how much of it an ECG can tell."""

from dataclasses import fields

import numpy as np
import pytest

from ptacl.cohort.simulation import causes, cycle, electrical
from ptacl.cohort.simulation.ceiling import ceiling
from ptacl.cohort.simulation.nuisance import ECG, TABLE, MeasurementNoise

SHARE = electrical.TIMING["default"]


@pytest.fixture(scope="module")
def population() -> causes.Causes:
    return causes.draw(np.random.default_rng(0), size=(8000,))


# mean by sex of the UK Biobank reference ranges (Petersen et al. 2017); the simulated cohort also
# holds ill people
@pytest.mark.parametrize(
    ("name", "men", "women"),
    [
        ("LVEDV", 166, 124),
        ("LVESV", 69, 49),
        ("LVEF", 58, 61),
        ("LVM", 103, 70),
        ("RVEDV", 182, 130),
        ("RVESV", 85, 55),
        ("RVEF", 54, 58),
    ],
)
def test_means_follow_the_reference_ranges(
    population: causes.Causes, name: str, men: float, women: float
) -> None:
    values = causes.phenotypes(population)[name]
    male = population.male == 1
    assert np.mean(values[male]) == pytest.approx(men, rel=0.09)
    assert np.mean(values[~male]) == pytest.approx(women, rel=0.09)


def test_body_size_carries_over_to_the_heart(population: causes.Causes) -> None:
    values = causes.phenotypes(population)
    assert 0.5 < np.corrcoef(population.bsa, values["LVEDV"])[0, 1] < 0.8
    assert 0.6 < np.corrcoef(values["LVEDV"], values["LVM"])[0, 1] < 0.9
    assert 0.4 < np.corrcoef(values["LVEF"], values["RVEF"])[0, 1] < 0.8
    assert np.corrcoef(values["LVEDV"], values["LVEF"])[0, 1] < -0.2


def test_both_tails_are_heavy_with_disease(population: causes.Causes) -> None:
    values = causes.phenotypes(population)
    for name, sign in (("LVEF", -1), ("LVM", 1), ("LVEDV", 1)):
        standard = sign * (values[name] - values[name].mean()) / values[name].std()
        assert np.mean(standard > 3) > 2 * 0.00135, name


def test_identities_hold_with_and_without_measurement_noise(population: causes.Causes) -> None:
    for values in (
        causes.phenotypes(population),
        causes.measure(population, np.random.default_rng(1), noise=TABLE),
    ):
        for side in ("LV", "RV"):
            np.testing.assert_allclose(
                values[f"{side}SV"], values[f"{side}EDV"] - values[f"{side}ESV"], rtol=1e-12
            )
            np.testing.assert_allclose(
                values[f"{side}EF"], 100 * values[f"{side}SV"] / values[f"{side}EDV"], rtol=1e-12
            )
        np.testing.assert_allclose(
            values["LVCO"], values["LVSV"] * population.heart_rate_bpm / 1000, rtol=1e-12
        )
        assert (values["LVESV"] > 0).all() and (values["RVSV"] > 0).all()


def test_measurement_noise_has_the_size_asked_for(population: causes.Causes) -> None:
    exact = causes.phenotypes(population)
    noisy = causes.measure(
        population,
        np.random.default_rng(1),
        noise=MeasurementNoise(lv_volume=0.05, rv_volume=0.0, mass=0.02),
    )
    assert np.std(np.log(noisy["LVEDV"] / exact["LVEDV"])) == pytest.approx(0.05, rel=0.05)
    assert np.std(np.log(noisy["LVM"] / exact["LVM"])) == pytest.approx(0.02, rel=0.05)
    np.testing.assert_array_equal(noisy["RVEDV"], exact["RVEDV"])


def test_filling_empties_once_and_returns(population: causes.Causes) -> None:
    for k in range(300):
        rr = 60000 / population.heart_rate_bpm[k]
        time_ms = np.linspace(0, rr, 400)
        share = cycle.filling(
            time_ms,
            delay_ms=population.ejection_delay_ms[k],
            systole_ms=population.systole_ms[k],
            rr_ms=rr,
            early=cycle.early_share(population.age[k]),
        )
        assert (
            share[0] == 1
            and share[-1] == pytest.approx(1, abs=0.02)
            and share.min() >= 0
            and share.max() <= 1
        )
        assert time_ms[share.argmin()] == pytest.approx(population.systole_ms[k], abs=0.08 * rr)
        fall = time_ms < population.systole_ms[k]
        assert (np.diff(share[fall]) <= 1e-12).all() and (np.diff(share[~fall]) >= -1e-12).all()


def at_one_rate(rate_bpm: causes.Array, interval_ms: causes.Array) -> causes.Array:
    return np.asarray(interval_ms - np.polyval(np.polyfit(rate_bpm, interval_ms, 1), rate_bpm))


def test_ecg_and_cine_share_the_length_of_systole(population: causes.Causes) -> None:
    activity = electrical.draw(population, np.random.default_rng(2), nuisance=ECG, share=SHARE)
    assert np.corrcoef(activity.qt_ms, population.systole_ms)[0, 1] > 0.8
    residual = activity.qt_ms - np.polyval(
        np.polyfit(activity.rate_bpm, activity.qt_ms, 1), activity.rate_bpm
    )
    systole = population.systole_ms - np.polyval(
        np.polyfit(population.heart_rate_bpm, population.systole_ms, 1), population.heart_rate_bpm
    )
    assert np.corrcoef(residual, systole)[0, 1] > 0.5  # also at a given heart rate


@pytest.mark.parametrize(
    ("cause", "effect", "sign"),
    [
        ("mass_g", "voltage_log", 1),
        ("mass_g", "qrs_ms", 1),
        ("edv_ml", "qrs_ms", 1),
        ("esv_ml", "p_ms", 1),
        ("heart_rate_bpm", "qt_ms", -1),
    ],
)
def test_physiology_has_the_right_sign(
    population: causes.Causes, cause: str, effect: str, sign: int
) -> None:
    activity = electrical.draw(population, np.random.default_rng(2), nuisance=ECG, share=SHARE)
    assert sign * np.corrcoef(getattr(population, cause), getattr(activity, effect))[0, 1] > 0.15


def test_axis_follows_the_ratio_of_the_ventricles(population: causes.Causes) -> None:
    activity = electrical.draw(population, np.random.default_rng(2), nuisance=ECG, share=SHARE)
    assert np.corrcoef(population.rv_edv_ml / population.edv_ml, activity.axis_deg)[0, 1] > 0.15


def test_ceiling_is_sensible_and_stable() -> None:
    found = ceiling(0, timing="default")
    assert set(found) == set(causes.PHENOTYPES)
    assert all(0.2 < value < 0.9 for value in found.values())
    assert min(found["LVM"], found["LVEDV"]) > max(
        found["LVEF"], found["RVEF"]
    )  # function is harder than size
    other = ceiling(1, timing="default")
    assert np.mean(list(found.values())) == pytest.approx(np.mean(list(other.values())), abs=0.03)


def explained(target: causes.Array, *by: causes.Array) -> float:
    """Return the R² of least squares."""
    design = np.stack([*by, np.ones_like(target)], axis=1)
    residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return float(1 - residual.var() / target.var())


@pytest.mark.parametrize("level", electrical.TIMING)
def test_a_known_share_of_the_timing_comes_from_the_delay(
    population: causes.Causes, level: str
) -> None:
    share = electrical.TIMING[level]
    activity = electrical.draw(population, np.random.default_rng(2), nuisance=ECG, share=share)
    delay = population.ejection_delay_ms
    assert explained(activity.t_onset_ms, delay) == pytest.approx(share, abs=0.02)
    assert activity.t_onset_ms.std() == pytest.approx(10, rel=0.03)  # the same at each level
    size = (np.log(population.mass_g), np.log(population.edv_ml), population.male)
    beyond_size = activity.qrs_ms - 18 * size[0] - 14 * size[1] - 3 * size[2]
    assert explained(beyond_size, delay) == pytest.approx(share, abs=0.03)
    assert beyond_size.std() == pytest.approx(6, rel=0.05)


def test_the_level_of_timing_changes_nothing_else(population: causes.Causes) -> None:
    none, strong = (
        electrical.draw(
            population, np.random.default_rng(2), nuisance=ECG, share=electrical.TIMING[level]
        )
        for level in ("none", "strong")
    )
    changed = {
        f.name for f in fields(none) if (getattr(none, f.name) != getattr(strong, f.name)).any()
    }
    assert changed == {"qrs_ms", "t_onset_ms"}


def test_the_ceiling_rises_with_the_level_of_timing() -> None:
    means = [np.mean(list(ceiling(0, timing=level).values())) for level in electrical.TIMING]
    assert means[0] + 0.003 < means[1] < means[2] - 0.02
