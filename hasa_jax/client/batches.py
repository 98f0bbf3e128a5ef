"""Which examples make up each batch.

Training shuffles them, evaluation takes them in order, calibration mixes all clients.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax import keys
from hasa_jax.base import ClientData

CALIBRATION_BATCH = 256
"""Most examples in a batch of the calibration pass: large, so that batch moments are steady."""


class Batches(NamedTuple):
    """Which examples make up each local batch.

    Attributes:
      indices: into the flat data `[S, B]`; padding repeats an example of the client.
      valid: whether the entry is an example, and not padding `[S, B]`, bool.
      used: batches that hold examples, int32 scalar; they come first.
    """

    indices: jax.Array
    valid: jax.Array
    used: jax.Array


class Batch(NamedTuple):
    """One local batch.

    Attributes:
      inputs: `[B, ...]`.
      targets: `[B]` or `[B, T]`.
      valid: which examples are no padding `[B]`, bool.
    """

    inputs: jax.Array
    targets: jax.Array
    valid: jax.Array


def take_batch(data: ClientData, batches: Batches, step: jax.Array) -> Batch:
    """Reads one batch from the flat data."""
    indices = batches.indices[step]
    return Batch(
        jnp.asarray(data.inputs)[indices], jnp.asarray(data.targets)[indices], batches.valid[step]
    )


def sequential_batches(
    data: ClientData, client: jax.Array, num_batches: int, batch_size: int
) -> Batches:
    """Cuts a client's examples into batches, in storage order.

    Args:
      data: examples of some clients.
      client: position of the client in the data, scalar.
      num_batches: batches `S`; enough for the client's examples.
      batch_size: examples in a batch `B`.

    Returns:
      One pass `[num_batches, B]`; entries beyond the client's examples are padding.
    """
    offsets = jnp.asarray(data.offsets)
    start, num_examples = offsets[client], offsets[client + 1] - offsets[client]
    position = jnp.arange(num_batches * batch_size).reshape(num_batches, batch_size)
    valid = position < num_examples
    return Batches(start + jnp.where(valid, position, 0), valid, -(-num_examples // batch_size))


def shuffled_batches(
    key: jax.Array,
    data: ClientData,
    client: jax.Array,
    num_batches: int,
    batch_size: int,
    num_epochs: int,
) -> Batches:
    """Shuffles a client's examples into batches; a pass uses every example once.

    Each of the `num_epochs` passes has an order of its own.

    Each example draws its place from a key of its own, so the order does not depend on how
    far the grid is padded.

    Args:
      key: this client's key of this round; it is consumed.
      data: examples of some clients.
      client: position of the client in the data, scalar.
      num_batches: batches of one pass; enough for the client's examples.
      batch_size: examples in a batch `B`.
      num_epochs: passes.

    Returns:
      The batches `[num_epochs * num_batches, B]`; the last batch of a pass may be partial.
    """
    batches = sequential_batches(data, client, num_batches, batch_size)
    positions = jnp.arange(num_batches * batch_size)
    flat_valid = batches.valid.reshape(-1)

    def one_pass(epoch: jax.Array) -> jax.Array:
        epoch_key = jax.random.fold_in(key, epoch)
        draws = jax.vmap(lambda p: jax.random.bits(jax.random.fold_in(epoch_key, p)))(positions)
        # Padding sorts last: draws keep 31 bits, padding takes the largest of 32.
        draws = jnp.where(flat_valid, draws >> 1, jnp.uint32(0xFFFFFFFF))
        return batches.indices.reshape(-1)[jnp.argsort(draws, stable=True)]

    indices = jax.vmap(one_pass)(jnp.arange(num_epochs)).reshape(-1, batch_size)
    # The batches of all passes come first, the padding of all passes last.
    step = jnp.arange(num_epochs * num_batches)
    per_pass = jnp.maximum(batches.used, 1)
    source = step // per_pass * num_batches + step % per_pass
    inside = step < num_epochs * batches.used
    source = jnp.where(inside, source, 0)
    valid = batches.valid[source % num_batches] & inside[:, None]
    return Batches(indices[source], valid, num_epochs * batches.used)


def first_batches(batches: Batches, steps: jax.Array) -> Batches:
    """Keeps the first batches only.

    Args:
      batches: batches `[S, B]`.
      steps: how many to keep at most, int32 scalar.

    Returns:
      The batches; those beyond hold no examples. Other lanes may still run them.
    """
    inside = jnp.arange(len(batches.valid)) < steps
    valid = batches.valid & inside[:, None]
    return batches._replace(valid=valid, used=jnp.minimum(batches.used, steps))


def mixed_batches(key: jax.Array, train: ClientData) -> Batches:
    """Mixes all clients' training examples into large batches.

    Args:
      key: root key of the run; it is not consumed.
      train: training examples of all clients.

    Returns:
      One pass; the same in every round.
    """
    indices = jnp.arange(train.inputs.shape[0])
    # Padding follows the last client's examples where trials share a program.
    total = jnp.asarray(train.offsets)[-1]
    key = keys.address(key, keys.Stream.CALIBRATION)
    draws = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i)))(indices)
    order = jnp.argsort(jnp.where(indices < total, draws >> 1, jnp.uint32(0xFFFFFFFF)), stable=True)
    most = -(-indices.size // CALIBRATION_BATCH)
    batch_size = min(CALIBRATION_BATCH, indices.size)
    # Moments are averaged over batches, so a tiny batch would weigh too much. Sizes differ by
    # one at most.
    used = -(-total // CALIBRATION_BATCH)
    batch = jnp.arange(most)[:, None]
    position = batch + used * jnp.arange(batch_size)[None, :]
    valid = (position < total) & (batch < used)
    return Batches(order[jnp.where(valid, position, 0)], valid, used)


def batch_key(key: jax.Array, round: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key that orders a client's examples in a round."""
    return keys.address(key, keys.Stream.BATCHES, round, client)
