"""Batches and local steps of one client."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.client import batches
from hasa_jax.supernet import losses
from tests.support import small

KEY = jax.random.key(3)


def plan(data, who, num_batches=10, epochs=1, batch_size=4, key=KEY):
    return small.jitted_batches(key, data, who, num_batches, batch_size, epochs)


@pytest.mark.parametrize("who", [0, 1, 2, 3])
def test_every_example_is_used_once_an_epoch(who):
    data = small.client_data()
    rows, valid, used_batches = plan(data, who, epochs=3)
    each = -(-int(data.num_examples[who]) // 4)
    assert int(used_batches) == 3 * each
    assert not np.asarray(valid)[3 * each :].any()
    for epoch in range(3):
        part = slice(each * epoch, each * (epoch + 1))
        used = np.sort(np.asarray(rows[part])[np.asarray(valid[part])])
        np.testing.assert_array_equal(used, np.arange(data.offsets[who], data.offsets[who + 1]))


def test_epochs_and_clients_have_orders_of_their_own():
    data = small.client_data(sizes=(30, 30))
    first = np.asarray(plan(data, 0, epochs=2).rows)
    assert not np.array_equal(first[:8], first[8:16])
    other = np.asarray(plan(data, 1, epochs=2, key=batches.batch_key(KEY, 0, 1)).rows) - 30
    assert not np.array_equal(first, other)


def test_padding_does_not_touch_the_order():
    data = small.client_data()
    tight, wide = plan(data, 1, num_batches=8), plan(data, 1, num_batches=25)
    np.testing.assert_array_equal(tight.rows[:7], wide.rows[:7])
    np.testing.assert_array_equal(tight.valid, wide.valid[:8])
    assert not wide.valid[8:].any()


def test_order_depends_on_seed_round_and_client():
    addresses = [(seed, r, c) for seed in (0, 1) for r in (0, 1) for c in (0, 1)]
    words = {
        tuple(np.asarray(jax.random.key_data(batches.batch_key(jax.random.key(s), r, c))))
        for s, r, c in addresses
    }
    assert len(words) == len(addresses)


def test_losses_by_hand():
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]))
    targets = jnp.array([[0, hj.UNKNOWN, hj.IGNORED]])
    sums = losses.score_batch(logits, targets, jnp.array([True]))
    np.testing.assert_allclose(sums.loss, np.log(2), rtol=1e-6)
    assert (int(sums.correct), int(sums.loss_count), int(sums.count)) == (1, 1, 2)


def test_logits_that_are_no_numbers_are_never_right():
    logits = jnp.full((2, 3), jnp.nan)
    assert int(losses.score_batch(logits, jnp.array([0, 1]), jnp.array([True, True])).correct) == 0


def test_invalid_examples_count_nowhere():
    sums = losses.score_batch(jnp.zeros((2, 3)), jnp.array([0, 0]), jnp.array([True, False]))
    assert int(sums.count) == 1


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.adam(0.1)])
def test_padding_steps_change_nothing(optimizer):
    model, data = small.mlp(), small.client_data()
    params = model.init(KEY)
    updates = [
        small.jitted_training(
            model, params, data, plan(data, 0, num_batches=n, epochs=2), optimizer
        )[0]
        for n in (2, 9)
    ]
    assert small.max_difference(updates[0], jax.tree.map(jnp.zeros_like, updates[0])) > 1e-3
    small.assert_trees_close(*updates, atol=1e-6)


def test_a_client_smaller_than_a_batch_trains_on_all_its_data():
    model, data = small.mlp(), small.client_data(sizes=(3, 9))
    params = model.init(KEY)
    only_batch = plan(data, 0, num_batches=1, batch_size=32)
    update, sums = small.jitted_training(model, params, data, only_batch, optax.sgd(1.0))
    assert int(sums.count) == 3

    def mean_loss(p):
        logits, _ = model.apply(p, data.inputs[:3], hj.Context(train=True))
        return optax.softmax_cross_entropy_with_integer_labels(logits[-1], data.targets[:3]).mean()

    expected = jax.tree.map(jnp.negative, jax.grad(mean_loss)(params))
    small.assert_trees_close(update, expected, atol=1e-6)


def test_a_client_without_any_known_target_stays_where_it_is():
    model, data = small.lstm(), small.client_data(kind="lstm")
    data = data.replace(targets=np.full_like(data.targets, hj.UNKNOWN))
    params = model.init(KEY)
    update, _ = small.jitted_training(model, params, data, plan(data, 0), optax.adam(0.1))
    small.assert_trees_equal(update, jax.tree.map(jnp.zeros_like, update))
