"""Exclusive allocation by hand."""

import pytest

from hasa_jax.allocation.policies import exclusive
from hasa_jax.base import UserError
from tests.allocation.clients import KEY, budget_of, stats_of


def test_only_clients_that_hold_the_supernet_are_trained():
    stats = stats_of([8, 30, 12, 4], caps=[1, 0.5, 1, 0.25])
    assert exclusive().widths(stats, budget_of(), KEY).tolist() == [1, 0, 1, 0]


def test_at_least_one_client_must_hold_it():
    with pytest.raises(UserError, match="no capacity is 1"):
        exclusive().widths(stats_of([8, 30], caps=0.8), budget_of(), KEY)
