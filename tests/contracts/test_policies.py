"""What every policy of the table promises."""

import jax
import numpy as np
import pytest

from hasa_jax import POLICIES, ClientStats
from hasa_jax.allocation import budget

KEY = jax.random.key(5)
SIZES = np.array([3041, 1461, 778, 555, 403, 242, 28])
SCORES = np.array([0.02, 0.09, 0.06, 0.06, 0.07, 0.08, 0.17])
CAPS = np.array([0.8, 0.7, 0.8, 0.5, 0.8, 0.8, 0.6])
FIXED = np.array([0.4, 0.5, 0.6, 0.5, 0.7, 0.8, 0.3])
STATS = ClientStats(SIZES, SCORES, CAPS)
UNITS = 240


def budget_of(target=0.5, projection="exact"):
    return budget.Budget(target, "width", projection, 0.2, 0.8, np.arange(UNITS + 1) / UNITS)


def policy_of(name, order=slice(None)):
    factory = POLICIES[name]
    return factory(FIXED[order]) if name == "fixed" else factory()


@pytest.mark.parametrize("projection", budget.PROJECTIONS)
@pytest.mark.parametrize("name", sorted(POLICIES))
def test_budget_and_bounds_hold(name, projection):
    goal = budget_of(projection=projection)
    widths = policy_of(name)(STATS, goal, KEY)
    kept = budget.round_to_units(widths, STATS, goal)
    assert kept.dtype == np.int64
    assert (kept >= 0.2 * UNITS - 1e-9).all()
    assert (kept <= CAPS * UNITS + 1e-9).all()
    q = budget.shares(STATS)
    spent = q @ kept / UNITS
    assert spent <= 0.5 + 1e-9
    aim = 0.5 if projection == "exact" and name != "fixed" else min(0.5, q @ widths)
    assert spent > aim - q.max() / UNITS


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_same_input_same_widths(name):
    first, second = (policy_of(name)(STATS, budget_of(), KEY) for _ in range(2))
    np.testing.assert_array_equal(first, second)


# Chance deals by position, so only the multiset of its profile could be equivariant.
@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"random"}))
def test_permuting_the_clients_permutes_the_widths(name):
    order = np.random.default_rng(0).permutation(len(SIZES))
    permuted = ClientStats(SIZES[order], SCORES[order], CAPS[order])
    widths = policy_of(name)(STATS, budget_of(), KEY)
    other = policy_of(name, order)(permuted, budget_of(), KEY)
    np.testing.assert_allclose(other, widths[order], atol=1e-9)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_input_arrays_are_left_alone(name):
    copies = [array.copy() for array in (SIZES, SCORES, CAPS)]
    budget.round_to_units(policy_of(name)(STATS, budget_of(), KEY), STATS, budget_of())
    for before, after in zip(copies, (SIZES, SCORES, CAPS), strict=True):
        np.testing.assert_array_equal(before, after)


def test_hasa_is_monotone_in_the_score():
    stats = ClientStats(SIZES, SCORES, np.full(7, 0.8))
    widths = policy_of("hasa")(stats, budget_of(), KEY)
    order = np.argsort(SCORES)
    assert (np.diff(widths[order]) >= 0).all()
    inverse = policy_of("inverse_hasa")(stats, budget_of(), KEY)
    assert (np.diff(inverse[order]) <= 0).all()


def test_random_depends_on_the_key_alone():
    widths = [policy_of("random")(STATS, budget_of(), jax.random.key(s)) for s in range(3)]
    assert not np.array_equal(widths[0], widths[1])
    rescored = ClientStats(SIZES, SCORES[::-1], CAPS)
    np.testing.assert_array_equal(
        widths[0], policy_of("random")(rescored, budget_of(), jax.random.key(0))
    )
