"""What reaches a client at the start of a round: the supernet, and losses on its own data."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, Params, ServerState
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import Broadcast, Context, Model


def broadcast_to(
    client: jax.Array,
    local: jax.Array,
    model: Model,
    state: ServerState,
    data: ClientData,
    batch_size: int,
) -> Broadcast:
    """Returns what a client's extraction may look at.

    Args:
      client: client id, int32 scalar.
      local: position of the client in the data, int32 scalar.
      model: the supernet.
      state: the server's state, as broadcast.
      data: training examples; a client's sample is its first batch of them.
      batch_size: examples in a batch.

    Returns:
      The broadcast.
    """
    offsets = jnp.asarray(data.offsets)
    start, num_examples = offsets[local], offsets[local + 1] - offsets[local]
    return Broadcast(
        model=model,
        params=state.params,
        round=state.round,
        client=client,
        key=state.key,
        sample_loss=functools.partial(_sample_loss, model, data, start, num_examples),
        sample_size=jnp.minimum(num_examples, batch_size),
        sample_capacity=batch_size,
    )


def _sample_loss(
    model: Model,
    data: ClientData,
    start: jax.Array,
    num_examples: jax.Array,
    params: Params,
    positions: jax.Array,
) -> jax.Array:
    """Returns the supernet's losses on a client's examples at some positions `[b]`."""
    valid = positions < num_examples
    chosen = start + jnp.where(valid, positions, 0)
    logits, _ = model.apply(params, jnp.asarray(data.inputs)[chosen], Context(valid=valid))
    return losses.example_losses(logits[-1], jnp.asarray(data.targets)[chosen], valid)
