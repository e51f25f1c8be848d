import math

import pytest

from ptacl.learning import chance


def row(**terms):
    """Losses as shares of chance, ln 32 and ln 13, of training and validation."""
    out = {"epoch": 1.0, "train_loss": 3.0}
    for name, share in terms.items():
        split, _, term = name.partition("_")
        level = math.log(32 if term == "global" else 13)
        out |= {name: share * level, f"{split}_{term}_chance": level}
    return out


def test_a_collapsed_term_is_named_and_a_learned_one_is_not():
    collapsed = row(train_global=0.999, train_local=0.9, validation_global=0.998, validation_local=0.91)
    assert chance.at_chance(collapsed) == ["global"]
    (warning,) = chance.warnings(collapsed)
    assert "global loss is all but that of guessing" in warning and "learning rate" in warning
    assert chance.at_chance(row(train_global=0.9, validation_global=0.95)) == []


def test_validation_counts_where_there_is_one():
    assert chance.at_chance(row(train_global=0.5, validation_global=1.2)) == ["global"]
    assert chance.at_chance(row(train_global=0.5) | {"validation_global": math.nan}) == []


def test_other_objectives_have_no_chance_level():
    assert chance.at_chance({"epoch": 1.0, "train_loss": 1.0, "validation_loss": 1.0}) == []


@pytest.mark.parametrize(("share", "stuck"), [(0.9971, True), (0.9969, False)])
def test_the_margin_is_three_in_a_thousand(share, stuck):
    assert bool(chance.at_chance(row(validation_local=share, train_local=1.0))) == stuck
