"""Small supernets and data that several tests share."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import hasa_jax as hj
from hasa_jax import client
from hasa_jax.base import Subnet
from hasa_jax.execution.placement import by_width
from hasa_jax.models import LSTM

NUM_CLASSES = 5
LENGTH = 6


class MLP(nn.Module):
    """Two hidden layers of different sizes: two unit groups."""

    first: int = 12
    second: int = 8

    @nn.compact
    def __call__(self, inputs):
        def dense(size, names):
            kernel = nn.with_logical_partitioning(nn.initializers.lecun_normal(), names)
            bias = nn.with_logical_partitioning(nn.initializers.normal(0.1), names[1:])
            return nn.Dense(size, kernel_init=kernel, bias_init=bias)

        hidden = nn.relu(dense(self.first, (None, "first"))(inputs))
        hidden = nn.relu(dense(self.second, ("first", "second"))(hidden))
        return dense(NUM_CLASSES, ("second", None))(hidden)


def mlp(**sizes):
    return hj.from_linen(MLP(**sizes), np.zeros((1, 4), np.float32))


def lstm(hidden=16, **fields):
    module = LSTM(NUM_CLASSES + 2, NUM_CLASSES, embed_dim=4, hidden=hidden, **fields)
    return hj.from_linen(module, np.zeros((1, LENGTH), np.int32))


MODELS = {"mlp": mlp, "lstm": lstm}


def client_data(sizes=(7, 30, 12, 1), kind="mlp", seed=0):
    """Clients of the given sizes; labels follow the inputs, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    if kind == "mlp":
        inputs = rng.normal(size=(total, 4)).astype(np.float32)
        targets = (np.abs(inputs[:, 0] * 3).astype(np.int32)) % NUM_CLASSES
    else:
        words = rng.integers(0, NUM_CLASSES, size=(total, LENGTH + 1))
        lengths = rng.integers(2, LENGTH + 1, size=total)
        inside = np.arange(LENGTH) < lengths[:, None]
        inputs = np.where(inside, words[:, :-1] + 2, 0).astype(np.int32)
        targets = np.where(inside, (words[:, :-1] + 1) % NUM_CLASSES, hj.IGNORED).astype(np.int32)
        targets[0, 0] = hj.UNKNOWN
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    return hj.ClientData(inputs, targets, offsets, NUM_CLASSES)


def dataset(sizes=(7, 30, 12, 3), kind="mlp"):
    names = tuple(f"client {i}" for i in range(len(sizes)))
    splits = (client_data(sizes, kind, seed) for seed in range(3))
    return hj.FederatedDataset(*splits, names)


def cohort(model, data, units, weights=None, batch_size=4):
    units = np.asarray(units)
    weights = data.num_examples if weights is None else np.asarray(weights)
    return by_width(model, units, data.num_examples, weights, batch_size)


# Eager JAX is slow enough to matter in a test suite.
jitted_batches = jax.jit(client.shuffled_batches, static_argnums=(3, 4, 5))


def jitted_training(model, params, data, plan, optimizer):
    """Trains the whole supernet, as a client of width 1 does."""

    def train(params, plan):
        subnet = Subnet(
            params=params,
            apply=lambda p, x, *, train: model.apply(p, x, width=1.0, train=train),
            insert=lambda update: update,
            masks=jax.tree.map(jnp.ones_like, params),
        )
        return client.local_training(subnet, data, plan, optimizer)

    return jax.jit(train)(params, plan)


def assert_trees_close(actual, expected, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), actual, expected)


def assert_trees_equal(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), actual, expected)


def max_difference(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), a, b)))
