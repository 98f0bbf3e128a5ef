"""Means that some hostile clients cannot move far."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hasa_jax.base import UserError
from hasa_jax.server.robust import robust_sum
from hasa_jax.server.update import server_update
from tests.support import small


@functools.partial(jax.jit, static_argnames=("robust", "aggregation", "trim"))
def mean_of(values, masks, weights, robust, aggregation="coverage", trim=0.0):
    """Returns the two sums of a single parameter of the clients `[C, U]`."""
    parts = robust_sum(
        {"w": values},
        {"w": masks},
        weights,
        robust=robust,
        aggregation=aggregation,
        trim=trim,
    )
    return parts.total["w"], parts.weight["w"], parts


def by_hand(values, holds, robust, trim):
    out = np.zeros(values.shape[1])
    for place in range(values.shape[1]):
        own = np.sort(values[holds[:, place], place])
        if not own.size:
            continue
        off = min(
            int(np.floor((0.5 if robust == "median" else trim) * own.size)), (own.size - 1) // 2
        )
        out[place] = own[off : own.size - off].mean()
    return out


@pytest.mark.parametrize("robust", ["trimmed_mean", "median"])
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_coordinates_are_decided_by_those_who_hold_them(robust, count):
    generator = np.random.default_rng(count)
    values = generator.normal(size=(count, 40)).astype(np.float32)
    holds = generator.random((count, 40)) < 0.7
    masks, ones = holds.astype(np.float32), np.ones(count, np.float32)
    total, weight, _ = mean_of(values * holds, masks, ones, robust, trim=0.2)
    np.testing.assert_allclose(total, by_hand(values, holds, robust, 0.2), atol=1e-6)
    np.testing.assert_array_equal(weight, holds.any(axis=0))
    if robust == "median":
        total, _, _ = mean_of(values, np.ones_like(masks), ones, robust, "full")
        np.testing.assert_allclose(total, np.median(values, axis=0), atol=1e-6)


@pytest.mark.parametrize("robust", ["median", "trimmed_mean"])
def test_who_is_absent_or_no_number_has_no_vote(robust):
    values = np.array([[1.0], [2.0], [3.0], [100.0], [np.nan]], np.float32)
    weights = np.array([1.0, 1.0, 1.0, 0.0, 1.0], np.float32)
    assert mean_of(values, np.ones((5, 1), np.float32), weights, robust, trim=0.34)[0][0] == 2


def test_norms_are_cut_to_the_median_of_all():
    values = np.array([[3.0, 4.0], [0.0, 1.0], [600.0, 800.0]], np.float32)
    weights = np.array([1.0, 2.0, 1.0], np.float32)
    total, weight, _ = mean_of(values, np.ones((3, 2), np.float32), weights, "norm_clip")
    np.testing.assert_allclose(total, [3.0 + 3.0, 4.0 + 2.0 + 4.0], rtol=1e-6)
    np.testing.assert_allclose(weight, [4.0, 4.0])


@pytest.mark.parametrize("robust", ["median", "norm_clip"])
def test_what_a_client_does_not_hold_it_cannot_move(robust):
    """Two clients; one sends more than it holds, and none of them holds the second coordinate."""
    momentum = optax.sgd(1.0, momentum=0.9)
    params = {"w": jnp.ones(2)}
    updates = np.array([[2.0, 9.0], [2.0, 0.0]], np.float32)
    masks = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    _, _, partial = mean_of(updates, masks, np.ones(2, np.float32), robust, "full")
    state = ({"w": jnp.array([0.0, -1.0])},)
    state = jax.tree.unflatten(jax.tree.structure(momentum.init(params)), jax.tree.leaves(state))
    moved, _ = server_update(params, state, partial, momentum, "full")
    assert moved["w"][1] == 1.0
    np.testing.assert_allclose(moved["w"][0], 3.0)


def test_unknown_means_are_refused():
    with pytest.raises(UserError, match="unknown `robust` 'mode'"):
        small.plain(robust="mode")
    with pytest.raises(UserError, match=r"`trim` is 0\.5"):
        small.plain(robust="trimmed_mean", trim=0.5)
