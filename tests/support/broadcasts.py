"""What a client is sent, for tests of extractions."""

import jax
import jax.numpy as jnp

from hasa_jax.supernet.types import Broadcast

KEY = jax.random.key(5)


def sent(model, params=None, *, client=0, round=0, scales=(1.0, 1.0), capacity=None):
    """A broadcast to a client whose sampled examples have the losses `scale * |params|^2 / 2`.

    Their gradients are `scale * params`. The sample has room for `capacity` examples, by default
    for those that it has.
    """
    capacity = capacity or len(scales)
    padded = jnp.array([*scales, *[0.0] * (capacity - len(scales))])

    def sample_loss(params, positions):
        squares = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params))
        return padded[positions] * squares / 2

    params = model.init(KEY) if params is None else params
    size = jnp.int32(len(scales))
    return Broadcast(
        model, params, jnp.int32(round), jnp.int32(client), KEY, sample_loss, size, capacity
    )


def ranks_of(extraction, broadcast):
    """Returns the ranks that an extraction of units gives to a client."""
    assert extraction.order is not None
    return extraction.order(broadcast)
