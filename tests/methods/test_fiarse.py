"""FIARSE: the count of clients that moved a coordinate, full size, and its options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.server import aggregation
from tests.methods.programs import rounds
from tests.support import small


def test_the_count_is_of_clients_that_moved_a_coordinate():
    updates = jnp.array([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
    parts = [aggregation.partial_sum(u, jnp.ones(3), jnp.float32(1), "nonzero") for u in updates]
    mean = aggregation.mean_update(jax.tree.map(jnp.add, *parts), "nonzero")
    np.testing.assert_array_equal(mean, [2.0, 4.0, 0.0])


def test_full_size_is_uniform_fedavg():
    model, data = small.perceptron(norm="batch"), small.client_data((8, 9, 7), "perceptron")
    _, fiarse = rounds(model, data, [9] * 3, hj.methods.fiarse())
    _, fedavg = rounds(model, data, [9] * 3, small.plain(aggregation="nonzero"))
    small.assert_trees_close(fiarse, fedavg, atol=1e-6)


def test_its_sizes_are_fractions_of_parameters():
    assert hj.methods.fiarse(budget=0.3).budget == hj.BudgetSpec(0.3, unit="params")


def test_greedy_pruning_is_by_magnitude():
    assert hj.methods.fiarse(greedy=True).extraction.mask is not None
    with pytest.raises(hj.UserError, match="not by `measure` 'fisher'"):
        hj.methods.fiarse(greedy=True, measure="fisher")
