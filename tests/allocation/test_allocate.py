"""Allocations that follow no budget, and widths that are dealt anew each round."""

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.allocation import budget
from hasa_jax.supernet import costs
from tests.support import small

KEY = jax.random.key(5)
MODEL = small.lstm(hidden=16)
DATA = small.client_data(sizes=(8, 30, 12, 4), kind="lstm")


def allocate(policy, **knobs):
    knobs = {"budgeted": False, "w_max": 1.0} | knobs
    return hj.allocate(DATA, MODEL, policy=policy, scores=np.zeros(4), key=KEY, **knobs)


def unbudgeted(name, **options):
    return hj.UNBUDGETED[name](**options)


def test_full_and_smallest_bound_what_a_budget_can_reach():
    assert allocate(unbudgeted("full")).units.tolist() == [16] * 4
    assert allocate(unbudgeted("smallest"), w_min=0.25).units.tolist() == [4] * 4
    mixed = allocate(unbudgeted("smallest"), capacities=[1, 0.5, 0.25, 1])
    assert mixed.units.tolist() == [4] * 4


def test_exclusive_trains_only_those_who_hold_the_whole():
    allocation = allocate(unbudgeted("exclusive"), capacities=[1, 0.5, 1, 0.25])
    assert allocation.takes_part.tolist() == [True, False, True, False]
    assert allocation.units.tolist() == [16, 8, 16, 4]
    assert allocation.ledger.width == 1
    with pytest.raises(hj.UserError, match="no capacity is 1"):
        allocate(unbudgeted("exclusive"), w_max=0.8)


def test_the_ledger_of_no_budget_tells_what_it_costs():
    ledger = allocate(unbudgeted("levels", levels=[1.0, 0.5])).ledger
    assert np.isnan(ledger.requested)
    assert ledger.width == pytest.approx((38 + 0.5 * 16) / 54)


def test_levels_of_a_budget_unit_are_the_sizes_nearest_in_cost():
    levels = [1.0, 0.25, 0.0625, 0.01]
    extraction = hj.EXTRACTIONS["prefix"]()
    table = costs.cost_table(MODEL, extraction, "params")
    units = allocate(unbudgeted("levels", levels=levels), budget_unit="params").units
    for level, kept in zip(levels, units, strict=True):
        assert abs(table[kept] - level) == np.abs(table[1:] - level).min()
    assert units[0] == 16
    assert (np.diff(units) <= 0).all()
    # Widths go by whole units, as published methods round.
    of_widths = budget.sizes_at(np.array([1.0, 0.3, 0.01]), "width", np.arange(11) / 10)
    assert of_widths.tolist() == [10, 3, 1]
    assert budget.sizes_at(np.array([0.31]), "width", np.arange(11) / 10).tolist() == [4]


@pytest.mark.parametrize(
    ("proportions", "expected"),
    [
        (None, [16, 8, 4, 4]),
        ([1e308] * 3, [16, 8, 4, 4]),
        ([0.5, 0.25, 0.25], [16, 16, 8, 4]),
        ([0, 0, 1], [4] * 4),
    ],
)
def test_fixed_levels_go_by_blocks_and_the_rest_to_the_last(proportions, expected):
    policy = unbudgeted("levels", levels=[1.0, 0.5, 0.25], proportions=proportions)
    assert allocate(policy).units.tolist() == expected


def test_drawn_levels_come_in_their_proportions():
    policy = unbudgeted("levels", levels=[1.0, 0.5], proportions=[3, 1], draw=True)
    allocation = allocate(policy, dynamic=True)
    rounds = np.array([allocation.units_at(round) for round in range(300)])
    assert (rounds == 16).mean() == pytest.approx(0.75, abs=0.05)
    assert len({tuple(row) for row in rounds}) > 5
    np.testing.assert_array_equal(allocation.units_at(7), allocation.units_at(7))
    np.testing.assert_array_equal(allocation.units, allocation.units_at(0))


def test_a_dynamic_policy_keeps_its_budget_in_every_round():
    allocation = allocate(
        hj.POLICIES["random"](), budgeted=True, dynamic=True, w_min=0.2, w_max=0.8, budget=0.5
    )
    q = DATA.num_examples / DATA.num_examples.sum()
    dealt = [allocation.units_at(round) for round in range(20)]
    assert len({tuple(kept) for kept in dealt}) > 1
    for kept in dealt:
        assert 0.45 < q @ kept / 16 <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"levels": []}, "levels must be"),
        ({"levels": [0.5, 2.0]}, "levels must be"),
        ({"levels": [0.5], "proportions": [1, 2]}, "2 proportions for 1 levels"),
        ({"levels": [0.5], "proportions": [0]}, "above 0"),
    ],
)
def test_bad_levels_are_refused(options, match):
    with pytest.raises(hj.UserError, match=match):
        unbudgeted("levels", **options)


def test_single_parameters_have_no_width_budget():
    with pytest.raises(hj.UserError, match="state its budget in params"):
        allocate(hj.POLICIES["uniform"](), budgeted=True, extraction=hj.EXTRACTIONS["importance"]())
