"""The server's step along the mean update."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hasa_jax.base import PartialSum
from hasa_jax.server.aggregation import AGGREGATIONS
from hasa_jax.server.update import server_update
from tests.server.sums import OLD, VECTOR_B, sums

SGD = optax.sgd(1.0)
step = jax.jit(server_update, static_argnames=("optimizer", "aggregation"))


def average(clients, old, aggregation):
    params = jnp.asarray(old)
    return step(params, SGD.init(params), sums(clients, old), SGD, aggregation)[0]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("full", [11, 27.5]), ("coverage", [14, 30])]
)
def test_vector_b(aggregation, expected):
    np.testing.assert_allclose(average(VECTOR_B, OLD, aggregation), expected)


def test_vector_c():
    old = np.arange(9, dtype=np.float32).reshape(3, 3)
    clients = [
        (1.0, dict(zip([(0, 0), (0, 1), (1, 0), (1, 1)], [10, 20, 30, 40], strict=True))),
        (1.0, dict(zip([(1, 1), (1, 2), (2, 1), (2, 2)], [50, 60, 70, 80], strict=True))),
    ]
    expected = [[10, 20, 2], [30, 45, 60], [6, 70, 80]]
    np.testing.assert_allclose(average(clients, old, "coverage"), expected)


def test_full_and_coverage_coincide_where_all_hold_all():
    clients = [(1.0, {(0,): 1.0, (1,): 2.0}), (2.0, {(0,): 4.0, (1,): 5.0})]
    np.testing.assert_allclose(
        average(clients, OLD, "full"), average(clients, OLD, "coverage"), rtol=1e-6
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("make", [optax.sgd, optax.adam, optax.yogi])
def test_server_optimizers_never_move_what_no_client_trained(aggregation, make):
    optimizer = make(0.1)
    params = jnp.array([-0.0, 1.0])
    state = optimizer.init(params)
    both = PartialSum(jnp.array([1.0, 1.0]), jnp.array([1.0, 1.0]), jnp.float32(1))
    second = PartialSum(jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]), jnp.float32(1))
    take = functools.partial(step, optimizer=optimizer, aggregation=aggregation)
    params, state = take(params, state, both)
    after, _ = take(params, state, second)
    assert after[0].tobytes() == params[0].tobytes()
    assert after[1] != params[1]


def test_a_negative_zero_that_no_client_trained_keeps_its_bits():
    old = np.array([-0.0, 1.0], np.float32)
    after = average([(1.0, {(1,): 2.0})], old, "coverage")
    assert np.asarray(after)[0].tobytes() == old[0].tobytes()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_sums_of_no_client_change_nothing(aggregation):
    np.testing.assert_array_equal(average([], OLD, aggregation), OLD)
