"""Which examples make up each batch: shuffled to train, in order to test, mixed to calibrate."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax import keys
from hasa_jax.base import ClientData

_CALIBRATION_BATCH = 256
"""Most examples in a batch of the calibration pass: large, so that batch moments are steady."""


class BatchPlan(NamedTuple):
    """Which rows of the data make up each local batch.

    Attributes:
      rows: row numbers in the flat data `[S, B]`; padding repeats a row of the client.
      valid: whether the entry is an example `[S, B]`, bool.
      used: batches that hold examples, int32 scalar; they come first.
    """

    rows: jax.Array
    valid: jax.Array
    used: jax.Array


def sequential_batches(
    data: ClientData, client: jax.Array, num_batches: int, batch_size: int
) -> BatchPlan:
    """Plans one pass over a client's examples in storage order.

    Args:
      data: examples of all clients.
      client: client id, scalar.
      num_batches: batches `S`; enough for the client's examples.
      batch_size: examples in a batch `B`.

    Returns:
      The plan; entries beyond the client's examples are not valid.
    """
    offsets = jnp.asarray(data.offsets)
    start, num_examples = offsets[client], offsets[client + 1] - offsets[client]
    position = jnp.arange(num_batches * batch_size).reshape(num_batches, batch_size)
    valid = position < num_examples
    return BatchPlan(start + jnp.where(valid, position, 0), valid, -(-num_examples // batch_size))


def shuffled_batches(
    key: jax.Array,
    data: ClientData,
    client: jax.Array,
    num_batches: int,
    batch_size: int,
    num_epochs: int,
) -> BatchPlan:
    """Plans `num_epochs` passes, each in an order of its own; every example is used once a pass.

    Each example draws its place from a key of its own, so the order does not depend on how
    far the grid is padded.

    Args:
      key: this client's key of this round; it is consumed.
      data: examples of all clients.
      client: client id, scalar.
      num_batches: batches of one pass; enough for the client's examples.
      batch_size: examples in a batch `B`.
      num_epochs: passes.

    Returns:
      The plan `[num_epochs * num_batches, B]`; the last batch of a pass may be partial.
    """
    plan = sequential_batches(data, client, num_batches, batch_size)
    positions = jnp.arange(num_batches * batch_size)
    flat_valid = plan.valid.reshape(-1)

    def one_pass(epoch: jax.Array) -> jax.Array:
        epoch_key = jax.random.fold_in(key, epoch)
        draws = jax.vmap(lambda p: jax.random.bits(jax.random.fold_in(epoch_key, p)))(positions)
        # Padding sorts last: draws keep 31 bits, padding takes the largest of 32.
        draws = jnp.where(flat_valid, draws >> 1, jnp.uint32(0xFFFFFFFF))
        return plan.rows.reshape(-1)[jnp.argsort(draws, stable=True)]

    rows = jax.vmap(one_pass)(jnp.arange(num_epochs)).reshape(-1, batch_size)
    # The batches of all passes come first, the padding of all passes last.
    step = jnp.arange(num_epochs * num_batches)
    per_pass = jnp.maximum(plan.used, 1)
    source = step // per_pass * num_batches + step % per_pass
    inside = step < num_epochs * plan.used
    source = jnp.where(inside, source, 0)
    valid = plan.valid[source % num_batches] & inside[:, None]
    return BatchPlan(rows[source], valid, num_epochs * plan.used)


def mixed_batches(key: jax.Array, train: ClientData) -> BatchPlan:
    """Plans a pass over all clients' training examples, mixed, in large batches.

    Args:
      key: root key of the run; it is not consumed.
      train: training examples of all clients.

    Returns:
      The plan; the same in every round.
    """
    total = train.inputs.shape[0]
    num_batches = -(-total // _CALIBRATION_BATCH)
    # Batches of even size: moments are averaged over batches, and a tiny one would spoil them.
    batch_size = -(-total // num_batches)
    order = jax.random.permutation(keys.address(key, keys.Stream.CALIBRATION), total)
    # Dealt out in turns, so that sizes differ by one at most.
    position = jnp.arange(num_batches)[:, None] + num_batches * jnp.arange(batch_size)[None, :]
    valid = position < total
    return BatchPlan(order[jnp.where(valid, position, 0)], valid, jnp.int32(num_batches))


def batch_key(key: jax.Array, round: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key that orders a client's examples in a round."""
    return keys.address(key, keys.Stream.BATCHES, round, client)
