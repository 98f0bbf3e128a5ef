"""Published levels: in blocks or drawn, in every unit of the budget."""

import jax
import numpy as np
import pytest

from hasa_jax.allocation import BudgetSpec, allocate
from hasa_jax.allocation.policies import levels
from hasa_jax.base import UserError
from hasa_jax.extraction import prefix
from hasa_jax.supernet import costs
from tests.support import small

KEY = jax.random.key(5)
MODEL = small.lstm(hidden=16)
DATA = small.client_data(sizes=(8, 30, 12, 4), kind="lstm")


def allocated(policy, unit="width"):
    return allocate(DATA, MODEL, policy=policy, key=KEY, budget=BudgetSpec(unit=unit))


def test_levels_of_a_budget_unit_are_the_sizes_nearest_in_cost():
    fractions = [1.0, 0.25, 0.0625, 0.01]
    table = costs.cost_table(MODEL, prefix(), "params")
    sizes = allocated(levels(fractions), "params").sizes
    for fraction, size in zip(fractions, sizes, strict=True):
        assert abs(table[size] - fraction) == np.abs(table[1:] - fraction).min()
    assert sizes[0] == 16
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize(
    ("proportions", "expected"),
    [
        (None, [16, 8, 4, 4]),
        ([1e308] * 3, [16, 8, 4, 4]),
        ([0.5, 0.25, 0.25], [16, 16, 8, 4]),
        ([0, 0, 1], [4] * 4),
    ],
)
def test_levels_go_to_blocks_of_clients_and_the_last_one_to_the_rest(proportions, expected):
    policy = levels([1.0, 0.5, 0.25], proportions)
    assert allocated(policy).sizes.tolist() == expected


def test_drawn_levels_occur_in_their_proportions():
    allocation = allocated(levels([1.0, 0.5], [3, 1], dynamic=True))
    rounds = np.array([allocation.sizes_at(round) for round in range(300)])
    assert (rounds == 16).mean() == pytest.approx(0.75, abs=0.05)
    assert len({tuple(sizes) for sizes in rounds}) > 5
    np.testing.assert_array_equal(allocation.sizes_at(7), allocation.sizes_at(7))
    np.testing.assert_array_equal(allocation.sizes, allocation.sizes_at(0))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"levels": []}, "levels` must be"),
        ({"levels": [0.5, 2.0]}, "levels` must be"),
        ({"levels": [0.5], "proportions": [1, 2]}, "2 proportions for 1 levels"),
        ({"levels": [0.5], "proportions": [0]}, "above 0"),
    ],
)
def test_bad_levels_are_refused(options, match):
    with pytest.raises(UserError, match=match):
        levels(**options)
