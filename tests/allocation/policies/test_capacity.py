"""Capacity allocation by hand."""

import numpy as np
import pytest

from hasa_jax.allocation.policies import capacity
from hasa_jax.base import UserError
from tests.allocation.clients import KEY, budget_of, stats_of

STATS = stats_of([1, 1], caps=[0.4, 0.8])


def test_widths_follow_the_caps():
    budget = budget_of(0.45, capacities=(0.4, 0.8))
    np.testing.assert_allclose(capacity().widths(STATS, budget, KEY), [0.3, 0.6])


def test_it_needs_capacities():
    with pytest.raises(UserError, match="list them in `capacities`"):
        capacity().widths(STATS, budget_of(0.45), KEY)
