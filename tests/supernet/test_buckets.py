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


@pytest.mark.parametrize("each", [0.0, 0.3, 2.0, 50.0])
def test_groups_are_the_cheapest_that_any_cut_makes(each):
    generator = np.random.default_rng(2)
    for _ in range(20):
        costs = np.sort(generator.random(7))
        counts = generator.integers(0, 9, size=7)
        cuts = [cut for size in range(7) for cut in itertools.combinations(range(6), size)]
        every = [[*cut, 6] for cut in cuts]
        ends = consecutive_groups(costs, counts, each, 7)
        found = total(costs, counts, ends) + each * len(ends)
        assert found == pytest.approx(min(total(costs, counts, e) + each * len(e) for e in every))


def test_groups_are_no_more_than_the_most():
    costs, counts = np.arange(1.0, 7), np.full(6, 2)
    assert consecutive_groups(costs, counts, 0.0, 6) == list(range(6))
    # Every size in a group of its own costs 42; two groups cost 2 (3 * 3 + 3 * 6) = 54 at least.
    assert consecutive_groups(costs, counts, 0.0, 2) == [2, 5]
    assert consecutive_groups(costs, counts, 0.0, 3) == [1, 3, 5]


def test_a_group_is_made_where_it_saves_more_than_it_costs():
    costs, counts = np.arange(1.0, 7), np.full(6, 2)
    # One group costs 72, and the second of them saves 18.
    assert consecutive_groups(costs, counts, 18.5, 6) == [5]
    assert consecutive_groups(costs, counts, 17.5, 6) == [2, 5]
    assert consecutive_groups(np.arange(1.0, 3), np.array([4, 4]), 0.1, 5) == [0, 1]
