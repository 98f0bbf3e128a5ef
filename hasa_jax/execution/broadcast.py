"""What reaches a client at the start of a round: the supernet, and losses on its own data."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, Params, ServerState
from hasa_jax.execution.interface import BroadcastFn
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import Broadcast, Context, Model


def broadcast_fn(
    model: Model, state: ServerState, data: ClientData, batch_size: int
) -> BroadcastFn:
    """Returns what a client's extraction may look at, by client id.

    Args:
      model: the supernet.
      state: the server's state, as broadcast.
      data: training examples of all clients; a client's sample is its first batch of them.
      batch_size: examples in a batch.

    Returns:
      `client -> Broadcast`.
    """
    offsets = jnp.asarray(data.offsets)

    def broadcast(client: jax.Array) -> Broadcast:
        start, num_examples = offsets[client], offsets[client + 1] - offsets[client]

        def sample_loss(params: Params, positions: jax.Array) -> jax.Array:
            valid = positions < num_examples
            chosen = start + jnp.where(valid, positions, 0)
            context = Context(valid=valid)
            logits, _ = model.apply(params, jnp.asarray(data.inputs)[chosen], context)
            targets = jnp.asarray(data.targets)[chosen]
            return losses.example_losses(logits[-1], targets, valid)

        return Broadcast(
            model=model,
            params=state.params,
            round=state.round,
            client=client,
            key=state.key,
            sample_loss=sample_loss,
            sample_size=jnp.minimum(num_examples, batch_size),
            sample_capacity=batch_size,
        )

    return broadcast
