"""The budget goes where the objective gains most."""

import itertools

import numpy as np
import pytest

from hasa_jax.allocation.curves import Curves, convex
from hasa_jax.allocation.greedy import best_costs, mean_of_largest

COSTS = np.array([0.2, 0.5, 0.8])
CAPS = np.full(2, 0.8)


def test_the_mean_goes_to_the_steepest_curve_for_its_share():
    curves = Curves(COSTS, np.array([[3.0, 2.4, 2.1], [2.0, 1.7, 1.6]]))
    # Slopes 2 and 1, over a share of 3/4; 1 and 1/3, over 1/4: ratios 8/3, 4/3, 4 and 4/3.
    shares = np.array([0.75, 0.25])
    found = best_costs(curves, shares, CAPS, 0.4, 2)
    # The second client's first part costs .075, which leaves .125 for the first client's.
    np.testing.assert_allclose(found, [0.2 + 0.125 / 0.75, 0.5], atol=1e-9)


def test_the_worst_client_is_widened_until_another_is():
    curves = Curves(COSTS, np.array([[3.0, 2.4, 1.8], [2.5, 2.2, 1.9]]))
    shares = np.array([0.5, 0.5])
    # Slopes 2 and 1. Level t: (3 - t) / 2 + (2.5 - t) / 1 = .4 / .5, so t = 2.1333.
    found = best_costs(curves, shares, CAPS, 0.2 + 0.4 * 1.0, 1)
    level = (3 / 2 + 2.5 - 0.8) / 1.5
    np.testing.assert_allclose(found, [0.2 + (3 - level) / 2, 0.2 + (2.5 - level)], atol=1e-9)
    np.testing.assert_allclose(curves.at(found), level, atol=1e-9)


def test_the_tail_counts_its_clients_only():
    losses = np.array([[3.0, 2.7, 2.4], [2.9, 2.3, 1.7], [1.0, 0.1, -0.8]])
    curves, shares, caps = Curves(COSTS, losses), np.full(3, 1 / 3), np.full(3, 0.8)
    # The third client has the steepest curve, but is not among the worst two. The slopes of these
    # are 1 and 2, so the second client gets everything: .3, which leaves it at 2.3.
    found = best_costs(curves, shares, caps, 0.2 + 0.1, 2)
    np.testing.assert_allclose(found, [0.2, 0.5, 0.2], atol=1e-9)
    # For the worst client only, the first one is first: from 3 to 2.9 for .1, and then both.
    found = best_costs(curves, shares, caps, 0.2 + 0.1, 1)
    level = 2.9 - 0.2 / 1.5
    np.testing.assert_allclose(found, [0.2 + 3 - level, 0.2 + (2.9 - level) / 2, 0.2], atol=1e-9)
    # All of them, for the mean: the third.
    np.testing.assert_allclose(best_costs(curves, shares, caps, 0.3, 3), [0.2, 0.2, 0.5], atol=1e-9)


def test_what_gains_nothing_is_spent_evenly_up_to_the_caps():
    curves = Curves(COSTS, np.ones((3, 3)))
    shares, caps = np.array([0.5, 0.25, 0.25]), np.array([0.3, 0.8, 0.8])
    found = best_costs(curves, shares, caps, 0.45, 3)
    np.testing.assert_allclose(found, [0.3, 0.6, 0.6], atol=1e-9)


def test_one_measured_cost_leaves_no_choice():
    curves = Curves(COSTS[:1], np.ones((2, 1)))
    found = best_costs(curves, np.full(2, 0.5), np.full(2, 0.2), 0.2, 1)
    np.testing.assert_allclose(found, [0.2, 0.2])


@pytest.mark.parametrize("largest", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_allocation_is_better(largest, seed):
    rng = np.random.default_rng(seed)
    curves = Curves(COSTS, convex(3 * rng.random((3, 3)), COSTS))
    shares = rng.dirichlet(np.ones(3))
    found = best_costs(curves, shares, np.full(3, 0.8), 0.5, largest)
    assert shares @ found == pytest.approx(0.5)
    assert ((found >= 0.2 - 1e-9) & (found <= 0.8 + 1e-9)).all()
    reached = mean_of_largest(curves.at(found), largest)
    grid = np.linspace(0.2, 0.8, 13)
    others = [np.array(costs) for costs in itertools.product(grid, repeat=3)]
    least = min(
        mean_of_largest(curves.at(costs), largest) for costs in others if shares @ costs <= 0.5
    )
    assert reached <= least + 1e-9


@pytest.mark.parametrize("largest", [1, 2, 3])
def test_slopes_are_sorted_once(monkeypatch, largest):
    """A search tries a level of the loss 120 times, and a population has many slopes."""
    calls, argsort = [], np.argsort
    monkeypatch.setattr(np, "argsort", lambda *a, **k: calls.append(1) or argsort(*a, **k))
    curves = Curves(COSTS, np.array([[3.0, 2.7, 2.4], [2.9, 2.3, 1.7], [1.0, 0.1, -0.8]]))
    best_costs(curves, np.full(3, 1 / 3), np.full(3, 0.8), 0.4, largest)
    assert calls == [1]
