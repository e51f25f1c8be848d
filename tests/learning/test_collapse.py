import math

import pytest
import torch

from ptacl.learning import collapse, losses


def row(**terms):
    """Losses as shares of chance, ln 32 and ln 13, of training and validation."""
    out = {"epoch": 1.0, "train_loss": 3.0}
    for name, share in terms.items():
        split, _, term = name.partition("_")
        level = math.log(32 if term == "global" else 13)
        out |= {name: share * level, f"{split}_{term}_chance": level}
    return out


def test_a_collapsed_term_is_named_and_a_learned_one_is_not():
    collapsed = row(
        train_global=0.999, train_local=0.9, validation_global=0.998, validation_local=0.91
    )
    assert collapse.at_chance(collapsed, {}) == ["global"]
    (warning,) = collapse.warnings(collapsed, {})
    assert "the global loss is only 0.2 % below that of guessing" in warning
    assert "learning rate" in warning
    assert collapse.at_chance(row(train_global=0.9, validation_global=0.95), {}) == []


def test_validation_counts_where_there_is_one():
    assert collapse.at_chance(row(train_global=0.5, validation_global=1.2), {}) == ["global"]
    assert collapse.at_chance(row(train_global=0.5) | {"validation_global": math.nan}, {}) == []


def test_other_objectives_have_no_chance_level():
    assert collapse.at_chance({"epoch": 1.0, "train_loss": 1.0, "validation_loss": 1.0}, {}) == []


@pytest.mark.parametrize(("share", "stuck"), [(0.9971, True), (0.9969, False)])
def test_a_global_loss_is_judged_by_that_of_guessing(share, stuck):
    assert bool(collapse.at_chance(row(validation_global=share, train_global=1.0), {})) == stuck


@pytest.mark.parametrize(("below_chance", "stuck"), [(0.0086, True), (0.024, True), (0.025, False)])
def test_a_local_loss_is_judged_by_what_it_can_reach(below_chance, stuck):
    """0.86 % below chance is 3.5 % of the range between ln 13 and 1.933."""
    lowest = {"local": collapse.local_floor(13, sigma=0.1, temperature=1.0, direction_weight=0.5)}
    found = row(validation_local=1 - below_chance, train_local=1.0)
    assert bool(collapse.at_chance(found, lowest)) == stuck
    share = below_chance * math.log(13) / (math.log(13) - lowest["local"])
    assert collapse.learned(found, "local", lowest) == pytest.approx(share)
    if stuck:
        (warning,) = collapse.warnings(found, lowest)
        assert (
            f"the local loss went {100 * share:.1f} % of the way from guessing to its "
            "lowest possible value" in warning
        )


@pytest.mark.parametrize(
    ("sigma", "temperature", "lowest"),
    [(0.1, 1.0, 1.933), (0.1, 0.1, 1.541), (0.0, 1.0, 1.622), (0.0, 0.07, 0.0)],
)
def test_the_floor_of_thirteen_phases(sigma, temperature, lowest):
    found = collapse.local_floor(13, sigma=sigma, temperature=temperature, direction_weight=0.5)
    assert found == pytest.approx(lowest, abs=6e-4)


def test_centred_phases_reach_the_same_floor():
    lowest = collapse.local_floor(5, sigma=0.1, temperature=0.1, direction_weight=0.5)
    alignment = losses.alignment_matrix(5, sigma=0.1)
    embedding = torch.randn(2, 1, 5, 10, generator=torch.Generator().manual_seed(0))
    embedding.requires_grad_()
    optimizer = torch.optim.LBFGS([embedding], max_iter=500, line_search_fn="strong_wolfe")
    how = {"alignment": alignment, "temperature": 0.1, "direction_weight": 0.5}

    def loss():
        optimizer.zero_grad()
        centred = embedding - embedding.mean(dim=2, keepdim=True)
        value = losses.local_loss(*centred, valid_B=torch.ones(1, dtype=torch.bool), **how)
        value.backward()
        return value

    optimizer.step(loss)
    assert loss().item() == pytest.approx(lowest, abs=1e-3)


@pytest.mark.parametrize("phases", [2, 5])
def test_one_to_one_the_floor_is_that_of_a_simplex(phases):
    """The other phases are as far away as they can all be at once: their cosine is -1 / (T - 1)."""
    gap = (1 + 1 / (phases - 1)) / 0.5
    expected = math.log(1 + (phases - 1) * math.exp(-gap))
    found = collapse.local_floor(phases, sigma=0.0, temperature=0.5, direction_weight=0.3)
    assert found == pytest.approx(expected, abs=1e-6)


def test_no_embedding_is_below_the_floor():
    lowest = collapse.local_floor(5, sigma=0.1, temperature=0.3, direction_weight=0.5)
    alignment = losses.alignment_matrix(5, sigma=0.1)
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(1, dtype=torch.bool)
    how = {"alignment": alignment, "temperature": 0.3, "direction_weight": 0.5, "valid_B": valid}
    for _ in range(50):
        ecg, cmr = torch.randn(2, 1, 5, 40, generator=generator, dtype=torch.float64)
        near = ecg + 0.2 * cmr
        assert losses.local_loss(ecg, near, **how).item() > lowest


def test_only_the_infonce_of_phases_has_a_floor(entries, inputs):
    sizes = inputs()
    assert collapse.floors(entries["ecg"], inputs("ecg")) == {}
    assert collapse.floors(entries["cosine"], sizes) == {}
    assert collapse.floors(entries["ptacl"].model_copy(update={"local": None}), sizes) == {}
    local = entries["ptacl"].local
    how = {"temperature": local.temperature, "direction_weight": 0.5}
    assert collapse.floors(entries["ptacl"], sizes)["local"] == collapse.local_floor(
        3, sigma=0.1, **how
    )
    assert collapse.floors(entries["edes"], sizes)["local"] == collapse.local_floor(
        2, sigma=0.0, **how
    )
