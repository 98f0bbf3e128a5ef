"""Local steps of one client."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from tests.support import small

KEY = jax.random.key(3)
ADAM = optax.adam(0.1)


def shuffled(data, client, num_batches=10, epochs=1, batch_size=4):
    return small.jitted_batches(KEY, data, client, num_batches, batch_size, epochs)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), ADAM])
def test_padding_steps_change_nothing(optimizer):
    model, data = small.supernet("mlp"), small.client_data()
    params = model.init(KEY)
    updates = [
        small.jitted_training(model, params, data, shuffled(data, 0, n, epochs=2), optimizer)[0]
        for n in (2, 9)
    ]
    assert small.max_difference(updates[0], jax.tree.map(jnp.zeros_like, updates[0])) > 1e-3
    small.assert_trees_close(*updates, atol=1e-6)


def test_a_client_smaller_than_a_batch_trains_on_all_its_data():
    model, data = small.supernet("mlp"), small.client_data(sizes=(3, 9))
    params = model.init(KEY)
    only_batch = shuffled(data, 0, num_batches=1, batch_size=32)
    update, sums = small.jitted_training(model, params, data, only_batch, optax.sgd(1.0))
    assert int(sums.count) == 3

    def mean_loss(p):
        logits, _ = model.apply(p, data.inputs[:3], hj.Context(train=True))
        return optax.softmax_cross_entropy_with_integer_labels(logits[-1], data.targets[:3]).mean()

    expected = jax.tree.map(jnp.negative, jax.jit(jax.grad(mean_loss))(params))
    small.assert_trees_close(update, expected, atol=1e-6)


def test_a_client_without_any_known_target_stays_where_it_is():
    model, data = small.supernet("lstm"), small.client_data(kind="lstm")
    data = data.replace(targets=np.full_like(data.targets, hj.UNKNOWN))
    params = model.init(KEY)
    update, _ = small.jitted_training(model, params, data, shuffled(data, 0), ADAM)
    small.assert_trees_equal(update, jax.tree.map(jnp.zeros_like, update))
