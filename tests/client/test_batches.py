"""Which examples make up each batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.client import batches
from tests.support import small

KEY = jax.random.key(3)


def shuffled(data, client, num_batches=10, epochs=1, batch_size=4, key=KEY):
    return small.jitted_batches(key, data, client, num_batches, batch_size, epochs)


@pytest.mark.parametrize("client", [0, 1, 2, 3])
def test_every_example_is_used_once_an_epoch(client):
    data = small.client_data()
    indices, valid, used = shuffled(data, client, epochs=3)
    per_pass = -(-int(data.num_examples[client]) // 4)
    assert int(used) == 3 * per_pass
    assert not np.asarray(valid)[3 * per_pass :].any()
    own = np.arange(data.offsets[client], data.offsets[client + 1])
    for epoch in range(3):
        part = slice(per_pass * epoch, per_pass * (epoch + 1))
        seen = np.sort(np.asarray(indices[part])[np.asarray(valid[part])])
        np.testing.assert_array_equal(seen, own)


def test_padding_repeats_an_example_of_the_client():
    data = small.client_data()
    for client in range(4):
        indices = np.asarray(shuffled(data, client, epochs=3).indices)
        assert (indices >= data.offsets[client]).all()
        assert (indices < data.offsets[client + 1]).all()


def test_epochs_and_clients_have_orders_of_their_own():
    data = small.client_data(sizes=(30, 30))
    first = np.asarray(shuffled(data, 0, epochs=2).indices)
    assert not np.array_equal(first[:8], first[8:16])
    other = np.asarray(shuffled(data, 1, epochs=2, key=batches.batch_key(KEY, 0, 1)).indices) - 30
    assert not np.array_equal(first, other)


def test_padding_does_not_touch_the_order():
    data = small.client_data()
    tight, wide = shuffled(data, 1, num_batches=8), shuffled(data, 1, num_batches=25)
    np.testing.assert_array_equal(tight.indices[:7], wide.indices[:7])
    np.testing.assert_array_equal(tight.valid, wide.valid[:8])
    assert not wide.valid[8:].any()


def test_order_depends_on_seed_round_and_client():
    addresses = [(seed, r, c) for seed in (0, 1) for r in (0, 1) for c in (0, 1)]
    words = {
        tuple(np.asarray(jax.random.key_data(batches.batch_key(jax.random.key(s), r, c))))
        for s, r, c in addresses
    }
    assert len(words) == len(addresses)


def test_a_deadline_keeps_the_first_batches():
    every = shuffled(small.client_data(), 1)
    first = batches.first_batches(every, jnp.int32(3))
    assert (int(every.used), int(first.used)) == (8, 3)
    np.testing.assert_array_equal(first.valid[:3], every.valid[:3])
    assert not first.valid[3:].any()
    np.testing.assert_array_equal(first.indices, every.indices)
    assert int(batches.first_batches(every, jnp.int32(99)).used) == 8


def test_evaluation_takes_examples_in_storage_order():
    indices, valid, used = batches.sequential_batches(small.client_data(), jnp.int32(2), 5, 5)
    assert int(used) == 3
    np.testing.assert_array_equal(np.ravel(indices)[np.ravel(valid)], np.arange(37, 49))


def test_calibration_batches_are_even():
    data = small.client_data((200, 57), kind="perceptron")
    mixed = batches.mixed_batches(KEY, jax.tree.map(np.asarray, data))
    assert sorted(np.asarray(mixed.valid).sum(axis=1).tolist()) == [128, 129]
    used = np.asarray(mixed.indices)[np.asarray(mixed.valid)]
    np.testing.assert_array_equal(np.sort(used), np.arange(257))
    assert not np.array_equal(used, np.arange(257))
