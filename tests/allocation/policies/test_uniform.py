"""Uniform allocation by hand."""

import numpy as np

from hasa_jax.allocation.policies import uniform
from tests.allocation.clients import KEY, budget_of, stats_of


def test_every_client_gets_the_budget():
    np.testing.assert_allclose(uniform().widths(stats_of([3, 4, 50]), budget_of(), KEY), 0.5)


def test_a_smaller_device_gets_its_cap_and_the_others_the_rest():
    stats = stats_of([1, 1], caps=[0.3, 0.8])
    widths = uniform().widths(stats, budget_of(units=100), KEY)
    np.testing.assert_allclose(widths, [0.3, 0.7])
