"""The budget: what it accepts, its costs and bounds."""

import numpy as np
import pytest

from hasa_jax.allocation import BudgetSpec
from hasa_jax.base import UserError
from tests.allocation.clients import budget_of, stats_of


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"w_min": 0.0}, "w_min"),
        ({"w_min": 0.9}, "w_min"),
        ({"w_max": 1.2}, "w_max"),
        ({"target": 0.0}, "`budget` 0.0 is not a fraction"),
        ({"target": 1.5}, "`budget` 1.5 is not a fraction"),
        ({"target": np.nan}, "not a fraction"),
        ({"unit": "flops"}, "unknown budget unit 'flops': use one of width, params, macs"),
        ({"projection": "rough"}, "unknown budget projection 'rough': use one of exact, paper"),
        ({"capacities": (0.5, 2.0)}, r"`capacities` must be widths in \(0, 1\]"),
        ({"capacities": (0.0, 0.5)}, "`capacities` must be widths"),
    ],
)
def test_unusable_budgets_are_refused(bad, match):
    with pytest.raises(UserError, match=match):
        BudgetSpec(**bad)


def test_a_bound_budget_keeps_its_specification():
    spec = BudgetSpec(0.3, "params", "paper", 0.1, 0.9, (0.5, 1.0))
    budget = spec.bind(np.arange(11) / 10)
    for name in ("target", "unit", "projection", "w_min", "w_max", "capacities"):
        assert getattr(budget, name) == getattr(spec, name)
    assert budget.num_units == 10


def test_devices_hold_w_max_or_their_capacity():
    np.testing.assert_array_equal(BudgetSpec(w_max=0.7).max_widths(3), [0.7] * 3)
    np.testing.assert_array_equal(BudgetSpec(capacities=(1.0, 0.5)).max_widths(2), [1.0, 0.5])
    with pytest.raises(UserError, match="2 `capacities` for 3 clients: give one a client"):
        BudgetSpec(capacities=(1.0, 0.5)).max_widths(3)


def test_caps_are_below_w_max():
    caps = budget_of(w_max=0.8).caps(stats_of([1, 1, 1], caps=[1.0, 0.8, 0.3]))
    np.testing.assert_array_equal(caps, [0.8, 0.8, 0.3])


def test_costs_are_linear_between_sizes():
    budget = budget_of(units=10, power=2)
    np.testing.assert_allclose(budget.cost(np.array([0.5, 0.55, 1.0])), [0.25, 0.305, 1.0])


def test_the_size_within_a_width_does_not_depend_on_binary_fractions():
    budget = budget_of(units=100)
    assert 0.29 * 100 < 29
    assert budget.sizes_within(0.29) == 29
    np.testing.assert_array_equal(budget.sizes_within(np.array([0.001, 0.299])), [1, 29])
