"""Smallest allocation by hand."""

from hasa_jax.allocation.policies import smallest
from tests.allocation.clients import KEY, budget_of, stats_of


def test_equal_devices_get_w_min():
    assert smallest().widths(stats_of([8, 30]), budget_of(w_min=0.25), KEY).tolist() == [0.25] * 2


def test_other_devices_get_the_least_of_their_widths():
    stats = stats_of([8, 30, 12], caps=[1, 0.5, 0.25])
    assert smallest().widths(stats, budget_of(), KEY).tolist() == [0.25] * 3
