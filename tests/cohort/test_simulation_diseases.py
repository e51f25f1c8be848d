"""Diseases of simulated people: their frequency, their causes, and their dates in the tables."""

import datetime
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ptacl.cohort import date_tables, outcomes
from ptacl.cohort.simulation import causes, diseases, tables
from ptacl.config import SIMULATED_DISEASES, SIMULATED_ENDS, Outcomes

NUM = 20_000


@pytest.fixture(scope="module")
def population() -> causes.Causes:
    return causes.draw(np.random.default_rng(0), size=(NUM,))


@pytest.fixture(scope="module")
def onsets(population: causes.Causes) -> dict[str, causes.Array]:
    rng = np.random.default_rng(1)
    return diseases.onset_ages(population, rng, incidence=1, alive_at=population.age)


def test_configuration_names_the_fields_that_are_written() -> None:
    assert {d.name: d.fields for d in SIMULATED_DISEASES} == {
        name: [number] for name, number in diseases.FIELDS.items()
    }


# UK Biobank: 825 of 49,293 with AF within 5 years of imaging, and 243 of 31,740 with HF
@pytest.mark.parametrize(("name", "published"), [("AF", 825 / 49293), ("HF", 243 / 31740)])
def test_incidence_is_about_that_of_uk_biobank(
    population: causes.Causes, onsets: dict[str, causes.Array], name: str, published: float
) -> None:
    years = onsets[name] - population.age
    risk = np.mean(years[years > 0] < 5)
    assert risk == pytest.approx(published, rel=0.15)


def test_the_dead_are_not_imaged(
    population: causes.Causes, onsets: dict[str, causes.Array]
) -> None:
    assert (onsets[diseases.DEATH] > population.age).all()
    assert 0.01 < np.mean(onsets[diseases.DEATH] - population.age < 5) < 0.05


def test_hazards_grow_as_published(population: causes.Causes) -> None:
    worse = replace(population, esv_ml=population.esv_ml + 0.1 * population.edv_ml)
    change = diseases.log_hazards(worse)["HF"] - diseases.log_hazards(population)["HF"]
    np.testing.assert_allclose(change, np.log(2.13))
    higher = replace(population, atrial=population.atrial + 1)
    change = diseases.log_hazards(higher)["AF"] - diseases.log_hazards(population)["AF"]
    np.testing.assert_allclose(change, np.log(1.8))


def test_onset_follows_the_clock(population: causes.Causes) -> None:
    """The cumulative hazard at the onset is exponential, with mean and SD of 1."""
    rng = np.random.default_rng(5)
    ages = diseases.onset_ages(population, rng, incidence=3, alive_at=population.age)["AF"]
    slope = np.log(1.65) / 5
    hazard = 3 * 0.0016 * np.exp(diseases.log_hazards(population)["AF"])
    passed = hazard / slope * (np.exp(slope * (ages - 64)) - np.exp(slope * (40 - 64)))
    assert passed.mean() == pytest.approx(1, abs=0.03) and passed.std() == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize(
    "convention", ["ukbconv.csv", "r.tab", "table_exporter.csv", "dataset.csv"]
)
def test_every_convention_is_read_as_it_was_drawn(tmp_path, convention: str) -> None:
    people, ages = 1500, {2: 60.5, 3: 63.0}
    rows, histories = {}, {}
    for k in range(people):
        rng = np.random.default_rng(k)
        person, first = str(9_000_001 + k), causes.draw(rng, size=())
        histories[person] = diseases.draw(first, rng, ages=ages, incidence=8)
        rows[person] = dict(histories[person].cells)
    tables.write_tables(tmp_path, rows, instances=(2, 3))
    settings = Outcomes(
        diseases=SIMULATED_DISEASES,
        follow_up_ends=SIMULATED_ENDS,
        horizon_years=5,
        least_events=20,
        baseline=None,
    )
    dates = date_tables.read([tmp_path / convention], fields=diseases.FIELDS.values())
    visits = [f"{person}_2" for person in rows]
    table, counts = outcomes.of_visits(visits, dates, settings)
    assert dates.unreadable == 0 and counts["without a date"] == 0
    assert counts["AF"]["before"] > 10 and counts["AF"]["after"] > 10
    assert 0 < counts["Hypertension"]["date unknown"] < 0.03 * people
    assert counts["AF"]["followed"] < people - counts["AF"]["before"]  # Wales
    for row, (person, history) in zip(table.to_dict("records"), histories.items(), strict=True):
        cell = history.cells.get(("AF", 0), "")
        if cell[:2] != "20" or person not in history.visits:
            continue
        early = datetime.date.fromisoformat(cell) <= history.visits[2]
        assert row["AF before"] == float(early)


def test_dates_are_in_order() -> None:
    for k in range(300):
        rng = np.random.default_rng(k)
        first = causes.draw(rng, size=())
        history = diseases.draw(first, rng, ages={2: 70.2, 3: 73.0}, incidence=8)
        days = (history.visits[3] - history.visits[2]).days
        assert abs(days - 2.8 * 365.25) < 2
        died = history.cells.get((diseases.DEATH, 0))
        real = [history.cells.get((name, 0), "") for name in diseases.FIELDS]
        real = [cell for cell in real if cell > "1910" and cell < "2037"]
        assert all(cell <= "2023-06-30" for cell in real)
        if died:
            assert died >= history.visits[3].isoformat() and all(cell <= died for cell in real)
            assert history.cells.get(("lost", 0), "") < died


def test_special_dates_losses_and_nations_have_their_shares() -> None:
    cells = []
    for k in range(3000):
        rng = np.random.default_rng(k)
        cells.append(
            diseases.draw(causes.draw(rng, size=()), rng, ages={2: 75.0}, incidence=1).cells
        )
    table = pd.DataFrame(cells)
    recorded = table["Hypertension", 0].dropna()
    special = recorded.isin(
        ["1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "1909-09-09", "2037-07-07"]
    )
    assert special.mean() == pytest.approx(0.02, abs=0.01)
    assert table["lost", 0].notna().mean() == pytest.approx(0.01, abs=0.005)
    shares = table["centre", 0].value_counts(normalize=True)
    assert shares["11003"] == pytest.approx(0.05, abs=0.015)
    assert shares["11004"] == pytest.approx(0.08, abs=0.015)
