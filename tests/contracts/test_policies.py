"""What every policy of the table promises."""

import jax
import numpy as np
import pytest

from hasa_jax.allocation import POLICIES, BudgetSpec, ClientStats, allocate
from hasa_jax.allocation.budget import PROJECTIONS
from hasa_jax.allocation.rounding import round_to_sizes
from tests.support import small

KEY = jax.random.key(5)
SIZES = np.array([3041, 1461, 778, 555, 403, 242, 28])
SCORES = np.array([0.02, 0.09, 0.06, 0.06, 0.07, 0.08, 0.17])
CAPS = np.array([0.8, 0.7, 0.8, 0.5, 0.8, 0.8, 0.6])
# Of those that follow no budget, the exclusive policy needs a device that holds the supernet.
ABLE = np.array([0.8, 1.0, 0.8, 0.5, 1.0, 0.8, 0.6])
FIXED = np.array([0.4, 0.5, 0.6, 0.5, 0.7, 0.8, 0.3])
UNITS = 240

BUDGETED = [
    "capacity",
    "fixed",
    "hasa",
    "inverse_hasa",
    "inverse_size",
    "need",
    "random",
    "size_proportional",
    "uniform",
]
UNBUDGETED = ["exclusive", "full", "levels", "smallest"]
DYNAMIC = ["levels", "random"]
# These go by position: chance permutes positions, and levels go to blocks of neighbours.
POSITIONAL = {"random", "levels", "need"}


def stats_of(name, order=slice(None)):
    return ClientStats(SIZES[order], SCORES[order], (ABLE if name == "exclusive" else CAPS)[order])


def budget_of(target=0.5, projection="exact", order=slice(None)):
    spec = BudgetSpec(target, projection=projection, capacities=tuple(CAPS[order]))
    return spec.bind(np.arange(UNITS + 1) / UNITS)


def policy_of(name, order=slice(None)):
    return POLICIES[name](FIXED[order]) if name == "fixed" else POLICIES[name]()


def widths_of(name, budget=None, order=slice(None)):
    return policy_of(name, order).widths(stats_of(name, order), budget or budget_of(), KEY)


def test_the_table_divides_into_budgeted_and_unbudgeted():
    assert sorted(POLICIES) == sorted([*BUDGETED, *UNBUDGETED])
    for name in POLICIES:
        assert policy_of(name).budgeted == (name in BUDGETED)
        assert policy_of(name).scored == (name in ("hasa", "inverse_hasa"))
        assert policy_of(name).name == name
        # What is not measured yet is drawn.
        assert policy_of(name).dynamic == (policy_of(name).reallocate_every > 0)


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_belongs_to_the_policy(name):
    assert POLICIES[name](dynamic=True).dynamic


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("name", BUDGETED)
def test_budget_and_bounds_hold(name, projection):
    budget, stats = budget_of(projection=projection), stats_of(name)
    widths = widths_of(name, budget)
    sizes = round_to_sizes(widths, stats, budget)
    assert sizes.dtype == np.int64
    assert (sizes >= 0.2 * UNITS - 1e-9).all()
    assert (sizes <= CAPS * UNITS + 1e-9).all()
    q = stats.shares
    spent = q @ sizes / UNITS
    assert spent <= 0.5 + 1e-9
    aim = 0.5 if projection == "exact" and name != "fixed" else min(0.5, q @ widths)
    assert spent > aim - q.max() / UNITS


@pytest.mark.parametrize("name", UNBUDGETED)
def test_the_target_changes_nothing_without_a_budget(name):
    first, second = (widths_of(name, budget_of(target)) for target in (0.3, 0.9))
    np.testing.assert_array_equal(first, second)
    assert ((first >= 0) & (first <= 1)).all()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_the_ledger_says_whether_a_budget_was_followed(name):
    data = small.client_data(tuple(SIZES // 20 + 1), kind="lstm")
    caps = ABLE if name == "exclusive" else CAPS
    allocations = [
        allocate(
            data,
            small.lstm(hidden=16),
            policy=policy_of(name),
            key=KEY,
            scores=SCORES,
            budget=BudgetSpec(target, capacities=tuple(caps)),
        )
        for target in (0.5, 0.55)
    ]
    for allocation, target in zip(allocations, (0.5, 0.55), strict=True):
        assert allocation.sizes.dtype == np.int64
        ledger = allocation.ledger
        if name in BUDGETED:
            assert ledger.requested == target
            assert ledger.width <= target + 1e-9
        else:
            assert np.isnan(ledger.requested)
    if name in UNBUDGETED:
        np.testing.assert_array_equal(allocations[0].sizes, allocations[1].sizes)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_same_input_same_widths(name):
    np.testing.assert_array_equal(widths_of(name), widths_of(name))


@pytest.mark.parametrize("name", sorted(set(POLICIES) - POSITIONAL))
def test_permuting_the_clients_permutes_the_widths(name):
    order = np.random.default_rng(0).permutation(len(SIZES))
    permuted = widths_of(name, budget_of(order=order), order)
    np.testing.assert_allclose(permuted, widths_of(name)[order], atol=1e-9)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_input_arrays_stay_as_they_are(name):
    arrays = (SIZES, SCORES, CAPS, ABLE)
    copies = [array.copy() for array in arrays]
    widths = widths_of(name)
    if policy_of(name).budgeted:
        round_to_sizes(widths, stats_of(name), budget_of())
    for before, after in zip(copies, arrays, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"hasa", "inverse_hasa"}))
def test_only_scored_policies_read_scores(name):
    stats = stats_of(name)
    rescored = ClientStats(stats.num_examples, np.full(7, np.nan), stats.max_widths)
    np.testing.assert_array_equal(
        policy_of(name).widths(rescored, budget_of(), KEY), widths_of(name)
    )
