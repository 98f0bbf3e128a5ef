"""Rounding: sizes never exceed the budget, and miss it by little."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasa_jax.allocation import POLICIES, BudgetSpec, ClientStats
from hasa_jax.allocation.rounding import round_to_sizes, sizes_of_levels
from hasa_jax.base import UserError
from tests.allocation.clients import KEY, budget_of, random_stats, stats_of

BUDGETED = {"capacity", "hasa", "inverse_hasa", "random", "size_proportional", "uniform"}


def widths_of(policy, stats, budget):
    return POLICIES[policy]().widths(stats, budget, KEY)


@given(
    num_examples=st.lists(st.integers(1, 5000), min_size=2, max_size=9),
    units=st.integers(5, 300),
    target=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**16),
)
def test_rounding_is_below_the_budget_by_less_than_one_unit(num_examples, units, target, seed):
    rng = np.random.default_rng(seed)
    count = len(num_examples)
    stats = stats_of(num_examples, rng.random(count), caps=rng.uniform(0.6, 0.8, count))
    budget = budget_of(target, units=units)
    q = stats.shares
    caps = budget.sizes_within(budget.caps(stats))
    reachable = q @ caps / units
    try:
        widths = widths_of("hasa", stats, budget)
    except UserError:
        assert target > q @ budget.caps(stats) - 1e-9
        return
    sizes = round_to_sizes(widths, stats, budget)
    achieved = q @ sizes / units
    assert (sizes >= 1).all()
    assert (sizes <= caps).all()
    assert (sizes >= budget.sizes_within(0.2)).all()
    # One unit is the least width there is, even where it is above the budget.
    if sizes.max() > 1:
        assert achieved <= target + 1e-6
    assert achieved > min(target, reachable) - q.max() / units - 1e-6


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("policy", sorted(BUDGETED))
def test_other_cost_units_are_met_too(policy, power):
    stats = stats_of([3041, 1461, 778, 555, 403, 242, 28])
    budget = budget_of(0.45, power=power, capacities=(0.8,) * 7)
    sizes = round_to_sizes(widths_of(policy, stats, budget), stats, budget)
    achieved = stats.shares @ budget.costs[sizes]
    assert 0.45 - 2 / 256 < achieved <= 0.45


def one_by_one(widths, stats, budget):
    """Rounds clients one after the other, each time with a look at what is spent."""
    q, costs, units = stats.shares, budget.costs, widths * budget.num_units
    sizes, most = budget.sizes_within(widths), budget.sizes_within(budget.caps(stats))
    least = budget.sizes_within(budget.w_min)
    target = min(budget.target, float(q @ budget.cost(widths))) + 1e-9
    remainder, spent = units - sizes, float(q @ costs[sizes])
    for client in np.argsort(-remainder, kind="stable"):
        step = q[client] * (costs[sizes[client] + 1] - costs[sizes[client]])
        if remainder[client] > 1e-7 and sizes[client] < most[client] and spent + step <= target:
            sizes[client] += 1
            spent += step
    heap = [(units[i] - sizes[i], i) for i in np.flatnonzero(sizes > least)]
    heapq.heapify(heap)
    while spent > target and heap:
        left, client = heapq.heappop(heap)
        spent -= float(q[client] * (costs[sizes[client]] - costs[sizes[client] - 1]))
        sizes[client] -= 1
        if sizes[client] > least:
            heapq.heappush(heap, (left + 1, client))
    return sizes


@given(
    count=st.integers(2, 300),
    units=st.integers(5, 70),
    target=st.floats(0.2, 0.8),
    over=st.floats(0.9, 1.5),
    power=st.sampled_from([1, 2, 3]),
    most=st.sampled_from([3, 5000]),
    seed=st.integers(0, 2**16),
)
def test_all_clients_at_once_get_the_sizes_that_they_get_one_by_one(
    count, units, target, over, power, most, seed
):
    rng = np.random.default_rng(seed)
    stats = stats_of(rng.integers(1, most, count), rng.random(count), rng.uniform(0.3, 1.0, count))
    budget = budget_of(target, units=units, power=power)
    widths = np.minimum(rng.uniform(0.2, 0.8, count) * over, budget.caps(stats))
    expected = one_by_one(widths, stats, budget)
    np.testing.assert_array_equal(round_to_sizes(widths, stats, budget), expected)


def test_rounding_takes_back_what_the_two_passes_overspend():
    rng = np.random.default_rng(0)
    budget = budget_of(projection="paper")
    overspent = 0
    for _ in range(500):
        stats = random_stats(rng)
        widths = widths_of("hasa", stats, budget)
        overspent += stats.shares @ widths > 0.5 + 1e-4
        sizes = round_to_sizes(widths, stats, budget)
        assert stats.shares @ sizes / 256 <= 0.5 + 1e-9
    assert overspent > 0


@pytest.mark.parametrize("target", [0.2, 0.8])
def test_the_ends_of_the_interval_are_feasible(target):
    stats, budget = stats_of([3, 4]), budget_of(target)
    sizes = round_to_sizes(widths_of("hasa", stats, budget), stats, budget)
    np.testing.assert_array_equal(sizes, np.floor(target * 256))


def test_levels_of_widths_round_up_as_published_methods_do():
    costs = np.arange(11) / 10
    assert sizes_of_levels(np.array([1.0, 0.3, 0.01]), "width", costs).tolist() == [10, 3, 1]
    assert sizes_of_levels(np.array([0.31]), "width", costs).tolist() == [4]


def test_levels_of_other_units_have_the_nearest_cost():
    costs = (np.arange(5) / 4) ** 2  # 0, .0625, .25, .5625, 1
    levels = np.array([[1.0, 0.5], [0.1, 0.001]])
    assert sizes_of_levels(levels, "params", costs).tolist() == [[4, 3], [1, 1]]


def test_rounding_a_million_clients_is_no_work():
    """The cost is N log N: sizes of 10^6 clients are there before a quadratic loop would start."""
    count = 10**6
    stats = ClientStats(np.arange(count) % 50 + 1, np.zeros(count), np.full(count, 0.8))
    budget = BudgetSpec(0.5).bind(np.arange(65) / 64)
    widths = np.linspace(0.2, 0.8, count)
    sizes = round_to_sizes(widths, stats, budget)
    spent = float(stats.shares @ budget.costs[sizes])
    assert spent <= 0.5 + 1e-9
    assert spent > float(stats.shares @ budget.cost(widths)) - 1e-5
