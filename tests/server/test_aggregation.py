"""The server's mean as two sums."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hasa_jax import PartialSum, UserError
from hasa_jax.server import aggregation


def sums(clients, old):
    """Adds up clients given as (weight, {index tuple: value}) against the old parameters."""
    total, weight = np.zeros_like(old), np.zeros_like(old)
    for a, values in clients:
        for index, value in values.items():
            total[index] += a * (value - old[index])
            weight[index] += a
    return PartialSum(
        jnp.asarray(total), jnp.asarray(weight), jnp.float32(sum(a for a, _ in clients))
    )


def average(clients, old, kind, optimizer=None):
    optimizer = optimizer or optax.sgd(1.0)
    params = jnp.asarray(old)
    return aggregation.server_update(
        params, optimizer.init(params), sums(clients, old), optimizer, kind
    )[0]


OLD = np.array([10.0, 20.0], np.float32)
VECTOR_B = [(1.0, {(0,): 14.0}), (3.0, {(1,): 30.0})]


@pytest.mark.parametrize(("kind", "expected"), [("full", [11, 27.5]), ("coverage", [14, 30])])
def test_vector_b(kind, expected):
    np.testing.assert_allclose(average(VECTOR_B, OLD, kind), expected)


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


@pytest.mark.parametrize("kind", aggregation.AGGREGATIONS)
@pytest.mark.parametrize("make", [optax.sgd, optax.adam, optax.yogi])
def test_server_optimizers_never_move_what_nobody_trained(kind, make):
    optimizer = make(0.1)
    params = jnp.array([-0.0, 1.0])
    state = optimizer.init(params)
    everybody = PartialSum(jnp.array([1.0, 1.0]), jnp.array([1.0, 1.0]), jnp.float32(1))
    nobody_first = PartialSum(jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]), jnp.float32(1))
    params, state = aggregation.server_update(params, state, everybody, optimizer, kind)
    after, _ = aggregation.server_update(params, state, nobody_first, optimizer, kind)
    assert after[0].tobytes() == params[0].tobytes()
    assert after[1] != params[1]


def test_a_negative_zero_that_nobody_trained_keeps_its_bits():
    old = np.array([-0.0, 1.0], np.float32)
    after = average([(1.0, {(1,): 2.0})], old, "coverage")
    assert np.asarray(after)[0].tobytes() == old[0].tobytes()


@pytest.mark.parametrize("kind", aggregation.AGGREGATIONS)
def test_sums_of_nobody_change_nothing(kind):
    empty = PartialSum(jnp.zeros(2), jnp.zeros(2), jnp.float32(0))
    optimizer = optax.sgd(1.0)
    params = jnp.asarray(OLD)
    after, _ = aggregation.server_update(params, optimizer.init(params), empty, optimizer, kind)
    np.testing.assert_array_equal(after, OLD)


def test_unknown_aggregation_is_refused():
    with pytest.raises(UserError, match="use one of coverage, full"):
        average(VECTOR_B, OLD, "median")


def test_partial_sums_add_up():
    parts = [sums([client], OLD) for client in VECTOR_B]
    whole = sums(VECTOR_B, OLD)
    added = jax.tree.map(jnp.add, *parts)
    np.testing.assert_array_equal(added.total, whole.total)
    np.testing.assert_array_equal(added.weight, whole.weight)
    assert added.mass == whole.mass
