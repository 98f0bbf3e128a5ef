"""The ledger: means over the clients that take part, and over rounds."""

import numpy as np
import pytest

from hasa_jax.allocation.ledger import mean_costs

TABLES = {"width": np.arange(5) / 4, "params": (np.arange(5) / 4) ** 2}


def test_costs_are_weighted_by_the_clients_that_take_part():
    achieved = mean_costs([np.array([4, 2, 1])], np.array([0.5, 0.25, 0.0]), TABLES)
    assert achieved["width"] == pytest.approx((0.5 * 1 + 0.25 * 0.5) / 0.75)
    assert achieved["params"] == pytest.approx((0.5 * 1 + 0.25 * 0.25) / 0.75)


def test_costs_are_the_mean_over_rounds():
    rounds = [np.array([4, 2]), np.array([2, 2])]
    assert mean_costs(rounds, np.array([0.5, 0.5]), TABLES)["width"] == pytest.approx(0.625)
