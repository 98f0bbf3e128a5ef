"""Groups of sizes against all the groups that there are."""

import itertools

import numpy as np
import pytest

from hasa_jax.supernet.buckets import consecutive_groups


def total(costs, counts, ends):
    """What sizes cost that run at the last size of their group."""
    return sum(
        count * costs[ends[np.searchsorted(ends, size)]] for size, count in enumerate(counts)
    )


def test_groups_are_the_cheapest_that_any_cut_makes():
    generator = np.random.default_rng(2)
    for _ in range(20):
        costs = np.sort(generator.random(7))
        counts = generator.integers(0, 9, size=7)
        every = [[*cut, 6] for cut in itertools.combinations(range(6), 2)]
        found = total(costs, counts, consecutive_groups(costs, counts, 3))
        assert found == pytest.approx(min(total(costs, counts, ends) for ends in every))


def test_few_sizes_have_groups_of_their_own():
    assert consecutive_groups(np.arange(1.0, 3), np.array([4, 4]), 5) == [0, 1]


def test_groups_are_added_until_they_cost_little_enough():
    costs, counts = np.arange(1.0, 7), np.full(6, 2)
    assert consecutive_groups(costs, counts, 1) == [5]
    assert consecutive_groups(costs, counts, 1, within=1.0) == list(range(6))
    # Every size in a group of its own costs 42; two groups cost 2 (3 * 3 + 3 * 6) = 54 at least.
    assert consecutive_groups(costs, counts, 1, within=54 / 42) == [2, 5]
    assert consecutive_groups(costs, counts, 1, within=53 / 42) == [1, 3, 5]
