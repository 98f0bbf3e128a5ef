"""Exchanges of units between two clients."""

import numpy as np

from hasa_jax.allocation.exchange import exchange_units

COSTS = np.arange(11) / 10


def exchanged(sizes, q, target, least=2, most=8, costs=COSTS):
    sizes = np.array(sizes)
    exchange_units(sizes, least, np.full(len(sizes), most), np.array(q), costs, target)
    return sizes.tolist()


def test_a_large_client_gets_a_unit_for_those_of_a_small_one():
    # The small client is at its cap, and .062 is left. A unit of the large one costs .07, so the
    # small one gives three of .003.
    assert exchanged([4, 8], [0.7, 0.03], 0.28 + 0.024 + 0.062) == [5, 5]
    assert exchanged([4, 8], [0.7, 0.2], 0.28 + 0.16 + 0.05) == [5, 7]


def test_little_is_left_as_it_is():
    assert exchanged([4, 8], [0.7, 0.3], 0.28 + 0.24 + 0.005) == [4, 8]
    # No exchange leaves less.
    assert exchanged([4, 8], [0.5, 0.5], 0.6 + 0.02) == [4, 8]


def test_the_fewest_units_are_taken_back():
    # .06 is wanted, and .05 is left: of the client of .01, ten units; of that of .1, one.
    assert exchanged([4, 8, 8], [0.6, 0.1, 0.015], 0.24 + 0.08 + 0.012 + 0.05) == [5, 7, 8]


def test_bounds_and_the_budget_hold_at_random():
    rng = np.random.default_rng(0)
    helped = 0
    for _ in range(200):
        q = rng.dirichlet(np.full(5, 0.5)) + 1e-3
        costs = np.concatenate([[0], np.cumsum(rng.random(10))])
        sizes = rng.integers(2, 9, 5)
        target = float(q @ costs[sizes]) + 0.05 * rng.random()
        found = np.array(exchanged(sizes, q, target, costs=costs))
        assert (found >= 2).all()
        assert (found <= 8).all()
        spent = float(q @ costs[found])
        assert float(q @ costs[sizes]) - 1e-9 <= spent <= target + 1e-9
        helped += spent > float(q @ costs[sizes]) + 1e-9
    assert helped > 20
